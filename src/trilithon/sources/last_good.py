"""Decide which objects a document stands for that cannot be read any more.

A broken document keeps what it last held: unknown is not absent. It is recognised by the names that can still be read
in it, and where there are none, by its place between its neighbours in the file. A document that is gone keeps nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from trilithon.resources.meta import Key
from trilithon.sources.reading import Reading
from trilithon.sources.yaml_documents import RawDocument


class Document(Struct, frozen=True, gc=False):
    """One document of a file. ``place`` stays the same while the document is edited; ``line`` is its first, from 1."""

    place: int
    line: int
    digest: bytes
    reading: Reading
    # Objects that are served as last read because this document is broken.
    keeps: frozenset[Key] = frozenset()

    @property
    def keys(self) -> frozenset[Key]:
        """Every object this document stands for."""
        return self.keeps.union(placed.key for placed in self.reading.good)


def next_documents(
    old: Sequence[Document],
    texts: Sequence[RawDocument],
    read: Callable[[RawDocument], Reading],
    new_place: Callable[[], int],
) -> tuple[Document, ...]:
    """The documents of a file after an edit; ``read`` is called only for texts that were not there before."""
    same = _unchanged(old, texts)
    fresh = {at: read(text) for at, text in enumerate(texts) if at not in same}
    origins = _origins(old, fresh, same)
    inherited = {old[position].place for position in same.values()}
    documents = []
    for at, text in enumerate(texts):
        if at in same:
            document = old[same[at]]
            documents.append(document if document.line == text.line else replace(document, line=text.line))
            continue
        before = [old[position] for position in origins.get(at, ())]
        # Where one document became two, the first of them stays in the old place.
        place = next((document.place for document in before if document.place not in inherited), None) or new_place()
        inherited.add(place)
        documents.append(Document(place, text.line, text.digest, fresh[at], _kept(fresh[at], before)))
    return _without_mended(documents)


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


def _origins(
    old: Sequence[Document], fresh: Mapping[int, Reading], same: Mapping[int, int]
) -> dict[int, tuple[int, ...]]:
    """Which old documents each new one comes from: the unchanged, then by name, then broken ones by place."""
    origins: dict[int, tuple[int, ...]] = {at: (position,) for at, position in same.items()}
    free = sorted(set(range(len(old))) - set(same.values()))
    holders = {key: position for position in free for key in old[position].keys}
    for at, reading in fresh.items():
        names = reading.broken.union(placed.key for placed in reading.good)
        if positions := {holders[key] for key in names if key in holders}:
            origins[at] = tuple(sorted(positions))
    taken = {position for positions in origins.values() for position in positions}
    unplaced = [at for at, reading in fresh.items() if at not in origins and (reading.has_unnamed or reading.broken)]
    for at in unplaced:
        gap = _gap(at, origins, [position for position in free if position not in taken])
        # Of several broken neighbours each takes one, and the last takes what is left: nothing is let go by guessing.
        mine = gap[:1] if at + 1 in unplaced else gap
        if mine:
            origins[at] = tuple(mine)
            taken.update(mine)
    return origins


def _gap(at: int, origins: Mapping[int, tuple[int, ...]], free: Iterable[int]) -> list[int]:
    """The free old documents between the neighbours of a new one; all of them where the file was reordered."""
    earlier = max((other for other in origins if other < at), default=None)
    later = min((other for other in origins if other > at), default=None)
    low = -1 if earlier is None else max(origins[earlier])
    high = None if later is None else min(origins[later])
    if high is not None and high <= low:
        return list(free)
    return [position for position in free if position > low and (high is None or position < high)]


def _kept(reading: Reading, before: Iterable[Document]) -> frozenset[Key]:
    """What a document keeps: objects it names but garbles, and where names are lost, all that its origins held."""
    earlier = frozenset(key for document in before for key in document.keys)
    if reading.has_unnamed or (reading.broken and not reading.broken <= earlier):
        return reading.broken | earlier
    return reading.broken


def _without_mended(documents: Sequence[Document]) -> tuple[Document, ...]:
    """What is good anywhere in the file need not be kept by a broken neighbour."""
    if not any(document.keeps for document in documents):
        return tuple(documents)
    good = {placed.key for document in documents for placed in document.reading.good}
    return tuple(
        replace(document, keeps=document.keeps - good) if document.keeps & good else document for document in documents
    )
