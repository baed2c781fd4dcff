"""Remember which changes Envoys still have to acknowledge."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import Struct

from trilithon.controller.events import Change

# Telling of a change waits this long for the Envoys; one that dies again and again must not hide all changes.
LATE_SECONDS = 2.0
# Older changes than these are no longer reported as served; an Envoy that is down for long must not fill the memory.
MOST_WAITING = 1000


class _Wait(Struct):
    revision: int
    gateways: set[str]
    noticed: float
    change: Change


class Waiting:
    """Changes that are published and not acknowledged by every Envoy they concern."""

    def __init__(self) -> None:
        self._waits: list[_Wait] = []

    def add(self, revision: int, gateways: set[str], noticed: float, change: Change) -> None:
        """A change noticed at a time, published to these Gateways as a revision."""
        self._waits.append(_Wait(revision, gateways, noticed, change))
        del self._waits[:-MOST_WAITING]

    def late(self, revision: int) -> Iterator[Change]:
        """The change of this revision, with the Gateways it waits for, where it still waits."""
        for wait in self._waits:
            if wait.revision == revision:
                yield msgspec.structs.replace(wait.change, waiting=tuple(sorted(wait.gateways)))

    def applied(self, gateway: str, revision: int, now: float) -> Iterator[Change]:
        """The changes that a Gateway was the last to acknowledge, when it has everything up to a revision."""
        yield from self._without(gateway, revision, now)

    def gone(self, gateway: str, now: float) -> Iterator[Change]:
        """The same for a Gateway that will not acknowledge anything any more."""
        yield from self._without(gateway, None, now)

    def _without(self, gateway: str, revision: int | None, now: float) -> Iterator[Change]:
        for wait in self._waits:
            if revision is None or wait.revision <= revision:
                wait.gateways.discard(gateway)
        done = [wait for wait in self._waits if not wait.gateways]
        self._waits = [wait for wait in self._waits if wait.gateways]
        for wait in done:
            yield msgspec.structs.replace(wait.change, served=now - wait.noticed)
