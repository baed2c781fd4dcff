"""Keep what containers write, line by line with its time, and give it back as the API's log options ask for it.

A line in a file is ``TIME TEXT``; times have one width, so they can be compared as they are written.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from msgspec import Struct

_FIRST_TIME = b""


class LogOptions(Struct, frozen=True, kw_only=True):
    """Which lines are wanted; ``since`` is a time as lines have it."""

    since: bytes = _FIRST_TIME
    tail: int | None = None
    with_times: bool = False
    limit: int | None = None


def log_time(moment: datetime) -> bytes:
    """A moment as lines have it, to nanoseconds as container runtimes write them."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}000Z".encode()


def seconds_ago(seconds: float) -> bytes:
    """The time of a line that was written so long ago."""
    return log_time(datetime.now(UTC) - timedelta(seconds=seconds))


class Log:
    """The output of one run of a container, in a file. A context manager while it is written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_complete = False
        self._file: BinaryIO | None = None
        self._changed = asyncio.Event()

    def __enter__(self) -> Self:
        self._file = self.path.open("ab", buffering=0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
        self.is_complete = True
        self._changed.set()

    def write(self, *lines: bytes) -> None:
        """Add lines, given without their ends."""
        if self._file is None:
            raise RuntimeError("the log is not open")
        if not lines:
            return
        now = log_time(datetime.now(UTC))
        self._file.write(b"".join(b"%b %b\n" % (now, line) for line in lines))
        # Whoever waits takes another one for what comes after.
        self._changed.set()
        self._changed = asyncio.Event()

    def lines(self, options: LogOptions) -> tuple[bytes, int]:
        """The text that is wanted of what has been written, and where that ends in the file."""
        if not self.path.exists():
            return b"", 0
        with self.path.open("rb") as file:
            rows: Iterator[bytes] = (line for line in file if line.endswith(b"\n") and line >= options.since)
            chosen = rows if options.tail is None else deque(rows, maxlen=options.tail)
            text = b"".join(_shown(line, options) for line in chosen)
            end = file.tell()
        return text if options.limit is None else text[: options.limit], end

    async def follow(self, position: int, options: LogOptions) -> AsyncIterator[bytes]:
        """The text of what is written from a place in the file on, until nothing more will be."""
        while True:
            changed, is_complete = self._changed, self.is_complete
            new = self._from(position)
            if new:
                position += len(new)
                # Not by splitlines, for which a carriage return ends a line too.
                yield b"".join(_shown(line + b"\n", options) for line in new.removesuffix(b"\n").split(b"\n"))
            elif is_complete:
                return
            else:
                await changed.wait()

    def _from(self, position: int) -> bytes:
        if not self.path.exists():
            return b""
        with self.path.open("rb") as file:
            file.seek(position)
            return file.read()


def _shown(line: bytes, options: LogOptions) -> bytes:
    return line if options.with_times else line.partition(b" ")[2]
