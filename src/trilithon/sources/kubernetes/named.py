"""Know which Secrets and ConfigMaps are named, by whom, which of them are known, and who waits for which.

No IO. A resource that names one that was never asked for waits until that was read: translation never sees missing
what exists. A tenant's Gateway may name thousands, so whatever happens to one of them costs only those that wait for
that very one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import Struct

from trilithon.resources.meta import Key


class Named:
    """Who names what. A resource that is held counts with what it named before and with what it names now."""

    def __init__(self) -> None:
        self._names: dict[Key, frozenset[Key]] = {}
        self._count: Counter[Key] = Counter()
        # What was asked for at least once since it has been named.
        self._settled: set[Key] = set()

    def __contains__(self, key: object) -> bool:
        return key in self._count

    def __iter__(self) -> Iterator[Key]:
        return iter(tuple(self._count))

    def names(self, by: Key, keys: Iterable[Key]) -> tuple[frozenset[Key], frozenset[Key]]:
        """What a resource names from now on; returns what is named for the first time, and what by nobody any more."""
        before, now = self._names.get(by, frozenset()), frozenset(keys)
        if now:
            self._names[by] = now
        else:
            self._names.pop(by, None)
        come = frozenset(key for key in now - before if self._counted(key, 1) == 1)
        gone = frozenset(key for key in before - now if self._counted(key, -1) == 0)
        self._settled -= gone
        return come, gone

    def also_names(self, by: Key, keys: Iterable[Key]) -> frozenset[Key]:
        """The same for a resource that keeps what it named; returns what is named for the first time."""
        return self.names(by, {*self._names.get(by, ()), *keys})[0]

    def settle(self, key: Key) -> None:
        """It was read, is known not to exist, or is told as unknown."""
        if key in self._count:
            self._settled.add(key)

    def unsettled(self, keys: Iterable[Key]) -> frozenset[Key]:
        """Those of the keys whose first reading is not over."""
        return frozenset(key for key in keys if key not in self._settled)

    def _counted(self, key: Key, by: int) -> int:
        self._count[key] += by
        count = self._count[key]
        if count == 0:
            del self._count[key]
        return count


class Held(Struct, eq=False):
    """A resource that waits; ``keys`` are what it names, ``open`` what of that it waits for, ``since`` a time."""

    row: Any
    keys: tuple[Key, ...]
    open: set[Key]
    since: float


class Waiting:
    """The resources that are held, and by what they wait for."""

    def __init__(self) -> None:
        self._held: dict[Key, Held] = {}
        self._holders: dict[Key, dict[Key, None]] = {}

    def __bool__(self) -> bool:
        return bool(self._held)

    def __iter__(self) -> Iterator[Key]:
        return iter(tuple(self._held))

    def __getitem__(self, key: Key) -> Held:
        return self._held[key]

    def hold(self, key: Key, held: Held) -> None:
        """A resource that is not held waits from now on."""
        self._held[key] = held
        for each in held.open:
            self._holders.setdefault(each, {})[key] = None

    def drop(self, key: Key) -> Held | None:
        """It waits no longer, whatever for; None if it did not."""
        held = self._held.pop(key, None)
        for each in held.open if held is not None else ():
            self._forget(each, key)
        return held

    def holders(self, named: Key) -> tuple[Key, ...]:
        """Who waits for this."""
        return tuple(self._holders.get(named, ()))

    def settle(self, key: Key, named: Key) -> Held | None:
        """A resource waits no longer for this; returned, and dropped, when that was the last."""
        held = self._held[key]
        held.open.discard(named)
        self._forget(named, key)
        return None if held.open else self._held.pop(key)

    def _forget(self, named: Key, key: Key) -> None:
        holders = self._holders[named]
        del holders[key]
        if not holders:
            del self._holders[named]
