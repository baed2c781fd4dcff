"""Tell which files may have changed, as soon as the kernel does.

Where there is no inotify, or its watches are used up, everything is looked at once a second instead.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path

import structlog

from trilithon.sources.folder.writers import Writers

POLL_SECONDS = 1.0

_REMEDIES = {
    errno.ENOSPC: "raise fs.inotify.max_user_watches",
    errno.EMFILE: "raise fs.inotify.max_user_instances",
}
_log = structlog.get_logger(__name__)


async def watch(paths: Sequence[Path], writers: Writers) -> AsyncGenerator[frozenset[Path] | None]:
    """Yield, for ever, the real paths that may have changed, or None where everything must be looked at.

    The first is None, as soon as the watches stand: what changed since an earlier look is found by looking then.
    ``writers`` hears which files are open, where the kernel tells.
    """
    try:
        # Imported late: the library cannot be imported where the C library has no inotify.
        from trilithon.sources.folder.inotify_watch import watch_by_inotify

        async with aclosing(watch_by_inotify(paths, writers)) as announcements:
            async for changed in announcements:
                yield changed
    except (OSError, ImportError, AttributeError) as error:
        remedy = _REMEDIES.get(error.errno or 0, "") if isinstance(error, OSError) else ""
        writers.forget()
        _log.warning("files are watched by looking at them", every=POLL_SECONDS, reason=str(error), remedy=remedy)
    async with aclosing(poll(POLL_SECONDS)) as looks:
        async for changed in looks:
            yield changed


async def poll(seconds: float) -> AsyncGenerator[None]:
    """Ask for a look at everything now and every so many seconds."""
    while True:
        yield None
        await asyncio.sleep(seconds)
