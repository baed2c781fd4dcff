"""Background processes: started once, found again, and never another process of the same id."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from testcluster.processes import Process, Processes

SLEEP = ["sleep", "60"]
# Deaf to SIGTERM, and says so when it is.
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    started = Processes(tmp_path / "processes", tmp_path / "logs")
    yield started
    for name in started.names():
        started.end(name, 0)


def test_a_process_is_started_once(processes: Processes, tmp_path: Path) -> None:
    """Also if somebody else asks, who knows only the folder."""
    first = processes.start("one", SLEEP)
    assert first.alive
    assert Processes(tmp_path / "processes", tmp_path / "logs").start("one", SLEEP) == first


def test_it_outlives_its_starter_and_writes_to_its_log(processes: Processes, tmp_path: Path) -> None:
    """Started by a command that ended, it runs on; a later one ends it."""
    program = (
        "import sys; from pathlib import Path; from testcluster.processes import Processes;"
        f"Processes(Path({str(tmp_path / 'processes')!r}), Path({str(tmp_path / 'logs')!r}))"
        ".start('one', ['sh', '-c', 'echo $WORD; exec sleep 60'], {'WORD': 'hello'})"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    assert processes["one"].alive
    log = processes.log("one")
    while not log.read_text():
        assert processes["one"].alive
    assert log.read_text() == "hello\n"
    processes.end("one")
    assert not processes["one"].alive


def test_one_that_does_not_listen_is_killed(processes: Processes) -> None:
    """After its time of grace."""
    processes.start("deaf", [sys.executable, "-c", DEAF])
    while not processes.log("deaf").read_text():
        assert processes["deaf"].alive
    processes.end("deaf", 0.1)
    assert not processes["deaf"].alive


def test_a_stopped_process_can_be_ended(processes: Processes) -> None:
    """It would not see SIGTERM."""
    processes.start("one", SLEEP).send(signal.SIGSTOP)
    processes.end("one")
    assert not processes["one"].alive


def test_a_restart_is_another_process_with_the_same_command(processes: Processes) -> None:
    """Also after it was killed."""
    first = processes.start("one", SLEEP, {"A": "b"})
    first.send(signal.SIGKILL)
    assert first.wait_end(10)
    second = processes.restart("one")
    assert second.alive
    assert (second.argv, second.env) == (first.argv, first.env)
    assert second.pid != first.pid


def test_another_process_of_the_same_id_is_left_alone(processes: Processes, tmp_path: Path) -> None:
    """Ids return; what is remembered is who had it, and when."""
    mine = processes.start("one", SLEEP)
    impostor = Process("two", mine.pid, str(int(mine.started) - 1), mine.argv, {})
    (tmp_path / "processes" / "two.json").write_bytes(msgspec.json.encode(impostor))
    assert not processes["two"].alive
    processes.end("two", 0)
    assert mine.alive


def test_who_asks_for_an_unknown_process_is_told_the_known(processes: Processes) -> None:
    """By name."""
    processes.start("one", SLEEP)
    with pytest.raises(KeyError, match="there are: one"):
        processes["two"]
    assert processes.get("two") is None
    processes.forget("one")
    assert processes.names() == []


def test_memory_is_what_the_kernel_says(processes: Processes) -> None:
    """Some, while it runs, and none after."""
    process = processes.start("one", SLEEP)
    assert process.memory % os.sysconf("SC_PAGE_SIZE") == 0
    assert process.memory > 0
    processes.end("one")
    assert process.memory == 0
