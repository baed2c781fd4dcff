"""Turn what a watcher says about files into changes of resources, second looks included."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from pathlib import Path

from trilithon.resources.meta import Key
from trilithon.resources.problem import Problem
from trilithon.sources.folder.file_problems import FileProblem
from trilithon.sources.folder.files import FileSource, Look, SourceChange
from trilithon.sources.folder.scanning import signature_of
from trilithon.sources.folder.watching import watch

# Reading this much takes no longer than a slice of the engine's work, and is faster done than handed to a thread.
SMALL_BYTES = 16 * 1024
# What a file costs before its first byte is read.
FILE_BYTES = 512


class FollowedFiles:
    """Files as a source to be read once and followed then."""

    def __init__(self, files: FileSource) -> None:
        self.files = files

    async def first(self) -> SourceChange:
        """Everything there is. Off the loop: thousands of files take a second, in which a signal must be heard."""
        return await asyncio.to_thread(self.files.load)

    def changes(self) -> AsyncGenerator[SourceChange]:
        """Each change after that; see ``follow``."""
        return follow(self.files)

    def problems(self) -> Sequence[FileProblem]:
        """What is wrong with the files themselves now."""
        return self.files.problems()

    def place_of(self, problem: Problem) -> tuple[str, int] | None:
        """File and line of one of ``problems()``."""
        return self.files.place_of(problem)

    def position(self, key: Key, path: str = "") -> tuple[str, int] | None:
        """File and line of a field."""
        return self.files.position(key, path)


async def follow(source: FileSource) -> AsyncGenerator[SourceChange]:
    """Yield, for ever, each change of a source that was loaded before: of its resources or of its problems.

    Nothing is missed between ``source.load()`` and the first step here. The loop goes on while much is read.
    """
    problems = source.problems()
    look_again: float | None = None
    async with aclosing(watch(source.paths, source.writers)) as announcements:
        upcoming = asyncio.ensure_future(anext(announcements))
        try:
            while True:
                done, _ = await asyncio.wait({upcoming}, timeout=look_again)
                change = source.accept(await _look(source, upcoming.result() if done else None))
                if done:
                    upcoming = asyncio.ensure_future(anext(announcements))
                look_again = change.look_again
                if change.keys or change.problems != problems:
                    problems = change.problems
                    yield change
        finally:
            # The watcher can only be closed when nobody waits for it.
            upcoming.cancel()
            await asyncio.wait({upcoming})


async def _look(source: FileSource, changed: frozenset[Path] | None) -> Look:
    if changed is not None and _is_small(changed):
        return source.look(changed)
    given_up = threading.Event()
    try:
        return await asyncio.to_thread(source.look, changed, given_up.is_set)
    finally:
        # A look that nobody waits for any more must not keep the process from ending.
        given_up.set()


def _is_small(changed: Iterable[Path]) -> bool:
    """Whether files are read in a moment."""
    total = 0
    for path in changed:
        _, size, _ = signature_of(path)
        total += size + FILE_BYTES
        if total > SMALL_BYTES:
            return False
    return True
