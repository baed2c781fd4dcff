"""Make before break, for one Envoy: decide when a change may reach it.

Changes of one publication are a transaction in five steps; each waits until Envoy has answered for the names that
were open when the step began.

1. CLUSTERS   new and changed clusters. Envoy acknowledges them when they are warm, that is with endpoints and secrets.
2. SUPPLIES   endpoints and secrets of clusters that were there before.
3. LISTENERS  Envoy listeners, added, changed and removed; with them the tables that no listener used so far.
              Before the tables that are in use, so that a filter is in place when the routes that need it arrive.
4. ROUTES     route tables in use.
5. Clusters that nothing names any more leave after a grace.

Clusters, endpoints and secrets harm nobody who does not use them, so these go out at once, at any time, whatever step
is under way: a new endpoint never waits for a route. What is published during a transaction gathers for the next one,
and a step waits for a fixed set of names, so that not even constant change can starve a route.

A refused resource counts as answered. If a cluster is refused, the routes to it move all the same: it is one backend
that answers 503 (or serves on with its older version), against all other routes of the table that would stay behind.
But as long as Envoy keeps an older listener or table because it refused the new one, no cluster leaves: the older one
still names them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum, auto

from trilithon.sinks.delivery.feed import Feed, Settled
from trilithon.xds.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE, SCOPED_ROUTE, SECRET, XdsResource

# In the order in which one step sends them.
SUPPLY_TYPES = (SECRET, ENDPOINT)
ROUTE_TYPES = (SCOPED_ROUTE, ROUTE)
_MOVING = frozenset({LISTENER, *ROUTE_TYPES})
# Of these Envoy learns what is gone; what it asked for by name it gives up by itself.
_BY_WILDCARD = frozenset({CLUSTER, LISTENER, SCOPED_ROUTE})

# A request chooses its cluster early and looks it up again when it is retried, mirrored, or has waited for a filter.
# Those in flight on a connection survive the removal; these do not. 30 s is twice Envoy's default route timeout.
GRACE_SECONDS = 30.0

ResourceKey = tuple[str, str]


class Stage(Enum):
    """The step of a transaction whose answers are awaited."""

    IDLE = auto()
    CLUSTERS = auto()
    SUPPLIES = auto()
    LISTENERS = auto()
    ROUTES = auto()


class Order:
    """Releases published changes to the feeds of one stream. Times are seconds of any one monotonic clock."""

    def __init__(self, feed: Callable[[str], Feed], grace: float = GRACE_SECONDS) -> None:
        self._feed = feed
        self._grace = grace
        self.stage = Stage.IDLE
        # The newest revision of which everything has been answered for.
        self.applied = 0
        self._awaited: set[ResourceKey] = set()
        self._last_sent_before = 0
        # Of the transaction under way, and of the next one; None is a removal.
        self._moves: dict[ResourceKey, XdsResource | None] = {}
        self._revision = 0
        self._next_moves: dict[ResourceKey, XdsResource | None] = {}
        self._next_revision: int | None = None
        # Clusters and supplies that nothing names once the transaction under way, or the next one, is through.
        self._drops: set[ResourceKey] = set()
        self._next_drops: set[ResourceKey] = set()
        # Those that nothing names now, with the time at which they go; the first one goes first.
        self._leaving: dict[ResourceKey, float] = {}

    # --- what comes in ---

    def publish(self, upserts: Iterable[XdsResource], removals: Iterable[ResourceKey], revision: int) -> None:
        """Take in the changes up to this revision."""
        touched: list[ResourceKey] = []
        for resource in upserts:
            key = (resource.type_url, resource.name)
            if resource.type_url in _MOVING:
                self._next_moves[key] = resource
                continue
            self._drops.discard(key)
            self._next_drops.discard(key)
            self._leaving.pop(key, None)
            self._feed(resource.type_url).want(resource)
            touched.append(key)
        for key in removals:
            if key[0] in _MOVING:
                self._next_moves[key] = None
                continue
            # It stays wanted: the routes under way may name it.
            self._next_drops.add(key)
            self._forget_refused(key)
        self._next_revision = revision
        self._awaited.difference_update(key for key in touched if not self._feed(key[0]).is_unsettled(key[1]))

    def opened(self, feed: Feed) -> None:
        """Envoy has said what it holds of a type: what was never wanted goes the same way as what is wanted no more."""
        type_url = feed.type_url
        ahead = self._moves_ahead()
        for name in feed.held:
            if name in feed.wanted or self.withholds(type_url, name):
                continue
            if type_url == CLUSTER:
                self._drops.add((type_url, name))
            elif type_url in _MOVING and ahead is not None:
                ahead.setdefault((type_url, name), None)
            elif type_url in _BY_WILDCARD:
                feed.remove(name)

    def _moves_ahead(self) -> dict[ResourceKey, XdsResource | None] | None:
        """The moves that wait for clusters, or None where they are made."""
        if self.stage in (Stage.CLUSTERS, Stage.SUPPLIES, Stage.LISTENERS):
            return self._moves
        return self._next_moves if self.stage is Stage.IDLE and self._next_revision is not None else None

    def settled(self, type_url: str, settled: Settled) -> None:
        """Envoy has answered for these names."""
        feed = self._feed(type_url)
        for name in settled.names:
            # An answer to what was sent since the step began will do, even if a newer version waits already.
            if settled.number > self._last_sent_before or not feed.is_unsettled(name):
                self._awaited.discard((type_url, name))
            if name in feed.refused:
                self._forget_refused((type_url, name))

    def _forget_refused(self, key: ResourceKey) -> None:
        """What is going and refused is no problem any more: nobody can use it, nobody wants it."""
        type_url, name = key
        is_going = key in self._drops or key in self._next_drops or key in self._leaving
        if is_going and name in self._feed(type_url).refused:
            self._feed(type_url).unwant(name)

    # --- what follows ---

    def advance(self, last_sent: int, now: float) -> None:
        """Go as far as the answers allow. last_sent is the number of the newest response of the stream."""
        while not self._awaited and self._step(last_sent, now):
            pass
        if (self._drops or self._leaving) and not self._is_keeping_old():
            if self.stage is Stage.IDLE:
                self._retire(now)
            self._depart(now)

    def _step(self, last_sent: int, now: float) -> bool:
        """Enter the next step; False where there is none."""
        self._last_sent_before = last_sent
        match self.stage:
            case Stage.IDLE:
                # What Envoy holds must be known first.
                if self._next_revision is None or not self._feed(CLUSTER).opened:
                    return False
                self._begin(self._next_revision)
            case Stage.CLUSTERS:
                self._enter(Stage.SUPPLIES, SUPPLY_TYPES)
            case Stage.SUPPLIES:
                if not self._feed(LISTENER).opened:
                    return False
                self._release_listeners()
                self._enter(Stage.LISTENERS, (LISTENER,))
            case Stage.LISTENERS:
                self._release(tuple(self._moves))
                # A new listener has asked for its secrets by now.
                self._enter(Stage.ROUTES, (*ROUTE_TYPES, SECRET))
            case Stage.ROUTES:
                self.applied = self._revision
                self.stage = Stage.IDLE
                if not self._is_keeping_old():
                    self._retire(now)
        return True

    def _begin(self, revision: int) -> None:
        self._moves, self._next_moves = self._next_moves, {}
        self._revision, self._next_revision = revision, None
        self._drops |= self._next_drops
        self._next_drops.clear()
        self._enter(Stage.CLUSTERS, (CLUSTER,))

    def _enter(self, stage: Stage, type_urls: Iterable[str]) -> None:
        self.stage = stage
        self._awaited = {(type_url, name) for type_url in type_urls for name in self._feed(type_url).unsettled()}

    def _release_listeners(self) -> None:
        """Let the listeners go, and the tables that nobody has asked for yet: a listener is about to."""
        early = [
            key
            for key, resource in self._moves.items()
            if key[0] == LISTENER or (resource is not None and not self._feed(key[0]).covers(key[1]))
        ]
        self._release(early)

    def _release(self, keys: Iterable[ResourceKey]) -> None:
        for key in keys:
            type_url, name = key
            resource = self._moves.pop(key)
            feed = self._feed(type_url)
            if resource is not None:
                feed.want(resource)
            else:
                feed.unwant(name)
                if type_url in _BY_WILDCARD:
                    feed.remove(name)

    def _retire(self, now: float) -> None:
        """Give their time to what was dropped: no live route names it any more."""
        for key in self._drops:
            self._leaving.setdefault(key, now + self._grace)
        self._drops.clear()

    def _depart(self, now: float) -> None:
        while self._leaving:
            key, at = next(iter(self._leaving.items()))
            if at > now:
                return
            del self._leaving[key]
            type_url, name = key
            self._feed(type_url).unwant(name)
            if type_url == CLUSTER:
                self._feed(CLUSTER).remove(name)

    def _is_keeping_old(self) -> bool:
        return any(self._feed(type_url).keeps_refused() for type_url in _MOVING)

    # --- what others ask ---

    def withholds(self, type_url: str, name: str) -> bool:
        """Whether the resource is published and its step has not come."""
        key = (type_url, name)
        return self._next_moves.get(key) is not None or self._moves.get(key) is not None

    def withholds_any(self, type_url: str) -> bool:
        """Whether that holds for any resource of the type."""
        moves: tuple[Mapping[ResourceKey, XdsResource | None], ...] = (self._moves, self._next_moves)
        return any(key[0] == type_url and resource is not None for some in moves for key, resource in some.items())

    def next_departure(self) -> float | None:
        """When the next cluster leaves, if nothing else happens."""
        if not self._leaving or self._is_keeping_old():
            return None
        return next(iter(self._leaving.values()))
