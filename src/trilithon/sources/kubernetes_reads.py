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
from trilithon.sources.kubernetes_kinds import NAMED

# At once; whoever names hundreds of Secrets does not crowd out anybody else.
CONCURRENCY = 16

_HEAD = msgspec.json.Decoder(ObjectHead)


class Reader(Protocol):
    """Hears what came of reading."""

    def was_read(self, key: Key, written: bytes | None) -> None:
        """An object as it is; None where there is none."""

    def was_not_read(self, key: Key, reason: str) -> None:
        """It is not known whether the object exists. It will be tried again."""


class NamedReads:
    """The readings under way, one for each key."""

    def __init__(self, transport: Transport, reader: Reader, is_wanted: Callable[[Key], bool]) -> None:
        self._transport = transport
        self._reader = reader
        self._is_wanted = is_wanted
        self._slots = asyncio.Semaphore(CONCURRENCY)
        self._reading: dict[Key, asyncio.Task[None]] = {}
        # The resource version that was read last, and the one that a reading under way must bring at least.
        self._versions: dict[Key, float] = {}
        self._needed: dict[Key, float] = {}
        # Those that failed and wait for their next attempt, which a new wish to read brings forward.
        self._pausing: dict[Key, asyncio.Event] = {}

    def read(self, key: Key) -> None:
        """Read it; what a reading under way brings may be older than this, and does not count."""
        self._require(key, inf)

    def changed(self, key: Key, version: str) -> None:
        """It has this resource version now: read it, unless that was read already."""
        needed = int(version) if version.isdecimal() else inf
        if self._versions.get(key, -inf) < needed:
            self._require(key, needed)

    def gone(self, key: Key) -> None:
        """It was deleted: what a reading under way brings does not count."""
        self._versions.pop(key, None)
        if key in self._reading:
            self._needed[key] = inf

    def _require(self, key: Key, needed: float) -> None:
        if key in self._reading:
            self._needed[key] = max(needed, self._needed.get(key, -inf))
            if key in self._pausing:
                self._pausing[key].set()
        else:
            self._reading[key] = asyncio.create_task(self._read(key), name=f"read {key}")

    async def close(self) -> None:
        """End all readings."""
        tasks = tuple(self._reading.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self, key: Key) -> None:
        found: bytes | None = None
        try:
            found = await self._latest(key)
        finally:
            # From here on there is no waiting, so that no wish to read again can be lost.
            del self._reading[key]
            self._needed.pop(key, None)
        self._versions[key] = _version(found)
        self._reader.was_read(key, found)

    async def _latest(self, key: Key) -> bytes | None:
        """The object as it is, and not older than what was said of it meanwhile; None where there is none."""
        backoff = Backoff(random.Random())  # noqa: S311 - nothing secret is drawn
        path = ObjectPath(NAMED[key.kind], key.name, key.namespace).path()
        while self._is_wanted(key):
            self._needed.pop(key, None)
            try:
                async with self._slots:
                    found: bytes | None = await self._transport.fetch(Request(path=path))
            except KubeError as error:
                if not (isinstance(error, ApiError) and error.status == 404):
                    self._reader.was_not_read(key, str(error))
                    await self._pause(key, backoff.failed(error.retry_after if isinstance(error, ApiError) else None))
                    continue
                found = None
            if key not in self._needed or _version(found) >= self._needed[key]:
                return found
        return None

    async def _pause(self, key: Key, seconds: float) -> None:
        self._pausing[key] = asyncio.Event()
        try:
            async with asyncio.timeout(seconds):
                await self._pausing[key].wait()
        except TimeoutError:
            return
        finally:
            del self._pausing[key]


def _version(written: bytes | None) -> float:
    """The resource version of an object; of none, and where it cannot be told, it is older than any."""
    if written is None:
        return -inf
    try:
        version = _HEAD.decode(written).metadata.resource_version
    except msgspec.MsgspecError:
        return -inf
    return int(version) if version.isdecimal() else -inf
