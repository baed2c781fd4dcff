"""Whoever writes never waits for whoever reads; what is read is whole lines in order, what is missing is counted."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator

import pytest

from trilithon.cli import output
from trilithon.cli.output import Output


class Pipe:
    """A pipe, with an output in front of its writing end."""

    def __init__(self) -> None:
        reading, writing = os.pipe()
        self.reader = os.fdopen(reading, "rb")
        self.stream = os.fdopen(writing, "w", encoding="utf-8")
        self.failed = threading.Event()
        self.failures: list[OSError] = []
        self.output = Output(self.stream, lambda lines: f"{lines} left out", self._note)

    def _note(self, error: OSError) -> None:
        self.failures.append(error)
        self.failed.set()

    def rest(self) -> list[str]:
        """Everything written that was not read yet; the end of the output."""
        self.output.close(30)
        self.stream.close()
        return self.reader.read().decode().splitlines()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    found = Pipe()
    yield found
    found.reader.close()
    found.output.close()
    found.stream.close()


def test_lines_arrive_in_order_and_without_colours(pipe: Pipe) -> None:
    pipe.output.echo("\x1b[32mone\x1b[0m")
    pipe.output.write("two\nthree\n")
    assert pipe.rest() == ["one", "two", "three"]


def test_what_nobody_reads_is_counted_and_holds_nobody_up(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "MOST_WAITING_BYTES", 1000)
    # More than the pipe takes, so that the thread waits; then more than may wait.
    pipe.output.echo("x" * 900)
    for number in range(1000):
        pipe.output.echo(f"{number} " + "x" * 900)
    # Each line either comes or is counted, be it in several counts.
    arrived = left_out = 0
    while arrived + left_out < 1001:
        line = pipe.reader.readline().decode().rstrip("\n")
        if line.endswith("left out"):
            left_out += int(line.split()[0])
        else:
            arrived += 1
    assert left_out
    pipe.output.echo("later")
    assert pipe.rest()[-1] == "later"


def test_a_reader_that_went_is_told_of_once(pipe: Pipe) -> None:
    pipe.reader.close()
    pipe.output.echo("one")
    assert pipe.failed.wait(30)
    pipe.output.echo("two")
    pipe.output.close()
    assert [error.errno for error in pipe.failures] == [errno.EPIPE]


def test_a_stopped_reader_does_not_hold_up_the_end(pipe: Pipe) -> None:
    pipe.output.write("x" * (1 << 20))
    pipe.output.close(0.1)


def test_a_stream_that_others_made_impatient_is_waited_for(pipe: Pipe) -> None:
    os.set_blocking(pipe.stream.fileno(), False)
    text = "".join(f"line {number}\n" for number in range(50_000))
    pipe.output.write(text)
    assert pipe.reader.read(len(text)).decode() == text


def test_a_stream_that_was_closed_before_the_start_takes_everything() -> None:
    nowhere = Output(None)
    nowhere.echo("one")
    nowhere.close()
