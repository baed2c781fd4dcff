"""One Gateway at the xDS server: what is published for it, the Envoys that listen, and what they say together."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable

from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest

from trilithon.model.proxy import Acked, Proxy, Rejected
from trilithon.sinks.delivery.allowance import StrangeNames, parsed
from trilithon.sinks.delivery.feed import WILDCARD
from trilithon.sinks.delivery.order import ResourceKey
from trilithon.sinks.delivery.session import Published
from trilithon.sinks.delivery.stream import Stream
from trilithon.xds.resource import XdsResource

# Revisions of which the time of publication is known, for an Envoy that answers late or never.
_MOST_TIMES = 10_000
_NONE: frozenset[Acked] = frozenset()

OnProxy = Callable[[Proxy], None]
OnApplied = Callable[[str, int, float], None]


class _Said:
    """What one Envoy said when that was last taken in."""

    __slots__ = ("acked", "rejected")

    def __init__(self) -> None:
        self.acked: tuple[frozenset[Acked], ...] = ()
        self.rejected: tuple[Rejected, ...] = ()


class Audience:
    """The Gateway's resources and streams. What the Envoys say is told once per turn of the loop, however many spoke.

    on_proxy is told of it whenever it changes; on_applied the Gateway, the revision and the seconds since its
    publication. on_told is called after that.
    """

    def __init__(
        self, gateway: str, on_proxy: OnProxy, on_applied: OnApplied, on_told: Callable[[Audience], None]
    ) -> None:
        self.gateway = gateway
        self.resources: dict[ResourceKey, XdsResource] = {}
        # None: never published.
        self.revision: int | None = None
        self._on_proxy = on_proxy
        self._on_applied = on_applied
        self._on_told = on_told
        self._strange = StrangeNames()
        self._published_at: dict[int, float] = {}
        self._applied = 0
        self._streams: dict[Stream, _Said] = {}
        self._proxy = Proxy(gateway)
        # Since the last telling. A dict serves as an ordered set.
        self._heard: dict[Stream, None] = {}
        self._is_due = False
        # How many Envoys have acknowledged each, and what all of them have.
        self._acks: Counter[Acked] = Counter()
        self._common: tuple[Acked, ...] | None = None

    @property
    def streams(self) -> tuple[Stream, ...]:
        """Those that are open, the oldest first."""
        return tuple(self._streams)

    def publish(self, upserts: Iterable[XdsResource], removals: Iterable[ResourceKey], revision: int) -> None:
        """Change what the Envoys shall have."""
        upserted = {(resource.type_url, resource.name): resource for resource in upserts}
        removed = tuple(key for key in removals if key not in upserted)
        self.resources.update(upserted)
        for key in removed:
            self.resources.pop(key, None)
        self.revision = revision
        if not self._streams:
            self._published_at.clear()
        self._published_at[revision] = time.monotonic()
        if len(self._published_at) > _MOST_TIMES:
            del self._published_at[next(iter(self._published_at))]
        published = Published(revision, tuple(upserted.values()), removed)
        for stream in self._streams:
            stream.handle(published)

    def end_streams(self) -> None:
        """Let all Envoys connect anew."""
        for stream in self._streams:
            stream.end()

    def close(self) -> None:
        """End them, and tell nothing any more."""
        self.end_streams()
        for collection in (self._streams, self._heard, self._acks):
            collection.clear()
        self._common = None
        self._proxy = Proxy(self.gateway)

    # --- streams ---

    def join(self, stream: Stream, first: DeltaDiscoveryRequest) -> None:
        """A stream has begun with this request. Raises Excess, and then it has not."""
        # Others have asked meanwhile.
        self._check(stream, first)
        self._streams[stream] = _Said()
        self._common = None
        if self.revision is not None:
            stream.handle(Published(self.revision, tuple(self.resources.values())))
        stream.receive(first)

    def receive(self, stream: Stream, request: bytes) -> None:
        """An Envoy says something. Raises Excess and DecodeError."""
        message = parsed(request, stream.session.types, len(self.resources))
        self._check(stream, message)
        stream.receive(message)

    def _check(self, stream: Stream, message: DeltaDiscoveryRequest) -> None:
        type_url, session = message.type_url, stream.session
        self._strange.check(
            message,
            lambda name: name == WILDCARD or (type_url, name) in self.resources or session.remembers(type_url, name),
        )

    def leave(self, stream: Stream) -> None:
        """A stream is at its end; it may never have joined."""
        said = self._streams.pop(stream, None)
        self._heard.pop(stream, None)
        if said is None:
            return
        self._strange.count(stream, 0)
        self._common = None
        for acked in said.acked:
            self._count(acked, -1)
        self._tell_soon()

    def heard(self, stream: Stream) -> None:
        """Something has happened to a stream."""
        if stream in self._streams:
            self._strange.count(stream, stream.session.strange)
            self._heard[stream] = None
            self._tell_soon()

    # --- what they say ---

    def _tell_soon(self) -> None:
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._tell)

    def _tell(self) -> None:
        self._is_due = False
        for stream in self._heard:
            self._take_in(stream)
        self._heard.clear()
        rejected = {refusal for said in self._streams.values() for refusal in said.rejected}
        proxy = Proxy(self.gateway, len(self._streams), self._acked_by_all(), tuple(sorted(rejected)))
        if proxy != self._proxy:
            self._proxy = proxy
            self._on_proxy(proxy)
        applied = min((stream.session.applied for stream in self._streams), default=0)
        if applied > self._applied:
            self._applied = applied
            since = self._published_at.get(applied) or next(iter(self._published_at.values()))
            # Those below were delivered together with this one.
            self._published_at = {revision: at for revision, at in self._published_at.items() if revision >= applied}
            self._on_applied(self.gateway, applied, time.monotonic() - since)
        self._on_told(self)

    def _take_in(self, stream: Stream) -> None:
        """What has changed of one stream, and nothing else: there may be thousands."""
        said, acked = self._streams[stream], stream.session.acked()
        said.rejected = stream.session.rejected()
        before = said.acked or (_NONE,) * len(acked)
        for old, new in zip(before, acked, strict=True):
            if old is not new:
                self._count(old - new, -1)
                self._count(new - old, 1)
        said.acked = acked

    def _count(self, acked: Iterable[Acked], change: int) -> None:
        for each in acked:
            self._common = None
            count = self._acks[each] = self._acks[each] + change
            if not count:
                del self._acks[each]

    def _acked_by_all(self) -> tuple[Acked, ...]:
        if self._common is None:
            everybody = len(self._streams)
            self._common = tuple(sorted(each for each, count in self._acks.items() if count == everybody))
        return self._common
