"""What the Envoys of one Gateway may ask of the server: far more than they need, and never all that it has.

Whoever holds a Gateway's identity can say what it likes in as many streams as it likes. It may harm that Gateway, and
no other: so streams and names are counted for each Gateway, and its requests are taken in one after the other.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager, suppress
from itertools import chain
from typing import TypeVar

from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest

from trilithon.resources.parameters import MOST_REPLICAS

# Streams of one Gateway at the same time. Each of its Envoys has one, and all of them may be here; as many may be of
# pods whose machine is gone, which is seen late, and half as many of pods that drain while others take their place.
MOST_STREAMS = 5 * MOST_REPLICAS // 2
# Names that are not published, over all streams of a Gateway. An Envoy that was away while 100,000 Services were
# removed names each of them twice, as a cluster and as endpoints.
MOST_STRANGE_NAMES = 400_000
# Two names of Kubernetes objects and what stands around them take half of it.
LONGEST_NAME = 1_024
# Envoy has about six types that it could ask for beside ours.
MOST_TYPES = 16
# A request that took longer is followed by a pause of the same length, so that half of the time is for others.
LONG_SECONDS = 0.02
# How long who is refused hears nothing: told at once it would be back within a second, with a new handshake.
REFUSED_SECONDS = 10.0
TOLD_SECONDS = 60.0
_TOO_MANY_NAMES = f"the Gateway has none of more than {MOST_STRANGE_NAMES} names that are asked for"

_Made = TypeVar("_Made")


class Excess(Exception):
    """Somebody asks for more than an Envoy ever does; the text says of what, fit for a log and for the client."""


class Allowance:
    """The part of the server that one Gateway's streams share."""

    def __init__(self) -> None:
        self.streams = 0
        self._turn = asyncio.Lock()
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def is_used(self) -> bool:
        """Whether there is a stream, or one that waits for a place."""
        return bool(self.streams or self._waiting)

    async def enter(self) -> None:
        """Take a place among the streams, as soon as there is one. Raises Excess, not at once."""
        if self.streams >= MOST_STREAMS:
            # No more wait than are served.
            if len(self._waiting) < MOST_STREAMS:
                with suppress(TimeoutError):
                    async with asyncio.timeout(REFUSED_SECONDS):
                        await self._place()
            if self.streams >= MOST_STREAMS:
                raise Excess(f"the Gateway has {MOST_STREAMS} streams already")
        self.streams += 1

    async def _place(self) -> None:
        while self.streams >= MOST_STREAMS:
            free: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(free)
            try:
                await free
            finally:
                # It is no more among them when it was woken.
                with suppress(ValueError):
                    self._waiting.remove(free)

    def leave(self) -> None:
        """Give the place to whoever has waited longest."""
        self.streams -= 1
        while self._waiting:
            free = self._waiting.popleft()
            if not free.done():
                free.set_result(None)
                return

    async def hold(self) -> None:
        """Let one that is refused wait in its place, so that none is refused any faster."""
        await asyncio.sleep(REFUSED_SECONDS)

    async def take_turn(self, work: Callable[[], _Made]) -> _Made:
        """Do some work for this Gateway when no other is being done for it; what takes long is paid with a pause."""
        async with self._turn:
            began = time.monotonic()
            try:
                return work()
            finally:
                spent = time.monotonic() - began
                if spent > LONG_SECONDS:
                    await asyncio.sleep(spent)


class Allowances:
    """Those of every Gateway that has a stream."""

    def __init__(self) -> None:
        self._known: dict[str, Allowance] = {}
        # Until when nothing more is said of a Gateway.
        self._quiet: dict[str, float] = {}
        self.tell: Callable[[str], None] = lambda _text: None

    @property
    def streams(self) -> int:
        """How many are open, of all Gateways."""
        return sum(each.streams for each in self._known.values())

    @asynccontextmanager
    async def stream(self, gateway: str | None) -> AsyncIterator[Allowance]:
        """A stream of the Gateway while it is open; None: of somebody who is trusted. Raises Excess."""
        if gateway is None:
            yield Allowance()
            return
        allowance = self._known.setdefault(gateway, Allowance())
        try:
            await allowance.enter()
            try:
                yield allowance
            finally:
                allowance.leave()
        finally:
            if not allowance.is_used and self._known.get(gateway) is allowance:
                del self._known[gateway]

    def refused(self, gateway: str | None, excess: Excess) -> None:
        """Say so, for each Gateway once in TOLD_SECONDS at most."""
        now = time.monotonic()
        self._quiet = {known: until for known, until in self._quiet.items() if until > now}
        who = gateway or "a local Gateway"
        if who not in self._quiet:
            self._quiet[who] = now + TOLD_SECONDS
            self.tell(f"an Envoy of {who} is refused: {excess}")


class StrangeNames:
    """The names that the streams of one Gateway remember and that it never had while they did, counted together."""

    def __init__(self) -> None:
        self._of: dict[object, int] = {}
        self._sum = 0

    def count(self, stream: object, names: int) -> None:
        """A stream remembers so many now; none when it is gone."""
        self._sum += names - self._of.pop(stream, 0)
        if names:
            self._of[stream] = names

    def check(self, message: DeltaDiscoveryRequest, is_known: Callable[[str], bool]) -> None:
        """Whether a request may be taken in, that is as small as ``parsed`` lets pass. Raises Excess.

        One that adds no such name always may, whatever the others have: it may be what makes room.
        """
        names, versions = message.resource_names_subscribe, message.initial_resource_versions
        left = MOST_STRANGE_NAMES - self._sum
        if len(names) + len(versions) <= left:
            return
        added = len({name for name in chain(names, versions) if not is_known(name)})
        if added and added > left:
            raise Excess(_TOO_MANY_NAMES)


def parsed(raw: bytes, types: Collection[str], published: int) -> DeltaDiscoveryRequest:
    """A request of a stream that has asked for these types, of a Gateway with so many resources.

    Raises Excess if it could not be an Envoy's, and DecodeError.
    """
    message = DeltaDiscoveryRequest.FromString(raw)
    excess = _excess_of(message, types, MOST_STRANGE_NAMES + published)
    if excess:
        # It can be ten times as large as its bytes, and would live as long as the error.
        del message
        raise Excess(excess)
    return message


def _excess_of(message: DeltaDiscoveryRequest, types: Collection[str], names: int) -> str:
    # Nothing of the message is copied before it is known to be small enough.
    versions = message.initial_resource_versions
    if max(map(len, (message.resource_names_subscribe, message.resource_names_unsubscribe, versions))) > names:
        return _TOO_MANY_NAMES
    if message.type_url not in types and len(types) >= MOST_TYPES:
        return f"more than {MOST_TYPES} types of resources are asked for"
    said = chain(
        (message.type_url, message.node.id), message.resource_names_subscribe, versions.keys(), versions.values()
    )
    return "" if all(len(each) <= LONGEST_NAME for each in said) else f"a name is longer than {LONGEST_NAME} characters"
