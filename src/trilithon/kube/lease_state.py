"""Decide who leads, from what a Lease says and when that was seen to change.

No IO: time is an argument, in seconds of a clock that only grows. The times written in the Lease are for people: a
clock elsewhere may be wrong by hours, so another's lease ends when it was not *seen* to be renewed for long enough.
"""

from __future__ import annotations

import random

from msgspec import Struct

# Who was killed is followed after at most the first plus the last; the second keeps two from leading at once.
DURATION_SECONDS = 12.0
GIVE_UP_SECONDS = 8.0
RETRY_SECONDS = 2.0


class Held(Struct, frozen=True, gc=False):
    """What a Lease says: who holds it ("" for nobody) for how long after each renewal, and the version it was read at.

    ``version`` "" stands for a Lease that does not exist.
    """

    holder: str = ""
    duration: float = DURATION_SECONDS
    version: str = ""
    transitions: int = 0


class Wait(Struct, frozen=True, gc=False):
    """Look at the Lease again in so many seconds."""

    seconds: float


class Take(Struct, frozen=True, gc=False):
    """Write ourselves into the Lease as it was seen; whoever was faster makes the server refuse."""

    seen: Held

    def is_renewal(self, identity: str) -> bool:
        """Whether we hold it already."""
        return self.seen.holder == identity


class LeaseState:
    """One candidate."""

    def __init__(self, identity: str, dice: random.Random | None = None) -> None:
        self.identity = identity
        self._dice = dice or random.Random()  # noqa: S311 - nothing secret is drawn
        self._seen: Held | None = None
        self._seen_at = float("-inf")
        # Until when we lead for certain.
        self._leads_until = float("-inf")

    @property
    def seen(self) -> Held | None:
        """The Lease as it was seen last, None before that."""
        return self._seen

    def leads(self, now: float) -> bool:
        """Whether we lead: nobody else can before this ends, however slow the API server or we are."""
        return now < self._leads_until

    def ends_in(self, now: float) -> float:
        """Seconds until we stop leading if nothing is renewed."""
        return self._leads_until - now

    def saw(self, held: Held, now: float) -> None:
        """The Lease was read: time for others begins when it is seen to be different, not when that was written."""
        if held != self._seen:
            self._seen, self._seen_at = held, now
        if held.holder != self.identity:
            self._leads_until = float("-inf")

    def took(self, held: Held, sent_at: float, now: float) -> None:
        """Our writing at ``sent_at`` succeeded: it counts from then, as others may have seen it before we knew."""
        self._seen, self._seen_at = held, now
        self._leads_until = sent_at + GIVE_UP_SECONDS

    def gave_up(self) -> None:
        """We lead no more, whatever the Lease says."""
        self._leads_until = float("-inf")

    def next(self, now: float) -> Wait | Take:
        """What to do with the Lease as it was seen last."""
        seen = self._seen
        if seen is None:
            return Wait(0.0)
        is_free = not seen.holder or seen.holder == self.identity
        if is_free or now >= self._seen_at + seen.duration:
            return Take(seen)
        return Wait(min(self.pause(), self._seen_at + seen.duration - now))

    def pause(self) -> float:
        """Seconds between two looks; several candidates do not look in step."""
        return RETRY_SECONDS * self._dice.uniform(0.8, 1.2)
