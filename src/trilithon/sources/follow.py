"""Turn what a watcher says about files into changes of resources, second looks included."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from trilithon.sources.files import FileSource, SourceChange
from trilithon.sources.folder_watch import watch


async def follow(source: FileSource) -> AsyncGenerator[SourceChange]:
    """Yield, for ever, each change of a source that was loaded before: of its resources or of its problems.

    Nothing is missed between ``source.load()`` and the first step here.
    """
    problems = source.problems()
    look_again: float | None = None
    async with aclosing(watch(source.paths)) as announcements:
        upcoming = asyncio.ensure_future(anext(announcements))
        try:
            while True:
                done, _ = await asyncio.wait({upcoming}, timeout=look_again)
                change = source.refresh(upcoming.result() if done else None)
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
