"""Decide which objects of an API server to write, and when: events in, jobs out, no IO and no clock.

Someone wants something of an object; the API server holds it in some version. ``decide`` says what to change, and here
is kept when that may be sent: one write of an object at a time, always upon the version that was read last, not too
often, later after a failure. Nothing is sent for an object that is as it should be.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from trilithon.kube.backoff import Backoff
from trilithon.kube.errors import ApiError, ConfigError, CredentialError, KubeError, Unreachable
from trilithon.kube.objects import ObjectPath
from trilithon.model.stored import Stored
from trilithon.resources.meta import Key
from trilithon.sinks.objects.object_versions import is_later, is_newer

# Between two writes of one object: what changes quickly is written in its newest form.
NEWS_SECONDS = 0.5
# The same where we wanted nothing new: somebody else undoes what we write, and is not to be fought.
REPAIR_SECONDS = 1.0
# A conflict is answered by reading anew at once, but not for ever.
QUICK_CONFLICTS = 4
LONGEST_FAILURE_SECONDS = 60.0
# Objects looked at before others get their turn.
LOOKS = 64

Wish = TypeVar("Wish")


class Decision(Struct, frozen=True):
    """What to merge into an object, as a body; an empty one if it is as it should be.

    ``patience`` are seconds to wait, because the wish is about to change; ``trouble`` is what cannot be had, in words.
    """

    body: Mapping[str, Any]
    patience: float = 0.0
    trouble: str = ""


class Read(Struct, frozen=True):
    """Read the object."""

    key: Key
    path: ObjectPath


class Write(Struct, frozen=True):
    """Merge ``body`` into the object; it names the version it is meant for."""

    key: Key
    path: ObjectPath
    body: bytes


Job = Read | Write


class _Box(Struct, Generic[Wish], frozen=True, eq=False):
    """A wish, compared by identity: what is wanted again is news."""

    wish: Wish


class _Object(Generic[Wish]):
    """What is known of one object."""

    __slots__ = (
        "asked",
        "backoff",
        "box",
        "conflicts",
        "is_ready",
        "is_touched",
        "must_read",
        "not_before",
        "passing_since",
        "remark",
        "right",
        "sent",
        "stored",
        "wakes_at",
        "written_at",
    )

    def __init__(self, dice: random.Random) -> None:
        self.stored: Stored | None = None
        self.box: _Box[Wish] | None = None
        self.is_ready = False
        # Something happened while it was busy.
        self.is_touched = False
        # The wish of the last write, and what was known when the last job began.
        self.sent: _Box[Wish] | None = None
        self.asked: Stored | None = None
        self.must_read = False
        # What cannot be had even when everything is written.
        self.remark = ""
        self.conflicts = 0
        self.written_at = float("-inf")
        self.not_before = float("-inf")
        self.passing_since: float | None = None
        self.wakes_at: float | None = None
        # The version that is as it should be for this wish, so that it need not be looked at again.
        self.right: tuple[str, _Box[Wish]] | None = None
        self.backoff = Backoff(dice, longest=LONGEST_FAILURE_SECONDS)


class ObjectWrites(Generic[Wish]):
    """The objects that we write to. ``now`` is seconds of any one monotonic clock.

    ``decide`` is asked about an object as it is stored and a wish; None: another version or wish is to come. What it
    raises is the trouble of that object alone. ``nothing`` is the wish for objects of which nothing is wanted.
    """

    def __init__(
        self, decide: Callable[[Stored, Wish], Decision | None], nothing: Wish, dice: random.Random | None = None
    ) -> None:
        self._decide = decide
        self._nothing = _Box(nothing)
        self._dice = dice or random.Random()  # noqa: S311 - nothing secret is drawn
        self._objects: dict[Key, _Object[Wish]] = {}
        self._ready: deque[Key] = deque()
        self._timers: list[tuple[float, Key]] = []
        self._busy: set[Key] = set()
        # For objects that nobody spoke of; None: not known yet.
        self._otherwise: _Box[Wish] | None = None
        # When the API server as a whole is away, one of us asks, not everyone.
        self._pause_until = float("-inf")
        self._backoff = Backoff(self._dice)
        self._server_trouble = ""
        self._troubles: dict[Key, str] = {}

    # What happens

    def stored(self, key: Key, stored: Stored | None) -> None:
        """This is what the API server holds; None: nothing. What is doubtful is as good as nothing until it is told."""
        if stored is not None and stored.is_doubtful:
            stored = None
        if stored is None and key not in self._objects:
            return
        known = self._object(key)
        if stored is not None and known.stored is not None and not is_newer(stored, known.stored):
            return
        if stored is None or known.stored is None or stored.uid != known.stored.uid:
            # What was learnt of the object of before does not hold for this one.
            known.must_read, known.conflicts, known.right, known.not_before = False, 0, None, float("-inf")
            known.backoff.reset()
        known.stored = stored
        self._touch(key, known)
        self._drop_if_gone(key, known)

    def want(self, key: Key, wish: Wish) -> None:
        """This is what is wanted of the object from now on."""
        known = self._object(key)
        known.box = _Box(wish) if wish != self._nothing.wish else self._nothing
        # What was refused may be right now.
        known.not_before = float("-inf")
        self._touch(key, known)
        self._drop_if_gone(key, known)

    def want_nothing_else(self) -> None:
        """Nothing is wanted of any object, known now or later, that nobody spoke of."""
        self._otherwise = self._nothing
        self.look_again()

    def look_again(self) -> None:
        """Look at everything."""
        for key, known in self._objects.items():
            self._touch(key, known)

    def start_over(self, now: float) -> None:
        """Whoever worked for us is gone, with everything that was under way."""
        for key in self._busy:
            # It may have been written all the same.
            self._objects[key].must_read, self._objects[key].written_at = True, now
        self._busy.clear()
        self.look_again()

    # What to do

    def next(self, now: float) -> Job | None:
        """A job to start now; its end is told by ``read``, ``written`` or ``failed``."""
        while self._timers and self._timers[0][0] <= now:
            at, key = heapq.heappop(self._timers)
            known = self._objects.get(key)
            if known is not None and known.wakes_at == at:
                known.wakes_at = None
                self._touch(key, known)
        if now < self._pause_until:
            return None
        for _ in range(min(LOOKS, len(self._ready))):
            key = self._ready.popleft()
            known = self._objects.get(key)
            # What is busy is never ready.
            if known is None or not known.is_ready:
                continue
            known.is_ready = False
            if (job := self._look(key, known, now)) is not None:
                self._busy.add(key)
                known.is_touched, known.asked = False, known.stored
                return job
        if not (self._ready or self._timers or self._busy):
            # Nobody is left who could notice that the API server is back.
            self._server_trouble = ""
        return None

    def wake_at(self, now: float) -> float | None:
        """When to ask ``next`` again, if nothing else happens: possibly now."""
        times = [self._timers[0][0]] if self._timers else []
        if self._ready:
            times.append(max(now, self._pause_until))
        return min(times, default=None)

    @property
    def trouble(self) -> str:
        """What goes wrong now, in one sentence; "" if nothing does."""
        return self._server_trouble or next(iter(self._troubles.values()), "")

    def _look(self, key: Key, known: _Object[Wish], now: float) -> Job | None:
        stored, box = known.stored, known.box or self._otherwise
        if stored is None or box is None or known.right == (stored.resource_version, box):
            return None
        if now < known.not_before:
            self._wake(key, known, known.not_before)
            return None
        if known.must_read:
            return Read(key, stored.path)
        try:
            decision = self._decide(stored, box.wish)
        except Exception as error:  # noqa: BLE001 - told; the other objects are written all the same
            self._troubles[key] = f"{key}: {type(error).__name__}: {error}"
            return None
        if decision is None:
            known.passing_since = None
            return None
        known.remark = decision.trouble
        if not decision.body:
            known.passing_since = None
            known.right = (stored.resource_version, box)
            self._tell(key, known.remark)
            return None
        at = self._due(known, box, decision, now)
        if at > now:
            self._wake(key, known, at)
            return None
        known.sent, known.wakes_at = box, None
        # The server refuses (409) if this is not the latest version.
        metadata = {**decision.body.get("metadata", {}), "resourceVersion": stored.resource_version}
        return Write(key, stored.path, msgspec.json.encode({**decision.body, "metadata": metadata}))

    def _due(self, known: _Object[Wish], box: _Box[Wish], decision: Decision, now: float) -> float:
        """From when on the object may be written."""
        at = known.written_at + (REPAIR_SECONDS if known.sent is box else NEWS_SECONDS)
        if not decision.patience:
            known.passing_since = None
            return at
        if known.passing_since is None:
            known.passing_since = now
        return max(at, known.passing_since + decision.patience)

    # What came of it

    def read(self, key: Key, stored: Stored) -> None:
        """The object was read."""
        known = self._ended(key)
        self._succeeded()
        known.must_read = False
        # Even if it seems older: it was asked for because what we knew was not right.
        if known.stored is known.asked or is_later(stored, known.stored):
            known.stored = stored
        self._touch(key, known)
        self._drop_if_gone(key, known)

    def written(self, key: Key, stored: Stored, now: float) -> None:
        """The object was written, and this is how it was stored."""
        known = self._ended(key)
        self._succeeded()
        known.backoff.reset()
        known.written_at, known.conflicts = now, 0
        self._tell(key, known.remark)
        if known.stored is known.asked or is_later(stored, known.stored):
            known.stored = stored
        if known.sent is not None and known.stored is not None and known.stored.uid == stored.uid:
            # Also where the server keeps less than it was sent: asking it again would change nothing.
            known.right = (stored.resource_version, known.sent)
        if known.is_touched:
            self._touch(key, known)
        self._drop_if_gone(key, known)

    def failed(self, key: Key, error: KubeError, now: float) -> None:
        """The job failed."""
        known = self._ended(key)
        if isinstance(error, ApiError) and error.status in (404, 409):
            self._succeeded()
            self._outrun(known, error, now)
        elif _is_of_the_server(error):
            if isinstance(error, Unreachable) and not error.is_unsent:
                # It may have been written all the same.
                known.must_read, known.written_at = True, now
                known.not_before = now + known.backoff.failed()
            if now >= self._pause_until:
                self._pause_until = now + self._backoff.failed(_asked(error))
            self._server_trouble = str(error)
        else:
            self._succeeded()
            known.not_before = now + known.backoff.failed(_asked(error))
            self._tell(key, f"{key}: {error}")
        self._touch(key, known)
        self._drop_if_gone(key, known)

    def _outrun(self, known: _Object[Wish], error: ApiError, now: float) -> None:
        """Somebody else was faster: the object is not what it was when we read it.

        That it is gone is for the watch to say: by now another may have its name, of which was told already, and an API
        server that has just started denies kinds that it is about to serve.
        """
        # What was told meanwhile is later than what was asked, and need not be read.
        known.must_read = known.stored is known.asked
        known.conflicts += error.status == 409
        if known.conflicts > QUICK_CONFLICTS or (error.status == 404 and known.must_read):
            known.not_before = now + known.backoff.failed()

    def _succeeded(self) -> None:
        """The API server is there."""
        if self._server_trouble:
            self._server_trouble = ""
            self._backoff.reset()

    # Bookkeeping

    def _ended(self, key: Key) -> _Object[Wish]:
        # What is busy is not dropped.
        self._busy.discard(key)
        return self._objects[key]

    def _object(self, key: Key) -> _Object[Wish]:
        known = self._objects.get(key)
        if known is None:
            known = self._objects[key] = _Object(self._dice)
        return known

    def _drop_if_gone(self, key: Key, known: _Object[Wish]) -> None:
        if known.stored is not None:
            return
        self._troubles.pop(key, None)
        if key not in self._busy and known.box in (None, self._nothing):
            del self._objects[key]

    def _touch(self, key: Key, known: _Object[Wish]) -> None:
        if key in self._busy:
            known.is_touched = True
        elif not known.is_ready:
            known.is_ready = True
            self._ready.append(key)

    def _wake(self, key: Key, known: _Object[Wish], at: float) -> None:
        if known.wakes_at is None or at != known.wakes_at:
            known.wakes_at = at
            heapq.heappush(self._timers, (at, key))

    def _tell(self, key: Key, trouble: str) -> None:
        if trouble:
            self._troubles[key] = trouble
        else:
            self._troubles.pop(key, None)


def _is_of_the_server(error: KubeError) -> bool:
    """Whether it would be the same for any other object."""
    if isinstance(error, ApiError):
        return error.status in (401, 429, 503)
    return isinstance(error, Unreachable | CredentialError | ConfigError)


def _asked(error: KubeError) -> float | None:
    return error.retry_after if isinstance(error, ApiError) else None
