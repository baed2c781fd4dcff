"""Logs give back what was written, as it is asked for."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from testcluster.kubelet.logs import Log, LogOptions, log_time, seconds_ago

ALL = LogOptions()


@pytest.fixture
def log(tmp_path: Path) -> Log:
    """A log of three lines, two of which came together."""
    log = Log(tmp_path / "log")
    with log:
        log.write(b"one")
        log.write(b"two", b"three")
    return log


def test_lines_come_back_whole_and_in_order(log: Log) -> None:
    """Those that came together too."""
    assert log.lines(ALL)[0] == b"one\ntwo\nthree\n"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        pytest.param(LogOptions(tail=1), b"three\n", id="the last"),
        pytest.param(LogOptions(tail=0), b"", id="none"),
        pytest.param(LogOptions(tail=9), b"one\ntwo\nthree\n", id="more than there are"),
        pytest.param(LogOptions(limit=5), b"one\nt", id="so many bytes"),
        pytest.param(LogOptions(since=log_time(datetime(2099, 1, 1, tzinfo=UTC))), b"", id="from a time to come"),
        pytest.param(LogOptions(since=seconds_ago(60)), b"one\ntwo\nthree\n", id="of the last minute"),
    ],
)
def test_lines_are_chosen(log: Log, options: LogOptions, text: bytes) -> None:
    """By number, size and time."""
    assert log.lines(options)[0] == text


def test_a_line_is_of_its_time(log: Log) -> None:
    """Whoever asks from the time of a line on gets it."""
    dated = log.lines(LogOptions(with_times=True))[0].splitlines()
    second = dated[1].split()[0]
    assert log.lines(LogOptions(since=second))[0].startswith(b"two\n")


def test_nothing_was_written_where_there_is_no_file(tmp_path: Path) -> None:
    """A container that did not start has an empty log."""
    assert Log(tmp_path / "none").lines(ALL) == (b"", 0)


async def test_followers_get_each_line_once_and_then_the_end(tmp_path: Path) -> None:
    """From the place where the reading ended."""
    log = Log(tmp_path / "log")

    async def follow(position: int) -> bytes:
        return b"".join([piece async for piece in log.follow(position, ALL)])

    with log:
        log.write(b"one")
        text, position = log.lines(ALL)
        following = asyncio.create_task(follow(position))
        for line in (b"two\r", b"three"):
            await asyncio.sleep(0)
            log.write(line)
    assert text + await asyncio.wait_for(following, 5) == b"one\ntwo\r\nthree\n"
