"""Decide which Events to send and when: a rate for all of them, one for each object, and none that is stale.

No IO and no clock: time is an argument, in seconds of any one clock that only grows.
"""

from __future__ import annotations

from collections import OrderedDict, deque

from msgspec import Struct

from trilithon.resources.meta import Key
from trilithon.resources.problem import Problem

# Enough for what a person does; a mistake that breaks a thousand routes is told by their statuses.
BURST = 40
SECONDS_EACH = 0.2
OBJECT_BURST = 8
OBJECT_SECONDS_EACH = 30.0
# Waiting for their turn, or for this process to lead.
MOST_WAITING = 512
STALE_SECONDS = 120.0
# Objects whose rate is remembered.
MOST_OBJECTS = 4096


class Occurrence(Struct, frozen=True, gc=False):
    """A problem that appeared in the object with this uid."""

    key: Key
    uid: str
    problem: Problem


class _Bucket:
    """Tokens that come back with time."""

    __slots__ = ("_at", "_burst", "_seconds", "_tokens")

    def __init__(self, burst: int, seconds: float, now: float) -> None:
        self._burst, self._seconds = float(burst), seconds
        self._tokens, self._at = float(burst), now

    def missing(self, now: float) -> float:
        """Seconds until there is a token; 0 if there is one."""
        self._tokens = min(self._burst, self._tokens + (now - self._at) / self._seconds)
        self._at = now
        # What is missing by rounding alone is there.
        return max(0.0, (1.0 - self._tokens) * self._seconds) if self._tokens < 1.0 - 1e-9 else 0.0

    def take(self) -> None:
        self._tokens -= 1.0

    def give_back(self) -> None:
        """What a token was taken for did not happen."""
        self._tokens = min(self._burst, self._tokens + 1.0)


class EventQueue:
    """Occurrences on their way."""

    def __init__(self, now: float) -> None:
        self._waiting: deque[tuple[float, Occurrence]] = deque()
        self._all = _Bucket(BURST, SECONDS_EACH, now)
        self._objects: OrderedDict[str, _Bucket] = OrderedDict()

    def add(self, occurrence: Occurrence, now: float) -> None:
        """One more, unless its object had too many already; where too many wait, the oldest goes."""
        self._drop_stale(now)
        if self._bucket(occurrence.uid, now).missing(now) > 0.0:
            return
        if len(self._waiting) >= MOST_WAITING:
            self._drop_oldest()
        self._objects[occurrence.uid].take()
        self._waiting.append((now, occurrence))

    def next(self, now: float) -> Occurrence | None:
        """One to be sent now."""
        self._drop_stale(now)
        if not self._waiting or self._all.missing(now) > 0.0:
            return None
        self._all.take()
        return self._waiting.popleft()[1]

    def _bucket(self, uid: str, now: float) -> _Bucket:
        """The rate of one object; those that nothing was told of for longest are forgotten."""
        bucket = self._objects.get(uid)
        if bucket is None:
            bucket = self._objects[uid] = _Bucket(OBJECT_BURST, OBJECT_SECONDS_EACH, now)
            if len(self._objects) > MOST_OBJECTS:
                self._objects.popitem(last=False)
        self._objects.move_to_end(uid)
        return bucket

    def _drop_stale(self, now: float) -> None:
        while self._waiting and now - self._waiting[0][0] > STALE_SECONDS:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        """It was never sent, so that its object may have another instead."""
        _, occurrence = self._waiting.popleft()
        bucket = self._objects.get(occurrence.uid)
        if bucket is not None:
            bucket.give_back()

    def wait(self, now: float) -> float | None:
        """Seconds until one can be sent; None if none waits."""
        return self._all.missing(now) if self._waiting else None
