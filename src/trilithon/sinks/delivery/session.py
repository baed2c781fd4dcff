"""One Envoy's delta ADS stream as a state machine: events in, responses out, no IO and no clock.

``Session.handle(event, now)`` takes a request, a publication or the passing of time, and returns the responses to
write, in order. What Envoy made of them is read from the session afterwards. A session whose Gateway has never been
published answers nothing at all: what we do not know yet must not look like an empty configuration.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from msgspec import Struct

from trilithon.model.proxy import Acked, Rejected
from trilithon.sinks.delivery.feed import Feed, Request, Response
from trilithon.sinks.delivery.order import GRACE_SECONDS, SUPPLY_TYPES, Order, ResourceKey
from trilithon.xds.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE, SCOPED_ROUTE, SECRET, XdsResource, shape_of

LONGEST_MESSAGE = 500
MOST_STRANGE_TOLD = 1_000
_NONE_ACKED: frozenset[Acked] = frozenset()
# What listeners are made of. All else comes and goes without a change of the Gateway.
_TOLD = (LISTENER, ROUTE, SECRET)
# Envoy adds the refused message itself after this mark: long, and for a Secret it holds the key.
_DUMP_MARK = "goo.gle/debug"
_VERDICT_MARK = ": Proto constraint validation failed"


class Published(Struct, frozen=True):
    """The Gateway's wanted resources changed; the first one of a session carries all of them."""

    revision: int
    upserts: tuple[XdsResource, ...] = ()
    removals: tuple[ResourceKey, ...] = ()


class Tick(Struct, frozen=True):
    """Time has passed, to ``Session.wake_at`` or beyond."""


Event = Request | Published | Tick


class _Feeds(dict[str, Feed]):
    """Of each type that is asked for.

    A type that we never publish is answered too, with "does not exist": the subscriber must not wait.
    """

    def __missing__(self, type_url: str) -> Feed:
        feed = self[type_url] = Feed(type_url)
        return feed


