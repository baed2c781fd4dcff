"""Write lines for whoever reads them, without ever waiting for the reader."""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from collections.abc import Callable
from typing import TextIO

import click

# What waits for a reader that is slow, or a terminal that was stopped (Ctrl-S); more is left out and counted.
MOST_WAITING_BYTES = 16 << 20
CLOSE_SECONDS = 1.0


class Output:
    """A text stream in front of another one; a thread of its own does the writing.

    left_out: words the line that stands for so many lines there was no room for. on_failure: is told once, from the
    thread, why the stream can be written no more (its reader has gone, its terminal was closed, the disk is full);
    what is written after that is dropped. A stream that is None has been closed before the start.
    """

    def __init__(
        self,
        stream: TextIO | None,
        left_out: Callable[[int], str] = lambda lines: f"({lines} lines were left out: nobody read them)",
        on_failure: Callable[[OSError], None] = lambda _: None,
    ) -> None:
        self._is_terminal = stream is not None and stream.isatty()
        # Not through the stream: a thread that waits in it would hold its lock, which the end of the program needs.
        self._descriptor = -1 if stream is None else stream.fileno()
        self._encoding = "utf-8" if stream is None else stream.encoding
        self._left_out = left_out
        self._on_failure = on_failure
        self._changed = threading.Condition()
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._lost = 0
        self._is_open = stream is not None
        self._thread = threading.Thread(target=self._write_for_ever, name="output", daemon=True)
        if self._is_open:
            self._thread.start()

    def isatty(self) -> bool:
        """Whether people read this on a terminal."""
        return self._is_terminal

    def echo(self, text: str) -> None:
        """Write a line; its colours reach terminals only."""
        click.echo(text, file=self)  # type: ignore[arg-type]  # it writes, flushes, and asks whether this is a terminal

    def write(self, text: str) -> int:
        """Queue a text for writing."""
        data = text.encode(self._encoding, "backslashreplace")
        with self._changed:
            if not self._is_open:
                return len(text)
            if self._size + len(data) > MOST_WAITING_BYTES:
                self._lost += text.count("\n")
                return len(text)
            self._waiting.append(data)
            self._size += len(data)
            self._changed.notify()
        return len(text)

    def flush(self) -> None:
        """Nothing is left to do: what is queued will be written."""

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Wait for what is queued to be written, at most so long, and end."""
        with self._changed:
            self._is_open = False
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def _write_for_ever(self) -> None:
        try:
            while data := self._next():
                self._write_all(data)
        except OSError as error:
            with self._changed:
                self._is_open = False
                self._waiting.clear()
            self._on_failure(error)

    def _next(self) -> bytes:
        """All that waits, as soon as something does; nothing after the end."""
        with self._changed:
            while self._is_open and not self._waiting:
                self._changed.wait()
            data = b"".join(self._waiting)
            self._waiting.clear()
            self._size = 0
            if self._lost:
                data += f"{self._left_out(self._lost)}\n".encode(self._encoding, "backslashreplace")
                self._lost = 0
            return data

    def _write_all(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:
                # Somebody who shares the terminal has made it so.
                select.select((), (self._descriptor,), ())
