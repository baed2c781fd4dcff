"""Files and folders as a source: what they say now, and what differs after each look.

Only changed documents are parsed. What cannot be read keeps its last good objects and is reported; other objects go on.

A folder (or a file named by itself) whose objects are all gone at once is most often a failed mount or an interrupted
copy, so its objects are held until a second look, ``HOLD_SECONDS`` later, finds it still empty. Whoever means it can
say so: a file named ``.trilithon-empty`` in the folder confirms at once, as long as it is there.

A file that had objects and now has no text at all (a shell truncates first and writes later; a full disk) keeps them
until it has text again or is deleted; comments count as text. A file that somebody is still writing withdraws nothing,
and its last document, which may be half of what is meant, waits until the file is closed, ``WRITING_SECONDS`` at most.
"""

from __future__ import annotations

import itertools
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from trilithon.resources.decode import Resource
from trilithon.resources.meta import Key
from trilithon.resources.problem import Problem
from trilithon.sources.folder import scanning
from trilithon.sources.folder.field_positions import Positions
from trilithon.sources.folder.file_problems import FileProblem, by_place, duplicate_problems, file_problems, refusals
from trilithon.sources.folder.known_file import KnownFile
from trilithon.sources.folder.last_good import Document, held_back, next_documents
from trilithon.sources.folder.reading import Reading, read_document
from trilithon.sources.folder.scanning import UNKNOWN, Found, Refusal, Scan
from trilithon.sources.folder.served import Candidate, Served
from trilithon.sources.folder.writers import WRITING_SECONDS, Writers
from trilithon.sources.folder.yaml_documents import RawDocument, split, unfinished

# Longer than a volume takes to be mounted again or a folder to be copied anew, short enough to wait for.
HOLD_SECONDS = 2.0
EMPTY_MARKER = ".trilithon-empty"


class SourceChange(Struct, frozen=True):
    """What one look found. ``problems`` are all that stand now; ``look_again``: call ``refresh`` in so many seconds.

    ``noticed`` is when the look began, by the source's clock.
    """

    upserts: Mapping[Key, Resource]
    removals: frozenset[Key]
    problems: tuple[FileProblem, ...]
    noticed: float
    look_again: float | None = None

    @property
    def keys(self) -> frozenset[Key]:
        """Every object that differs."""
        return self.removals.union(self.upserts)


class Look(Struct, frozen=True):
    """What was read at a time, on top of so many looks that had been accepted; None is for a file that is gone."""

    since: int
    now: float
    scan: Scan
    updates: Mapping[str, KnownFile | None]


_Plan = tuple[Scan, dict[str, Found], list[str]]


