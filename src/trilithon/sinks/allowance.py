"""What the Envoys of one Gateway may ask of the server: far more than they need, and never all that it has.

Whoever holds a Gateway's identity can say what it likes in as many streams as it likes. It may harm that Gateway, and
no other: so streams and names are counted for each Gateway, and its requests are taken in one after the other.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import TypeVar

from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest

# Streams of one Gateway at the same time; each of its Envoys has one.
MOST_STREAMS = 256
# Names that are not published, over all streams of a Gateway. An Envoy that was away while 100,000 Services were
# removed names each of them twice, as a cluster and as endpoints.
MOST_STRANGE_NAMES = 400_000
# Two names of Kubernetes objects and what stands around them take half of it.
LONGEST_NAME = 1_024
# Envoy has about six types that it could ask for beside ours.
MOST_TYPES = 16
# A request that took longer is followed by a pause of the same length, so that half of the time is for others.
LONG_SECONDS = 0.02
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

    @contextmanager
    def stream(self, gateway: str | None) -> Iterator[Allowance]:
        """A stream of the Gateway while it is open; None: of somebody who is trusted. Raises Excess."""
        if gateway is None:
            yield Allowance()
            return
        allowance = self._known.setdefault(gateway, Allowance())
        if allowance.streams >= MOST_STREAMS:
            raise Excess(f"the Gateway has {MOST_STREAMS} streams already")
        allowance.streams += 1
        try:
            yield allowance
        finally:
            allowance.streams -= 1
            if not allowance.streams:
                del self._known[gateway]

    def refused(self, gateway: str | None, excess: Excess) -> None:
        """Say so, for each Gateway once in TOLD_SECONDS at most."""
        now = time.monotonic()
        self._quiet = {known: until for known, until in self._quiet.items() if until > now}
        who = gateway or "a local Gateway"
        if who not in self._quiet:
            self._quiet[who] = now + TOLD_SECONDS
            self.tell(f"an Envoy of {who} is refused: {excess}")


def parsed(raw: bytes, types: Collection[str], names: int) -> DeltaDiscoveryRequest:
    """A request of a stream that has asked for these types and may ask for so many names more.

    Raises Excess if it asks for more, and DecodeError.
    """
    message = DeltaDiscoveryRequest.FromString(raw)
    excess = _excess_of(message, types, names)
    if excess:
        # It can be ten times as large as its bytes, and would live as long as the error.
        del message
        raise Excess(excess)
    return message


def check_names(message: DeltaDiscoveryRequest, names: int) -> None:
    """Whether the stream may ask for as many names as this. Raises Excess."""
    if _coming(message) > names:
        raise Excess(_TOO_MANY_NAMES)


def _excess_of(message: DeltaDiscoveryRequest, types: Collection[str], names: int) -> str:
    # Nothing of the message is copied before it is known to be small enough.
    if max(_coming(message), len(message.resource_names_unsubscribe)) > names:
        return _TOO_MANY_NAMES
    if message.type_url not in types and len(types) >= MOST_TYPES:
        return f"more than {MOST_TYPES} types of resources are asked for"
    versions = message.initial_resource_versions
    said = chain(
        (message.type_url, message.node.id), message.resource_names_subscribe, versions.keys(), versions.values()
    )
    return "" if all(len(each) <= LONGEST_NAME for each in said) else f"a name is longer than {LONGEST_NAME} characters"


def _coming(message: DeltaDiscoveryRequest) -> int:
    """How many names a request adds to its stream, at most."""
    # What Envoy has it asks for as well, or it asks for everything.
    return max(len(message.resource_names_subscribe), len(message.initial_resource_versions))
