"""One resource type on one Envoy's stream: what Envoy asked for, what it has, what it refuses, and what to send next.

A feed always strives to bring Envoy to the wanted resources. When something becomes wanted, and when something may be
taken away, is decided elsewhere. At most one response is outstanding; while Envoy works on it, changes gather in a set
of names, so a slow Envoy gets the latest state and never a queue.

What the protocol leaves open, and what Envoy 1.40 was seen to do:

* A refused response may have been applied in full, in part or not at all: one resource that does not validate discards
  the whole response, one that cannot be used leaves its siblings applied. So after a refusal every resource in it is
  in doubt and is sent again, in halves, until the offender is alone. (If the stream ends before that, what Envoy took
  from the refused response stays unknown: it reports acknowledged resources only.)
* A subscriber to one name that does not exist is told that it is removed. Envoy then stops waiting: the cluster has no
  endpoints, the listener goes live. To a name that Envoy holds already nothing is said: it serves on.
* Removals are reported for wildcard subscriptions only. What was asked for by name is given up by whoever asked.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct

from trilithon.xds.resource import CLUSTER, LISTENER, SCOPED_ROUTE, XdsResource

WILDCARD = "*"
# "First request with no names" means everything, but only for these (xDS, "How the client specifies what to return").
_LEGACY_WILDCARD = frozenset({CLUSTER, LISTENER, SCOPED_ROUTE})

FIRST_RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 30.0


class Request(Struct, frozen=True):
    """One DeltaDiscoveryRequest. ``error`` is None for an acknowledgement; ``versions`` is what Envoy has already."""

    type_url: str
    subscribe: tuple[str, ...] = ()
    unsubscribe: tuple[str, ...] = ()
    versions: Mapping[str, str] = {}
    nonce: str = ""
    error: str | None = None


class Response(Struct, frozen=True):
    """One DeltaDiscoveryResponse, before encoding."""

    type_url: str
    nonce: str
    resources: tuple[XdsResource, ...] = ()
    removed: tuple[str, ...] = ()


class Refusal(Struct, frozen=True, gc=False):
    """Envoy's no to one version of a resource. ``retry_at`` is the time to try again, None for never.

    Only what may heal by itself is tried again: a port that is taken now can be free later.
    """

    version: str
    message: str
    retry_at: float | None = None
    delay: float = 0.0


class Settled(Struct, frozen=True):
    """The names a request spoke of, and the number of the response that it answered (0: none)."""

    names: tuple[str, ...]
    number: int


class _Flight(Struct, frozen=True):
    number: int
    # The version on its way; None: its removal.
    versions: dict[str, str | None]


class Withheld(Protocol):
    """Knows what is published but not wanted yet, because its turn has not come."""

    def withholds(self, type_url: str, name: str) -> bool:
        """Whether this resource is."""

    def withholds_any(self, type_url: str) -> bool:
        """Whether any resource of this type is."""


_NOTHING_IN_FLIGHT = _Flight(0, {})


class Feed:
    """The state of one resource type on one stream. Times are seconds of any one monotonic clock."""

    def __init__(self, type_url: str) -> None:
        self.type_url = type_url
        self.opened = False
        self.wanted: dict[str, XdsResource] = {}
        self.held: dict[str, str] = {}
        self.refused: dict[str, Refusal] = {}
        self._wildcard = False
        self._names: set[str] = set()
        # Names that Envoy brought and that were never wanted since: not those that go because we let them go.
        self.strange: set[str] = set()
        # Rises whenever ``held`` may have changed.
        self.changes = 0
        self._flight = _NOTHING_IN_FLIGHT
        # Dicts serve as ordered sets: what was wanted first is sent first.
        self._due: dict[str, None] = {}
        self._gone: dict[str, None] = {}
        # Names that do not exist, of which a subscriber waits to hear.
        self._absent: dict[str, None] = {}
        # Names to send whatever version Envoy holds.
        self._anew: set[str] = set()
        # Names of a refused response, of which Envoy may have the new version, the old one or none; to be tried apart.
        self._doubted: set[str] = set()
        self._apart: deque[tuple[str, ...]] = deque()
        self._owes_greeting = False

    # --- what is wanted ---

    def want(self, resource: XdsResource) -> None:
        """Bring Envoy to this version of the resource, if and when it subscribes to the name."""
        name = resource.name
        self.wanted[name] = resource
        self.strange.discard(name)
        self._gone.pop(name, None)
        self._absent.pop(name, None)
        refusal = self.refused.get(name)
        if refusal is not None and refusal.version != resource.version:
            # Other content deserves another chance.
            del self.refused[name]
        self._review(name)

    def unwant(self, name: str) -> None:
        """Stop sending this resource. Envoy keeps what it has until ``remove``."""
        if self.wanted.pop(name, None) is None:
            return
        self.refused.pop(name, None)
        if name in self._names and (name in self._anew or name not in self.held):
            # Somebody waits for it, such as a cluster that is not warm yet: a last word ends the wait.
            self._absent[name] = None
        self._review(name)

    def remove(self, name: str) -> None:
        """Tell a wildcard subscriber that this unwanted resource exists no longer."""
        if self.knows(name) and self.covers(name):
            self._gone[name] = None

    def refresh(self, name: str) -> None:
        """Send this resource once more to a subscriber that may wait for it again."""
        # Before the first request too: it will not tell that Envoy, which holds the resource, yet waits for it.
        if not self.opened or name in self._names:
            self._anew.add(name)
            if self.opened and name not in self.wanted:
                self._absent[name] = None
            self._review(name)

    # --- what Envoy knows and what is under way ---

    def covers(self, name: str) -> bool:
        """Whether Envoy has subscribed to this name."""
        return self._wildcard or name in self._names

    def knows(self, name: str) -> bool:
        """Whether Envoy has the resource in some version, or may have."""
        return name in self.held or name in self._flight.versions or name in self._doubted

    def is_unsettled(self, name: str) -> bool:
        """Whether something about this name is still to be sent or to be acknowledged."""
        return name in self._due or name in self._gone or name in self._flight.versions

    def unsettled(self) -> set[str]:
        """All names for which ``is_unsettled`` holds."""
        return {*self._due, *self._gone, *self._flight.versions}

    def keeps_refused(self) -> bool:
        """Whether Envoy serves on with an older version of something, because it refused the wanted one."""
        return any(name in self.held or name in self._doubted for name in self.refused)

    def remembers(self, name: str) -> bool:
        """Whether Envoy has made this feed remember the name."""
        return name in self._names or name in self.held

    def counts(self) -> tuple[int, int]:
        """How many of the wanted resources Envoy asked for, and how many of these it has at the wanted version."""
        asked = [(name, resource.version) for name, resource in self.wanted.items() if self.covers(name)]
        return len(asked), sum(self.held.get(name) == version for name, version in asked)

    # --- what Envoy says ---

    def receive(self, request: Request, now: float) -> Settled:
        """Take in one request; returns whatever it settled. Answers to anything but the last response are ignored."""
        self.changes += 1
        settled = self._answered(request, now)
        touched = [*settled.names, *self._unsubscribed(request.unsubscribe)]
        if not self.opened:
            self._open(request)
        else:
            for name in request.subscribe:
                self._subscribe(name)
        return Settled(tuple(touched), settled.number)

    def _open(self, request: Request) -> None:
        self.opened = True
        self.held = dict(request.versions)
        self._names = set(request.subscribe) - {WILDCARD}
        self._wildcard = WILDCARD in request.subscribe or (not request.subscribe and self.type_url in _LEGACY_WILDCARD)
        self.strange = {name for some in (self._names, self.held) for name in some if name not in self.wanted}
        self._owes_greeting = self._wildcard and not self.held
        if not self._wildcard:
            self._anew &= self._names
        for name in tuple(self.wanted) if self._wildcard else request.subscribe:
            self._review(name)
        self._absent = {name: None for name in request.subscribe if self._is_missing(name)}

    def _is_missing(self, name: str) -> bool:
        return name in self._names and name not in self.wanted and (name in self._anew or name not in self.held)

    def _subscribe(self, name: str) -> None:
        if name == WILDCARD:
            self._wildcard = True
            self._owes_greeting = not self.held
            for known in tuple(self.wanted):
                self._review(known)
            return
        if name in self.wanted:
            self._anew.add(name)
        else:
            self._absent[name] = None
            if not self.remembers(name):
                self.strange.add(name)
        # Whoever subscribes once more has forgotten it (xDS, "Subscribing to resources").
        self._names.add(name)
        self.held.pop(name, None)
        self._review(name)

    def _unsubscribed(self, names: tuple[str, ...]) -> list[str]:
        left: list[str] = []
        for name in names:
            if name == WILDCARD:
                self._wildcard = False
                left.extend(known for known in (*self.held, *self._due) if known not in self._names)
            else:
                self._names.discard(name)
                left.append(name)
        for name in left:
            self.strange.discard(name)
            if self._wildcard:
                # Still covered, and the protocol wants that said of what there is.
                self.held.pop(name, None)
                if name in self.wanted or name in self._flight.versions:
                    self._anew.add(name)
            else:
                for collection in (self.held, self.refused, self._gone, self._absent):
                    collection.pop(name, None)
                self._anew.discard(name)
                self._doubted.discard(name)
            self._review(name)
        return left

    def _answered(self, request: Request, now: float) -> Settled:
        flight = self._flight
        if not flight.number or request.nonce != str(flight.number):
            return Settled((), 0)
        self._flight = _NOTHING_IN_FLIGHT
        upserts = {name: version for name, version in flight.versions.items() if version is not None}
        if request.error is not None and upserts and len(flight.versions) > 1:
            self._doubt(upserts, flight)
            # No answer yet, except for what is not to be sent again.
            return Settled(tuple(flight.versions), 0)
        for name, version in flight.versions.items():
            if version is None:
                # A removal cannot be refused.
                self.held.pop(name, None)
                self._doubted.discard(name)
                if name not in self._names:
                    self.strange.discard(name)
            elif request.error is not None:
                self._refuse(name, version, request.error, now)
            elif self.covers(name):
                self.held[name] = version
                self._doubted.discard(name)
                self.refused.pop(name, None)
            self._review(name)
        return Settled(tuple(flight.versions), flight.number)

    def _doubt(self, upserts: Mapping[str, str], flight: _Flight) -> None:
        self._doubted.update(name for name in upserts if self.covers(name))
        names, half = tuple(upserts), len(upserts) // 2
        self._apart.extendleft(part for part in (names[half:], names[:half]) if part)
        for name in flight.versions:
            if name not in upserts and name not in self.wanted:
                self._gone[name] = None
            self._review(name)

    def _refuse(self, name: str, version: str, message: str, now: float) -> None:
        wanted = self.wanted.get(name)
        if wanted is None or wanted.version != version:
            return
        retry_at, delay = None, 0.0
        if self.type_url == LISTENER and _may_heal(message):
            before = self.refused.get(name)
            delay = min(2 * before.delay, LONGEST_RETRY_SECONDS) if before and before.delay else FIRST_RETRY_SECONDS
            retry_at = now + delay
        self.refused[name] = Refusal(version, message, retry_at, delay)

    # --- what to send ---

    def retry(self, now: float) -> None:
        """Try again the refused resources whose time has come; they stay refused until Envoy takes them."""
        for name, refusal in self.refused.items():
            if refusal.retry_at is not None and refusal.retry_at <= now and name not in self._flight.versions:
                self._anew.add(name)
                self._review(name)

    def next_retry(self) -> float | None:
        """When ``retry`` has something to do."""
        return min(
            (
                refusal.retry_at
                for name, refusal in self.refused.items()
                if refusal.retry_at is not None and name not in self._anew and name not in self._flight.versions
            ),
            default=None,
        )

    def next(self, number: int, withheld: Withheld) -> Response | None:
        """The response to send now, or None. ``number`` becomes its nonce: larger than any before on this stream."""
        if not self.opened or self._flight.number:
            # Envoy does not speak this type, or owes an answer.
            return None
        names = self._batch()
        gone: tuple[str, ...] = ()
        absent: tuple[str, ...] = ()
        if not names:
            names = tuple(self._due)
            gone = tuple(self._gone)
            absent = tuple(name for name in self._absent if not withheld.withholds(self.type_url, name))
        # A wildcard subscriber without anything waits for a first answer, even an empty one.
        owes = self._owes_greeting and not withheld.withholds_any(self.type_url)
        return self._send(number, names, gone, absent) if names or gone or absent or owes else None

    def _batch(self) -> tuple[str, ...]:
        """The next names that must be sent by themselves."""
        while self._apart:
            names = tuple(name for name in self._apart.popleft() if name in self._due)
            if names:
                return names
        # What was refused before would take the others down with it.
        suspects = [name for name in self._due if name in self.refused] if self.refused else []
        if suspects and len(self._due) > 1:
            self._apart.extend((name,) for name in suspects)
            good = tuple(name for name in self._due if name not in self.refused)
            return good or self._apart.popleft()
        return ()

    def _send(self, number: int, names: tuple[str, ...], gone: tuple[str, ...], absent: tuple[str, ...]) -> Response:
        resources = tuple(self.wanted[name] for name in names)
        versions: dict[str, str | None] = {resource.name: resource.version for resource in resources}
        versions.update(dict.fromkeys((*gone, *absent)))
        self._flight = _Flight(number, versions)
        self._owes_greeting = False
        for name in names:
            del self._due[name]
            self._anew.discard(name)
        for name in gone:
            del self._gone[name]
        for name in absent:
            del self._absent[name]
            self._anew.discard(name)
        return Response(self.type_url, str(number), resources, (*gone, *absent))

    def _review(self, name: str) -> None:
        """Put the name among those to send, or take it out."""
        if self._is_due(name):
            self._due.setdefault(name)
        else:
            self._due.pop(name, None)

    def _is_due(self, name: str) -> bool:
        wanted = self.wanted.get(name)
        if wanted is None or not self.covers(name):
            return False
        if name in self._anew:
            return True
        refusal = self.refused.get(name)
        if refusal is not None and refusal.version == wanted.version:
            return False
        flying = self._flight.versions
        if name in flying:
            return flying[name] != wanted.version
        return name in self._doubted or self.held.get(name) != wanted.version


def _may_heal(message: str) -> bool:
    causes = ("cannot bind", "failed to bind", "cannot listen", "duplicate address")
    return any(cause in message for cause in causes)