class FileSource:
    """The objects in some files and folders. Call ``load`` once, then ``refresh`` after changes.

    ``clock`` gives seconds that only grow; it measures how long emptied folders are held. Whoever hears of open files
    tells ``writers``.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        *,
        max_file_bytes: int = scanning.MAX_FILE_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.paths = tuple(paths)
        self._max_file_bytes = max_file_bytes
        self._clock = clock
        self.writers = Writers(clock)
        self._served = Served()
        self._positions = Positions()
        self._places = itertools.count(1)
        self._accepted = 0
        self._files: dict[str, KnownFile] = {}
        self._shown: dict[Path, str] = {}
        self._scan: Scan = scanning.scan(())
        # Files that hold objects, by root: when it falls to zero, the root is held.
        self._holding = [0] * len(self.paths)
        self._emptied: dict[int, float] = {}
        # Files without any text that had objects, and by when those are taken as they are that are being written.
        self._blanked: set[str] = set()
        self._unfinished: dict[str, float] = {}
        self._troubled: set[str] = set()
        self._problems: tuple[FileProblem, ...] = ()
        # Made when somebody asks for a place; most looks find nothing to ask about.
        self._problem_places: dict[Problem, tuple[str, int]] | None = None

    @property
    def resources(self) -> Mapping[Key, Resource]:
        """Everything served now, implied namespaces included."""
        return self._served.resources

    def load(self) -> SourceChange:
        """The first look: everything is an upsert."""
        return self.refresh()

    def refresh(self, changed: Iterable[Path] | None = None) -> SourceChange:
        """Look again, at these real paths only or (None) everywhere; returns what differs since the last look.

        Never raises for anything a file, a folder or its absence can do.
        """
        return self.accept(self.look(changed))

    def look(self, changed: Iterable[Path] | None = None, is_given_up: Callable[[], bool] = lambda: False) -> Look:
        """Read and parse what may have changed, and change nothing here, so that another thread may do it.

        Once ``is_given_up`` says so the rest is left out: nobody will accept the look.
        """
        now = self._clock()
        plan = None if changed is None or self._emptied else self._plan_for(changed)
        scan, targets, vanished = plan or self._plan_everywhere()
        updates: dict[str, KnownFile | None] = dict.fromkeys(vanished)
        by_inode = {self._files[shown].inode: shown for shown in vanished if self._files[shown].inode}

        def read(document: RawDocument) -> Reading:
            return Reading() if is_given_up() else read_document(document)

        for shown, found in targets.items():
            if is_given_up():
                break
            updates[shown] = self._read(found, self._files.get(shown), by_inode, read, now)
        return Look(self._accepted, now, scan, updates)

    def accept(self, look: Look) -> SourceChange:
        """Take over what a look has read; returns what differs since the last one that was accepted."""
        if look.since != self._accepted:
            look = self.look()
        self._accepted += 1
        self._scan, now, updates = look.scan, look.now, dict(look.updates)
        self._hold_emptied(updates, now)
        for shown, file in updates.items():
            self._replace(shown, file)
        self._positions.forget()
        changes = self._served.settle(self._line_of)
        self._find_problems()
        ends = [*(since + HOLD_SECONDS for since in self._emptied.values()), *self._unfinished.values()]
        return SourceChange(
            upserts={key: resource for key, resource in changes.items() if resource is not None},
            removals=frozenset(key for key, resource in changes.items() if resource is None),
            problems=self.problems(),
            noticed=now,
            look_again=max(0.0, min(ends) - now) if ends else None,
        )

    def _plan_everywhere(self) -> _Plan:
        """Scan all roots: what they hold, the files that may have changed, and those that are gone."""
        scan = scanning.scan(self.paths)
        targets = {}
        for shown, found in scan.files.items():
            file = self._files.get(shown)
            if file is None or file.found != found or (found.refusal is None and _may_differ(file)):
                targets[shown] = found
        # A folder that cannot be listed has not lost its files.
        closed = [Path(folder) for folder in scan.closed]
        gone = [shown for shown in self._files if shown not in scan.files]
        vanished = [shown for shown in gone if not any(Path(shown).is_relative_to(folder) for folder in closed)]
        return scan, targets, vanished

    def _plan_for(self, changed: Iterable[Path]) -> _Plan | None:
        """The same for a few paths; None where they can only be understood by a scan."""
        targets: dict[str, Found] = {}
        vanished: list[str] = []
        for path in changed:
            real = Path(os.path.realpath(path.parent)) / path.name
            mode = _mode(real)
            shown = self._shown.get(real)
            folder = self._scan.folders.get(real.parent)
            if real in self._scan.links or not real.name.isprintable():
                return None
            if mode == 0:
                if shown and self._scan.links:
                    return None
                if shown:
                    vanished.append(shown)
            elif not stat.S_ISREG(mode):
                return None
            elif shown and self._files[shown].found.refusal is None:
                targets[shown] = self._files[shown].found
            elif shown or folder is None:
                return None
            elif scanning.is_manifest_name(real.name):
                targets[str(folder.shown / real.name)] = Found(real, folder.root, folder.within)
        return self._scan, targets, vanished

    def _read(
        self,
        found: Found,
        before: KnownFile | None,
        vanished: Mapping[int, str],
        read: Callable[[RawDocument], Reading],
        now: float,
    ) -> KnownFile:
        """A file's next state. A renamed file goes on from what it held under its old name."""
        documents = before.documents if before else {}
        if found.refusal:
            return KnownFile(found, documents=documents, refusal=found.refusal)
        contents = scanning.read_manifest(found.real, found.within, self._max_file_bytes)
        if isinstance(contents, Refusal):
            return KnownFile(found, documents=documents, refusal=contents)
        if before is None and contents.inode in vanished:
            documents = self._files[vanished[contents.inode]].documents
        old, texts = [*documents.values()], split(contents.data)
        is_blank = not contents.data.strip() and not self._is_meant_empty(found.root)
        until = self.writers.until(found.real, now)
        if until and texts:
            texts = (*texts[:-1], unfinished(texts[-1]))
        new = next_documents(old, texts, read, lambda: next(self._places))
        if is_blank or until:
            new = held_back(old, new, lambda: next(self._places))
        holds = any(document.keeps or document.covers or document.reading.is_unfinished for document in new)
        return KnownFile(
            found=found,
            # Read again by every look at everything: what it is waited for is not in the file.
            signature=UNKNOWN if is_blank or until else contents.signature,
            inode=contents.inode,
            documents={document.place: document for document in new},
            is_blank=is_blank and holds,
            unfinished_until=until if holds else None,
        )

    def _hold_emptied(self, updates: dict[str, KnownFile | None], now: float) -> None:
        """Drop the updates that would empty a root, until a second look confirms them."""
        after = list(self._holding)
        roots: dict[int, list[str]] = {root: [] for root in self._emptied}
        for shown, file in updates.items():
            before = self._files.get(shown)
            if before:
                after[before.found.root] -= before.holding
                roots.setdefault(before.found.root, []).append(shown)
            if file:
                after[file.found.root] += file.holding
        for root, touched in roots.items():
            is_emptied = self._holding[root] > 0 and after[root] == 0 and not self._is_meant_empty(root)
            if is_emptied and now - self._emptied.setdefault(root, now) < HOLD_SECONDS:
                for shown in touched:
                    del updates[shown]
            else:
                self._emptied.pop(root, None)

    def _is_meant_empty(self, root: int) -> bool:
        return stat.S_ISREG(_mode(self.paths[root] / EMPTY_MARKER))

    def _replace(self, shown: str, file: KnownFile | None) -> None:
        """Put a file's next state in place of its last."""
        before = self._files.pop(shown, None)
        old = dict(before.documents) if before else {}
        come = []
        for document in file.documents.values() if file else ():
            earlier = old.get(document.place)
            if earlier and _says_the_same(earlier, document):
                del old[document.place]
            else:
                come.append(document)
        self._served.exchange(shown, old.values(), come)
        if before:
            self._holding[before.found.root] -= before.holding
            if self._shown.get(before.found.real) == shown:
                del self._shown[before.found.real]
        if file:
            self._files[shown] = file
            self._holding[file.found.root] += file.holding
            self._shown[file.found.real] = shown
        (self._troubled.add if file and file.is_troubled else self._troubled.discard)(shown)
        (self._blanked.add if file and file.is_blank else self._blanked.discard)(shown)
        self._unfinished.pop(shown, None)
        if file and file.unfinished_until:
            self._unfinished[shown] = file.unfinished_until

    def _document(self, candidate: Candidate) -> Document | None:
        """The document in the candidate's place; it is gone where a broken document elsewhere keeps the object."""
        file = self._files.get(candidate.file)
        return file.documents.get(candidate.place) if file else None

    def _line_of(self, candidate: Candidate) -> int:
        document = self._document(candidate)
        return document.line + candidate.line if document else 0

    def problems(self) -> tuple[FileProblem, ...]:
        """Every mistake that stands since the last look, by file and line."""
        return self._problems

    def place_of(self, problem: Problem) -> tuple[str, int] | None:
        """File and line of one of ``problems()``; None for any other problem."""
        if self._problem_places is None:
            # Where several mistakes are alike, the first place is theirs.
            self._problem_places = {one.problem: (one.file, one.line) for one in reversed(self._problems)}
        return self._problem_places.get(problem)

    def _find_problems(self) -> None:
        troubled = {shown: self._files[shown] for shown in self._troubled}
        found = itertools.chain(
            self._held_problems(),
            refusals(self._scan.closed),
            file_problems(troubled, self._served.resources),
            duplicate_problems(self._served, self._line_of),
        )
        self._problems = by_place(found)
        self._problem_places = None

    def _held_problems(self) -> Iterator[FileProblem]:
        for root, path in enumerate(self.paths):
            if root in self._emptied:
                message = "is gone" if root in self._scan.missing else "holds no objects any more"
                message += f"; what it held is served until a second look, {HOLD_SECONDS:g} s later, confirms it"
                hint = f"a file {EMPTY_MARKER} in the folder confirms at once"
                yield FileProblem(Problem("FolderEmptied", None, "", message, hint, "warning"), str(path), 0)
            elif root in self._scan.missing:
                yield FileProblem(Problem("PathNotFound", None, "", "no such file or folder"), str(path), 0)
        for shown in self._blanked:
            message = "the file is empty; what it held is served until it has text again, or is deleted"
            hint = "to empty it on purpose, leave a comment in it"
            yield FileProblem(Problem("FileEmptied", None, "", message, hint, "warning"), shown, 0)
        for shown in self._unfinished.keys() - self._blanked:
            message = "the file is still being written; what is missing in it, and what its last document is about, "
            message += f"is served as last read until the file is closed, {WRITING_SECONDS:g} s at most"
            yield FileProblem(Problem("FileUnfinished", None, "", message, "", "warning"), shown, 0)

    def position(self, key: Key, path: str = "") -> tuple[str, int] | None:
        """The file and line of a field of a served object, or of the nearest field around it.

        None where no file has the object. The document is read again at the first question; if it has changed since the
        last look, the line is where the object began.
        """
        candidate = self._served.chosen(key)
        document = self._document(candidate) if candidate else None
        if candidate is None or document is None:
            return None
        if not self._served.is_written(key, candidate.spot):
            return candidate.file, document.line  # broken now: what is served is not in the file any more
        found = self._files[candidate.file].found
        line = self._positions.line(found, document, candidate.within, path)
        return candidate.file, line or self._line_of(candidate)


def _says_the_same(earlier: Document, document: Document) -> bool:
    """Whether nothing but the line has changed; sets that are shared are told apart as one, not key by key."""
    is_same = earlier.reading is document.reading and earlier.keeps == document.keeps
    return is_same and earlier.covers is document.covers


def _may_differ(file: KnownFile) -> bool:
    return file.signature == UNKNOWN or scanning.signature_of(file.found.real) != file.signature


def _mode(path: Path) -> int:
    """The kind of a file, or 0 where there is none."""
    try:
        return path.lstat().st_mode
    except OSError:
        return 0
