"""Hold back what vanishes in masses from a complete list, until another list confirms it.

An API server that comes back without its data, or something before it that filters, answers with complete and empty
lists. What single events say, and what a list is without here and there, goes at once.
No IO: time is an argument, in seconds of any clock that only grows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from trilithon.kube.objects import ObjectName

# How long what vanished is held, unless chosen otherwise.
HOLD_SECONDS = 300.0
# So many of a kind, and at least half of it, are a mass.
MANY = 20


def is_mass(missing: int, known: int) -> bool:
    """Whether so many of those known are too many to be gone just because one list is without them."""
    return missing >= MANY and 2 * missing >= known


class Guard:
    """What all watches of a cluster hold back; ``seconds`` for how long, 0 for not at all."""

    def __init__(self, seconds: float = HOLD_SECONDS) -> None:
        self.seconds = seconds
        self._holds: list[Hold] = []

    @property
    def is_alarmed(self) -> bool:
        """Whether anything vanished in a mass and is held."""
        return any(hold.has_mass for hold in self._holds)

    @property
    def is_holding(self) -> bool:
        """Whether anything is held."""
        return any(self._holds)

    def hold(self) -> Hold:
        """What one more watch holds back."""
        hold = Hold(self)
        self._holds.append(hold)
        return hold


class Hold:
    """What one watch holds back: the names of objects, each with the time when a list was first without it."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._since: dict[ObjectName, float] = {}
        # Those that vanished in a mass, and not only at a time when others did.
        self._mass: set[ObjectName] = set()
        # Of how many objects, when the last mass vanished.
        self.known = 0

    def __len__(self) -> int:
        return len(self._since)

    def __contains__(self, name: object) -> bool:
        return name in self._since

    @property
    def names(self) -> Collection[ObjectName]:
        """All of it."""
        return self._since.keys()

    @property
    def seconds(self) -> float:
        """How long each is held."""
        return self._guard.seconds

    @property
    def has_mass(self) -> bool:
        """Whether any of it vanished in a mass."""
        return bool(self._mass)

    def new(self, missing: Iterable[ObjectName]) -> list[ObjectName]:
        """Those of the missing objects that are not held yet."""
        return [name for name in missing if name not in self._since]

    def judge(
        self, missing: Collection[ObjectName], known: int, now: float, *, is_mass: bool, is_next: bool
    ) -> list[ObjectName]:
        """A complete list is without these of so many known objects: returns those that are gone; the others are held.

        ``is_mass`` if those not held yet are one. While anything vanished in a mass, so may have whatever else is
        missing; but not where ``is_next``: the list follows closely on another of that time, and few can go at once.
        """
        new = self.new(missing)
        if self._guard.seconds > 0 and (is_mass or (self._guard.is_alarmed and not is_next)):
            self._since.update((name, now) for name in new)
            self.known = known
            if is_mass:
                self._mass.update(new)
        gone = [name for name in missing if now - self._since.get(name, float("-inf")) >= self._guard.seconds]
        for name in gone:
            self.forget(name)
        return gone

    def forget(self, name: ObjectName) -> None:
        """It is there again, or certainly gone."""
        self._since.pop(name, None)
        self._mass.discard(name)
