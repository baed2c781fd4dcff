"""Decide which objects a document stands for that cannot be read any more.

A broken document keeps what it last held: unknown is not absent. It is recognised by the names that can still be read
in it. Where there are none it may be any document of the file that is missing now, so it keeps the objects of them all,
until it can be read or is gone; with one edit at a time that is exactly its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from trilithon.resources.meta import Key
from trilithon.sources.folder.reading import Reading
from trilithon.sources.folder.yaml_documents import RawDocument


class Document(Struct, frozen=True, gc=False):
    """One document of a file. ``place`` stays the same while the document is edited.

    ``line`` is its first, from 1; its text is the ``size`` bytes from ``start``.
    """

    place: int
    line: int
    start: int
    size: int
    digest: bytes
    reading: Reading
    # Objects that are served as last read because this document is broken: those it names, and those it may have been.
    # The latter are one and the same set for all broken documents of a file, or many documents would hold as many keys
    # each.
    keeps: frozenset[Key] = frozenset()
    covers: frozenset[Key] = frozenset()

    @property
    def own_keys(self) -> frozenset[Key]:
        """The objects this document names."""
        return self.keeps.union(placed.key for placed in self.reading.good)

    @property
    def holds(self) -> bool:
        """Whether it stands for any object."""
        return bool(self.reading.good or self.keeps or self.covers)


def kept(documents: Iterable[Document]) -> frozenset[Key]:
    """Every object that these documents stand for."""
    covered = {id(document.covers): document.covers for document in documents}
    return frozenset().union(*(document.own_keys for document in documents), *covered.values())


def next_documents(
    old: Sequence[Document],
    texts: Sequence[RawDocument],
    read: Callable[[RawDocument], Reading],
    new_place: Callable[[], int],
) -> tuple[Document, ...]:
    """The documents of a file after an edit; ``read`` is called only for texts that were not there before."""
    same = _unchanged(old, texts)
    fresh = {at: read(text) for at, text in enumerate(texts) if at not in same}
    unchanged = set(same.values())
    changed = [document for position, document in enumerate(old) if position not in unchanged]
    homes = _homes(changed)
    known = _known(changed)
    missing = frozenset(homes.keys() - {key for reading in fresh.values() for key in reading.names})
    taken = {old[position].place for position in same.values()}
    vacant = [homes[key] for key in sorted(missing, reverse=True)]
    documents = []
    for at, text in enumerate(texts):
        if at in same:
            document = old[same[at]]
            is_where_it_was = (document.line, document.start) == (text.line, text.start)
            documents.append(document if is_where_it_was else replace(document, line=text.line, start=text.start))
            continue
        reading = fresh[at]
        covers = missing if reading.has_unnamed or not reading.broken <= known else frozenset()
        # Where one document became two, the first of them stays in the old place.
        named = (homes[key] for key in sorted(reading.names) if key in homes)
        place = next((home for home in named if home not in taken), None)
        while place is None and covers and vacant:
            home = vacant.pop()
            place = None if home in taken else home
        place = place or new_place()
        taken.add(place)
        size = len(text.text)
        documents.append(Document(place, text.line, text.start, size, text.digest, reading, reading.broken, covers))
    return _without_mended(documents)


def held_back(
    old: Iterable[Document], documents: Sequence[Document], new_place: Callable[[], int]
) -> tuple[Document, ...]:
    """The documents, and one without text for the objects of the old ones that are in none of them."""
    missing = kept(old) - kept(documents)
    if not missing:
        return tuple(documents)
    return (*documents, Document(new_place(), 1, 0, 0, b"", Reading(), covers=missing))


def _homes(changed: Iterable[Document]) -> dict[Key, int]:
    """The places of the objects in old documents that are not there any more as they were."""
    last = {id(document.covers): document for document in changed}
    homes = {key: document.place for document in last.values() for key in document.covers}
    homes.update((key, document.place) for document in changed for key in document.own_keys)
    return homes


def _known(changed: Iterable[Document]) -> frozenset[Key]:
    """The names by which old documents are recognised: not one that came with an unrecognised document."""
    named = (document.own_keys for document in changed if not document.covers)
    return frozenset().union(*named, *{id(document.covers): document.covers for document in changed}.values())


def _unchanged(old: Sequence[Document], texts: Sequence[RawDocument]) -> dict[int, int]:
    """Which new documents are old ones, letter for letter: position to position."""
    head = 0
    while head < min(len(old), len(texts)) and old[head].digest == texts[head].digest:
        head += 1
    tail = 0
    while tail < min(len(old), len(texts)) - head and old[-1 - tail].digest == texts[-1 - tail].digest:
        tail += 1
    same = {at: at for at in range(head)}
    same.update((len(texts) - 1 - back, len(old) - 1 - back) for back in range(tail))
    moved: dict[bytes, list[int]] = {}
    for position in reversed(range(head, len(old) - tail)):
        moved.setdefault(old[position].digest, []).append(position)
    for at in range(head, len(texts) - tail):
        if places := moved.get(texts[at].digest):
            same[at] = places.pop()
    return same


def _without_mended(documents: Sequence[Document]) -> tuple[Document, ...]:
    """What is good anywhere in the file need not be kept by a broken neighbour."""
    if not any(document.keeps or document.covers for document in documents):
        return tuple(documents)
    good = frozenset(placed.key for document in documents for placed in document.reading.good)
    covered = {id(document.covers): document.covers for document in documents}
    left = {name: covers - good if not covers.isdisjoint(good) else covers for name, covers in covered.items()}
    return tuple(
        document
        if document.keeps.isdisjoint(good) and left[id(document.covers)] is document.covers
        else replace(document, keeps=document.keeps - good, covers=left[id(document.covers)])
        for document in documents
    )
