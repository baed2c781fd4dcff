"""Hear from the kernel which manifests of some roots change, while folders come and go.

Folders are watched, never files: editors and ConfigMap mounts replace files by renaming others over them.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, suppress
from pathlib import Path

from asyncinotify import Event, Inotify, Mask, Watch
from msgspec import Struct, field

from trilithon.sources.folder import scanning
from trilithon.sources.folder.files import EMPTY_MARKER
from trilithon.sources.folder.scanning import Scan
from trilithon.sources.folder.writers import Writers
from trilithon.sources.holdoff import Holdoff

_CAME = Mask.CREATE | Mask.MOVED_TO
_WENT = Mask.DELETE | Mask.MOVED_FROM
_SELF = Mask.DELETE_SELF | Mask.MOVE_SELF | Mask.UNMOUNT
_NAMES = _CAME | _WENT | Mask.CLOSE_WRITE | _SELF | Mask.ONLYDIR
# A change of permissions may make a file or a folder readable.
_CONTENTS = _NAMES | Mask.MODIFY | Mask.ATTRIB
# Events read in one go; the kernel's queue holds 16,384.
_BATCH = 512


async def watch_by_inotify(paths: Sequence[Path], writers: Writers) -> AsyncGenerator[frozenset[Path] | None]:
    """What ``watching.watch`` yields; tells ``writers`` of open files.

    Raises OSError where the kernel refuses a watch.
    """
    with Inotify(cache_size=_BATCH) as inotify:
        # Closed before the kernel's queue is: it takes its reader back from the loop.
        async with aclosing(_Watching(paths, inotify, writers).announcements()) as announcements:
            async for changed in announcements:
                yield changed


class _Interest(Struct):
    """What matters in one watched folder: all manifests, some files, or the entries that lead to a root."""

    is_listed: bool = False
    files: set[str] = field(default_factory=set)
    steps: set[str] = field(default_factory=set)

    @property
    def mask(self) -> Mask:
        return _CONTENTS if self.is_listed or self.files else _NAMES


class _Watching:
    """The inotify watches for some roots; follows folders as they come and go."""

    def __init__(self, paths: Sequence[Path], inotify: Inotify, writers: Writers) -> None:
        self._paths = paths
        self._writers = writers
        self._inotify = inotify
        self._inotify.sync_timeout = 0
        self._watches: dict[int, Watch] = {}
        self._interests: dict[Path, _Interest] = {}
        self._links: frozenset[Path] = frozenset()
        # None stands for everything.
        self._holdoff: Holdoff[Path | None] = Holdoff()
        self._moved: dict[int, Path] = {}
        self._woken = asyncio.Event()

    async def announcements(self) -> AsyncGenerator[frozenset[Path] | None]:
        """What ``watch`` yields; raises OSError where the kernel refuses a watch."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._inotify.fd, self._read_events)
        try:
            self._watch_folders()
            yield None
            while True:
                taken = self._holdoff.take(loop.time())
                if None in taken:
                    # Watches first: what comes into a new folder after this look is then announced.
                    self._watch_folders()
                    yield None
                elif taken:
                    yield frozenset(path for path in taken if path)
                else:
                    await self._wake(loop)
        finally:
            loop.remove_reader(self._inotify.fd)

    async def _wake(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wait for events, or for something to be due."""
        self._woken.clear()
        due = self._holdoff.due()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), None if due is None else due - loop.time())

    def _watch_folders(self) -> None:
        """Bring the watches in line with the folders there are now, until no new one appears meanwhile."""
        is_changing = True
        while is_changing:
            scan = scanning.scan(self._paths)
            before = set(self._interests)
            self._links = scan.links
            self._interests = _interests(self._paths, scan)
            self._writers.keep(self._interests)
            watches = list(self._added())
            for watch in self._watches.values():
                if watch.wd not in {kept.wd for kept in watches} and watch in self._inotify.watches:
                    self._remove(watch)
            self._watches = {watch.wd: watch for watch in watches}
            is_changing = not before.issuperset(self._interests)

    def _added(self) -> Iterator[Watch]:
        for folder, interest in self._interests.items():
            try:
                watch = self._inotify.add_watch(folder, interest.mask)
            except (FileNotFoundError, NotADirectoryError, PermissionError):
                continue  # gone already, or reported by whoever lists it
            # A folder that was renamed keeps its watch.
            watch.path = folder
            yield watch

    def _remove(self, watch: Watch) -> None:
        try:
            self._inotify.rm_watch(watch)
        except OSError as error:
            if error.errno != errno.EINVAL:  # the folder was deleted, and its watch with it
                raise

    def _read_events(self) -> None:
        now = asyncio.get_running_loop().time()
        self._moved.clear()
        for event in self._inotify:
            self._note(event, now)
        self._woken.set()

    def _note(self, event: Event, now: float) -> None:
        mask = event.mask
        if mask & Mask.IGNORED:
            return
        watch = event.watch
        if mask & Mask.Q_OVERFLOW or watch is None:
            self._writers.forget()
            self._holdoff.changed(None, now)
        elif event.name is None:
            if mask & _SELF:
                self._holdoff.gone(None, now)
            elif mask & Mask.ATTRIB:
                self._holdoff.unfinished(None, now)
        else:
            self._note_entry(watch.path / event.name, event, now)

    def _note_entry(self, path: Path, event: Event, now: float) -> None:
        """One event of an entry of a watched folder."""
        mask = event.mask
        is_link = bool(mask & _CAME) and path.is_symlink()
        if mask & (Mask.CLOSE_WRITE | _WENT | Mask.MOVED_TO):
            self._writers.closed(path)
        for what in self._concerned(path, is_link, bool(mask & Mask.ISDIR)):
            if mask & _WENT:
                self._holdoff.gone(what, now)
                if what and mask & Mask.MOVED_FROM:
                    self._moved[event.cookie] = what
            elif mask & (Mask.CLOSE_WRITE | Mask.MOVED_TO) or (mask & Mask.CREATE and (is_link or mask & Mask.ISDIR)):
                self._holdoff.changed(what, now)
                # The old name and the new one of a file are one change: its objects are never missing in between.
                if event.cookie in self._moved:
                    self._holdoff.changed(self._moved.pop(event.cookie), now)
            else:
                if what and mask & Mask.MODIFY:
                    self._writers.wrote(what)
                self._holdoff.unfinished(what, now)

    def _concerned(self, path: Path, is_link: bool, is_folder: bool) -> tuple[Path | None, ...]:
        """What an event at this path is about: the path, everything (None), or nothing of interest."""
        interest = self._interests.get(path.parent)
        if interest is None:
            return (None,)
        name = path.name
        is_ours = name in interest.files or name in interest.steps
        if is_link or is_folder or path in self._links:
            # A hidden link matters too: a ConfigMap mount changes by its "..data".
            is_listed = interest.is_listed and (is_link or not name.startswith("."))
            return (None,) if is_ours or is_listed else ()
        if name in interest.files or (interest.is_listed and scanning.is_manifest_name(name)):
            return (path,)
        is_sign = interest.is_listed and (name == EMPTY_MARKER or name.startswith(".."))
        return (None,) if is_ours or is_sign else ()


def _interests(paths: Sequence[Path], scan: Scan) -> dict[Path, _Interest]:
    """The folders to watch, by real path."""
    interests: dict[Path, _Interest] = {folder: _Interest(is_listed=True) for folder in scan.folders}
    for found in scan.files.values():
        if found.real.parent not in scan.folders:
            interests.setdefault(found.real.parent, _Interest()).files.add(found.real.name)
    for path in paths:
        for folder, name in _steps(path):
            interests.setdefault(folder, _Interest()).steps.add(name)
    return interests


def _steps(path: Path) -> Iterator[tuple[Path, str]]:
    """The entries on the way to a root whose replacement makes it another: itself, links, what does not exist yet."""
    absolute = path.absolute()
    for step in (absolute, *absolute.parents):
        try:
            parent = step.parent.resolve(strict=True)
        except (OSError, RuntimeError):
            continue
        if step == absolute or step.is_symlink() or not os.path.lexists(step):
            yield parent, step.name
