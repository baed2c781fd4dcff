"""Keep what is to be looked at, and when: each key once, and none while it is being looked at. No IO and no clock."""

from __future__ import annotations

import heapq

from trilithon.resources.meta import Key


class Agenda:
    """Keys with the time from which each may be taken, in seconds of any one clock."""

    def __init__(self) -> None:
        self._at: dict[Key, float] = {}
        self._heap: list[tuple[float, Key]] = []
        self._busy: set[Key] = set()
        # No look at a key before this.
        self._not_before: dict[Key, float] = {}

    def put(self, key: Key, at: float) -> None:
        """Look at it from this time on; an earlier time that was said stands."""
        at = max(at, self._not_before.get(key, at))
        if at < self._at.get(key, float("inf")):
            self._at[key] = at
            heapq.heappush(self._heap, (at, key))

    def take(self, now: float) -> Key | None:
        """A key to look at now; ``done`` ends that."""
        waiting: list[tuple[float, Key]] = []
        found = None
        while self._heap and self._heap[0][0] <= now:
            at, key = heapq.heappop(self._heap)
            if self._at.get(key) != at:
                continue
            if key in self._busy:
                waiting.append((at, key))
                continue
            del self._at[key]
            self._busy.add(key)
            found = key
            break
        for entry in waiting:
            heapq.heappush(self._heap, entry)
        return found

    def done(self, key: Key, rest_until: float | None = None) -> None:
        """The look has ended; the next one is not before ``rest_until``."""
        self._busy.discard(key)
        if rest_until is None:
            self._not_before.pop(key, None)
            return
        self._not_before[key] = rest_until
        at = self._at.get(key)
        if at is not None and at < rest_until:
            self._at[key] = rest_until
            heapq.heappush(self._heap, (rest_until, key))

    def next_at(self) -> float | None:
        """When ``take`` may find something, as far as is known now; busy keys are told of by ``done``."""
        times = [at for at, key in self._heap[:1] if self._at.get(key) == at and key not in self._busy]
        if times:
            return times[0]
        return min((at for key, at in self._at.items() if key not in self._busy), default=None)
