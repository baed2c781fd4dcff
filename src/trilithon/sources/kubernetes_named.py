"""Know which Secrets and ConfigMaps are named, by whom, and which of them have been read.

No IO. A resource that names one that was never asked for waits until that was read: translation never sees missing
what exists.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

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
        """It was read, or is known not to exist, or cannot be read now."""
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
