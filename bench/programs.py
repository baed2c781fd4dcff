"""Start programs, see what they cost, end them: always by their own process id."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.figures import Fault

END_SECONDS = 20.0
# /proc says sizes in kibibytes.
KIB = 1024
MIB = 1024 * 1024
# A process is quiet when it used less than this share of a core ...
QUIET_SHARE = 0.02
# ... in this many looks in a row.
QUIET_LOOKS = 3
LOOK_SECONDS = 0.05


def say(text: str) -> None:
    """A line of progress."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on, outside the range of outgoing connections."""
    for _ in range(1000):
        port = random.randrange(18_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise Fault("no free port was found on 127.0.0.1")


class Program:
    """A process with its output in a file; a context manager that ends it, kindly at first.

    ``cpus`` pins it and what it starts, so that programs which count CPUs see only those.
    """

    def __init__(
        self, command: Sequence[str | Path], log: Path, *, cpus: str = "", environment: Mapping[str, str] | None = None
    ) -> None:
        words = [os.fspath(word) for word in command]
        self.name = Path(words[0]).name
        self.log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [*(["taskset", "-c", cpus] if cpus else []), *words],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    @property
    def pid(self) -> int:
        return self._process.pid

    def must_run(self) -> None:
        """Fault, with the end of its output, if it has ended."""
        code = self._process.poll()
        if code is not None:
            raise Fault(f"{self.name} ended with {code}: {self.said()[-600:].strip() or 'it said nothing'}")

    def said(self) -> str:
        """Its output so far."""
        return self.log.read_text(errors="replace")

    def end(self) -> None:
        """SIGTERM, and SIGKILL to it and its children after END_SECONDS."""
        children = list(descendants(self.pid))
        self._process.terminate()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            for pid in (self.pid, *children):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, 9)
            self._process.wait()


def descendants(pid: int) -> Iterator[int]:
    """The processes that this one started, and those that they did."""
    for task in _listed(Path(f"/proc/{pid}/task")):
        with contextlib.suppress(OSError):
            for child in (task / "children").read_text().split():
                yield int(child)
                yield from descendants(int(child))


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def executable(pid: int) -> str:
    """The name of the file that a process runs."""
    return Path(f"/proc/{pid}/exe").readlink().name


def cpu_seconds(pids: Sequence[int]) -> float:
    """CPU time that these processes have used so far, to the nanosecond, ended threads included."""
    # The kernel's number of another process' CPU clock, as clock_getcpuclockid(3) makes it.
    return sum(time.clock_gettime((~pid << 3) | 2) for pid in pids)


def resident_mib(pids: Sequence[int]) -> float:
    """Resident memory of these processes."""
    return sum(_status_kib(pid, "VmRSS") for pid in pids) * KIB / MIB


def _status_kib(pid: int, field: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1])
    return 0


def wait_until_quiet(pids: Sequence[int], seconds: float) -> None:
    """Wait until these processes have nothing to do, at most so many seconds."""
    deadline = time.monotonic() + seconds
    looks, before, at = 0, cpu_seconds(pids), time.monotonic()
    while looks < QUIET_LOOKS and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
        now, then = cpu_seconds(pids), time.monotonic()
        looks = looks + 1 if now - before < QUIET_SHARE * (then - at) else 0
        before, at = now, then
