"""Hold back what a complete list is without, where it may be lost rather than deleted, until another list confirms it.

An API server that comes back without its data, or something before it that filters, answers with complete and empty
lists. What decides:

=========================================================================  =============================================
a complete list is without                                                 what happens
=========================================================================  =============================================
anything, and there is evidence of a loss since the list before            held for ``seconds``
a mass of those known before, what is new counted against what is gone     held for ``CONFIRM_SECONDS``
less                                                                       gone at once
what is never held; EndpointSlices of a Service that has others            gone at once
EndpointSlices that another list lacked before their Service was listed     gone
what is held, and its time is over                                         gone
=========================================================================  =============================================

What an event says is gone at once, and what is there again is held no more. Evidence is that the API server's history
went back, or that the definitions of many kinds vanished together: it counts for every kind. That a kind was not served
counts for that kind. No IO: time is an argument, in seconds of any clock that only grows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from trilithon.kube.objects import ObjectName

# How long what was perhaps lost is held, unless chosen otherwise; and how long a mass without more evidence than that.
HOLD_SECONDS = 300.0
CONFIRM_SECONDS = 20.0
# So many of a kind, and at least half of it, are a mass.
MANY = 20


def is_mass(missing: int, known: int) -> bool:
    """Whether so many of those known are too many to be gone just because one list is without them."""
    return missing >= MANY and 2 * missing >= known


class Guard:
    """What all watches of a cluster hold back; ``seconds`` for how long at most, 0 for not at all."""

    def __init__(self, seconds: float = HOLD_SECONDS) -> None:
        self.seconds = seconds
        # How often there was evidence of a loss, and when last.
        self.losses = 0
        self._lost_at = float("-inf")
        self._holds: list[Hold] = []

    @property
    def is_holding(self) -> bool:
        """Whether anything is held."""
        return any(self._holds)

    def lost(self, now: float) -> None:
        """There is evidence that the API server lost data."""
        self.losses += 1
        self._lost_at = now

    def is_evident(self, losses: int, now: float) -> bool:
        """Whether there was more evidence than so often, and not too long ago."""
        return self.losses > losses and now - self._lost_at < self.seconds

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
        # Those of which there was evidence.
        self._evident: set[ObjectName] = set()
        # Of how many objects, when the last were missed.
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
        """How long any of it is held."""
        return self._guard.seconds if self._evident else self._confirm_seconds

    @property
    def _confirm_seconds(self) -> float:
        return min(CONFIRM_SECONDS, self._guard.seconds)

    def since(self, name: ObjectName) -> float:
        """When a list was first without it."""
        return self._since[name]

    def new(self, missing: Iterable[ObjectName]) -> list[ObjectName]:
        """Those of the missing objects that are not held yet."""
        return [name for name in missing if name not in self._since]

    def judge(
        self, missing: Collection[ObjectName], known: int, now: float, *, is_evident: bool, is_mass: bool
    ) -> list[ObjectName]:
        """A complete list is without these of so many known objects: returns those that are gone; the others are held.

        ``is_evident`` if there is evidence of a loss; ``is_mass`` if those not held yet are one.
        """
        new = self.new(missing)
        if new and (is_evident or is_mass):
            self._since.update((name, now) for name in new)
            self.known = known
        if is_evident:
            self._evident.update(missing)
        gone = [name for name in missing if name not in self._since or now - self._since[name] >= self._time(name)]
        for name in gone:
            self.forget(name)
        return gone

    def _time(self, name: ObjectName) -> float:
        return self._guard.seconds if name in self._evident else self._confirm_seconds

    def forget(self, name: ObjectName) -> None:
        """It is there again, or certainly gone."""
        self._since.pop(name, None)
        self._evident.discard(name)
