"""Read the Secrets and ConfigMaps that are named, one by one, until each was read once more than it changed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from math import inf
from typing import Protocol

import msgspec

from trilithon.kube.backoff import Backoff
from trilithon.kube.errors import ApiError, KubeError
from trilithon.kube.objects import ObjectHead, ObjectPath
from trilithon.kube.transport import Request, Transport
from trilithon.resources.meta import Key
from trilithon.sources.kubernetes.kinds import NAMED
from trilithon.sources.kubernetes.turns import Turns

# At once, and the namespaces take turns: whoever names thousands of Secrets does not crowd out anybody else.
CONCURRENCY = 16

_HEAD = msgspec.json.Decoder(ObjectHead)


class Reader(Protocol):
    """Hears what came of reading."""

    def was_read(self, key: Key, written: bytes | None) -> None:
        """An object as it is; None where there is none."""

    def was_not_read(self, key: Key, reason: str, *, is_forbidden: bool = False) -> None:
        """It is not known whether the object exists. It will be tried again."""


class _Reading:
    """An object that is to be read: it waits for its turn, is under way, or pauses after a failure."""

    def __init__(self, line: str) -> None:
        self.line = line
        self.is_under_way = False
        # The resource version that a reading under way must bring at least.
        self.needed = -inf
        self.backoff = Backoff(random.Random())  # noqa: S311 - nothing secret is drawn
        self.pause: asyncio.TimerHandle | None = None


class NamedReads:
    """The readings to do and under way, one for each key."""

    def __init__(self, transport: Transport, reader: Reader, is_wanted: Callable[[Key], bool]) -> None:
        self._transport = transport
        self._reader = reader
        self._is_wanted = is_wanted
        self._readings: dict[Key, _Reading] = {}
        self._turns = Turns()
        # As many as there is work for; each ends when there is none.
        self._workers: set[asyncio.Task[None]] = set()
        # The resource version that was read last.
        self._versions: dict[Key, float] = {}

    def read(self, key: Key, line: str) -> None:
        """Read it when it is the line's turn; what a reading under way brings may be older, and does not count."""
        self._require(key, inf, line)

    def changed(self, key: Key, version: str) -> None:
        """It has this resource version now: read it, unless that was read already."""
        needed = int(version) if version.isdecimal() else inf
        if self._versions.get(key, -inf) < needed:
            self._require(key, needed, key.namespace)

    def forget(self, key: Key) -> None:
        """It was deleted, or may have become older: what was read, or a reading under way brings, does not count."""
        self._versions.pop(key, None)
        if key in self._readings:
            self._readings[key].needed = inf

    def let_go(self, key: Key) -> None:
        """Nobody names it any more."""
        self._versions.pop(key, None)
        reading = self._readings.get(key)
        if reading is not None and reading.pause is not None:
            # Otherwise the worker finds that it is not wanted.
            reading.pause.cancel()
            del self._readings[key]

    async def close(self) -> None:
        """End all readings."""
        for reading in self._readings.values():
            if reading.pause is not None:
                reading.pause.cancel()
        self._readings, self._turns = {}, Turns()
        workers = tuple(self._workers)
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)

    def _require(self, key: Key, needed: float, line: str) -> None:
        reading = self._readings.get(key)
        if reading is None:
            self._readings[key] = reading = _Reading(line)
            self._queue(key, reading)
        elif reading.is_under_way:
            reading.needed = max(needed, reading.needed)
        elif reading.pause is not None:
            # A new wish brings the next attempt forward.
            reading.pause.cancel()
            self._queue(key, reading)

    def _queue(self, key: Key, reading: _Reading) -> None:
        reading.pause = None
        self._turns.put(reading.line, key)
        if len(self._workers) < CONCURRENCY:
            worker = asyncio.create_task(self._work(), name="read what is named")
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)

    async def _work(self) -> None:
        while (key := self._turns.take()) is not None:
            reading = self._readings.get(key)
            if reading is None or reading.is_under_way:
                continue
            reading.is_under_way, reading.needed = True, -inf
            try:
                await self._attempt(key, reading)
            except Exception as error:  # noqa: BLE001 - a mistake of ours must not end the reading of everything else
                self._failed(key, reading, KubeError(f"internal error ({type(error).__name__})"))
            finally:
                reading.is_under_way = False

    async def _attempt(self, key: Key, reading: _Reading) -> None:
        found: bytes | None = None
        if self._is_wanted(key):
            try:
                found = await self._transport.fetch(
                    Request(path=ObjectPath(NAMED[key.kind], key.name, key.namespace).path())
                )
            except KubeError as error:
                if not (isinstance(error, ApiError) and error.status == 404):
                    self._failed(key, reading, error)
                    return
            if _version(found) < reading.needed:
                # It has changed meanwhile.
                self._queue(key, reading)
                return
        # From here on there is no waiting, so that no wish to read again can be lost.
        del self._readings[key]
        if self._is_wanted(key):
            self._versions[key] = _version(found)
        self._reader.was_read(key, found)

    def _failed(self, key: Key, reading: _Reading, error: KubeError) -> None:
        loop = asyncio.get_running_loop()
        asked = error.retry_after if isinstance(error, ApiError) else None
        self._readings[key] = reading
        reading.pause = loop.call_later(reading.backoff.failed(asked), self._queue, key, reading)
        self._reader.was_not_read(key, str(error), is_forbidden=error.is_forbidden)


def _version(written: bytes | None) -> float:
    """The resource version of an object; of none, and where it cannot be told, it is older than any."""
    if written is None:
        return -inf
    try:
        version = _HEAD.decode(written).metadata.resource_version
    except msgspec.MsgspecError:
        return -inf
    return int(version) if version.isdecimal() else -inf