class Session:
    """One stream. ``now`` is seconds of any one monotonic clock; grace is how long an unused cluster stays."""

    def __init__(self, grace: float = GRACE_SECONDS) -> None:
        # Clusters before their endpoints: Envoy reads in order, and waits for both before it acknowledges the clusters.
        first = (CLUSTER, *SUPPLY_TYPES, LISTENER, SCOPED_ROUTE, ROUTE)
        self._feeds = _Feeds((type_url, Feed(type_url)) for type_url in first)
        # Not by way of the session itself: a session with all its names goes when its stream does.
        self._order = Order(self._feeds.__getitem__, grace)
        self._sent = 0
        # Of each type, with the changes of its feed until then.
        self._acked: dict[str, tuple[int, frozenset[Acked]]] = {}
        self._is_published = False

    def handle(self, event: Event, now: float) -> tuple[Response, ...]:
        """What to write to the stream now."""
        match event:
            case Request():
                self._receive(event, now)
            case Published():
                self._publish(event)
            case Tick():
                for feed in self._feeds.values():
                    feed.retry(now)
        if not self._is_published:
            return ()
        self._order.advance(self._sent, now)
        return self._responses()

    def _receive(self, request: Request, now: float) -> None:
        feed = self._feeds[request.type_url]
        was_open = feed.opened
        if request.error is not None:
            request = _with_reason(request)
        settled = feed.receive(request, now)
        if not was_open and feed.type_url == ENDPOINT and not self._feeds[CLUSTER].opened:
            # Envoy speaks of its clusters first, unless some are not warm: these wait for endpoints that the last
            # stream owed to them, though Envoy reports endpoints of before as held.
            for name in request.subscribe:
                feed.refresh(name)
        if not was_open and self._is_published:
            self._order.opened(feed)
        self._order.settled(request.type_url, settled)

    def _publish(self, event: Published) -> None:
        self._order.publish(event.upserts, event.removals, event.revision)
        if not self._is_published:
            self._is_published = True
            for feed in self._feeds.values():
                if feed.opened:
                    self._order.opened(feed)

    def _responses(self) -> tuple[Response, ...]:
        responses: list[Response] = []
        for feed in self._feeds.values():
            response = feed.next(self._sent + 1, self._order)
            if response is None:
                continue
            self._sent += 1
            responses.append(response)
            if feed.type_url == CLUSTER:
                # A changed cluster warms up anew and waits for its endpoints, but Envoy does not ask for them again.
                for resource in response.resources:
                    self._feeds[ENDPOINT].refresh(resource.name)
        return tuple(responses)

    # --- what is known of this Envoy ---

    @property
    def types(self) -> Collection[str]:
        """The types that are known to this session: those that we publish, and what else Envoy asked for."""
        return self._feeds.keys()

    @property
    def strange(self) -> int:
        """How many names it remembers only because Envoy named them: none that was wanted, and may go by and by."""
        return sum(len(feed.strange) for feed in self._feeds.values())

    def remembers(self, type_url: str, name: str) -> bool:
        """Whether Envoy has named this before, or got it, and has not given it up."""
        feed = self._feeds.get(type_url)
        return feed is not None and feed.remembers(name)

    @property
    def applied(self) -> int:
        """The newest revision of which Envoy has answered for everything; 0 before the first."""
        return self._order.applied

    @property
    def wake_at(self) -> float | None:
        """When to send a ``Tick``, if nothing else happens."""
        times = (self._order.next_departure(), *(feed.next_retry() for feed in self._feeds.values()))
        return min((at for at in times if at is not None), default=None)

    def acked(self) -> tuple[frozenset[Acked], ...]:
        """The Envoy listeners, the route tables and the secrets it has, at the acknowledged shape of each.

        What has not changed is the same object as before. Of each type not more than MOST_STRANGE_TOLD that were never
        published: they matter to nobody, and all replicas are told.
        """
        return tuple(self._acked_of(self._feeds[type_url]) for type_url in _TOLD)

    def _acked_of(self, feed: Feed) -> frozenset[Acked]:
        changes, acked = self._acked.get(feed.type_url, (-1, _NONE_ACKED))
        # What of many strange names is told depends on more than the feed.
        if changes != feed.changes or len(feed.strange) > MOST_STRANGE_TOLD:
            told = self._told(feed)
            acked = frozenset(Acked(feed.type_url, name, shape_of(feed.type_url, version)) for name, version in told)
            self._acked[feed.type_url] = (-1 if len(feed.strange) > MOST_STRANGE_TOLD else feed.changes, acked)
        return acked

    def _told(self, feed: Feed) -> Iterator[tuple[str, str]]:
        if len(feed.strange) <= MOST_STRANGE_TOLD:
            yield from feed.held.items()
            return
        strange = 0
        for name, version in feed.held.items():
            if name in feed.strange and not self._order.withholds(feed.type_url, name):
                strange += 1
                if strange > MOST_STRANGE_TOLD:
                    continue
            yield name, version

    @property
    def refuses(self) -> bool:
        """Whether it refuses anything."""
        return any(feed.refused for feed in self._feeds.values())

    def rejected(self) -> tuple[Rejected, ...]:
        """What it refuses, sorted."""
        return tuple(
            sorted(
                Rejected(feed.type_url, name, refusal.version, refusal.message)
                for feed in self._feeds.values()
                for name, refusal in feed.refused.items()
            )
        )

    def counts(self) -> tuple[int, int]:
        """How many resources it asked for that are wanted, and how many of them it has at the wanted version."""
        counts = [feed.counts() for feed in self._feeds.values()]
        return sum(wanted for wanted, _ in counts), sum(held for _, held in counts)


def _with_reason(request: Request) -> Request:
    """The request with Envoy's error in one line, without the dump of what was refused."""
    message = request.error or ""
    dump = message.find(_DUMP_MARK)
    if dump >= 0:
        verdict = message.rfind(_VERDICT_MARK)
        message = message[:dump].rstrip(" :") + (message[verdict:] if verdict > dump else "")
    line = " ".join(message.split()).strip(" :")
    return Request(
        type_url=request.type_url,
        subscribe=request.subscribe,
        unsubscribe=request.unsubscribe,
        versions=request.versions,
        nonce=request.nonce,
        error=line[:LONGEST_MESSAGE] or "refused without a reason",
    )
