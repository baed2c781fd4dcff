"""Carry out what ``ObjectWrites`` decides: requests to an API server, several at a time, and only while leading."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec
from msgspec import Raw, Struct

from trilithon.kube.client import Client
from trilithon.kube.errors import KubeError, NotUnderstood
from trilithon.kube.objects import ObjectPath
from trilithon.model.stored import Stored
from trilithon.resources.meta import Key
from trilithon.sinks.objects.object_writes import Job, ObjectWrites, Read

MANAGER = "trilithon"
# Enough to keep an API server busy, few enough to leave room for others.
CONCURRENCY = 16

Wish = TypeVar("Wish")


class ObjectWriter(Generic[Wish]):
    """Writes objects, or the ``subresource`` of them, until cancelled.

    Merge patches that name the version they are meant for: of all ways to write a status they cost least here and at
    the API server, as neither reads or sends the rest of the object. ``leads`` is asked before each request.
    ``on_trouble`` is called in the loop with a sentence whenever that changes, "" when all is well again. What is
    stored and wanted is told here, and goes on to ``writes``.
    """

    def __init__(
        self,
        client: Client,
        writes: ObjectWrites[Wish],
        leads: Callable[[], bool],
        on_trouble: Callable[[str], None],
        *,
        subresource: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        # One attempt: before another, leading and the object may have changed. Slots of our own: others do not wait.
        self._client = Client(client.transport, CONCURRENCY, attempts=1)
        self.writes = writes
        self._leads = leads
        self._on_trouble = on_trouble
        self._subresource = subresource
        self._clock = clock
        self._wake = asyncio.Event()
        self._under_way = 0
        self._told = ""

    def stored(self, key: Key, stored: Stored | None) -> None:
        """The API server holds this; None: nothing."""
        self.writes.stored(key, stored)
        self._wake.set()

    def want(self, key: Key, wish: Wish) -> None:
        """This is wanted of the object from now on."""
        self.writes.want(key, wish)
        self._wake.set()

    def want_nothing_else(self) -> None:
        """Nothing is wanted of any object that nobody spoke of."""
        self.writes.want_nothing_else()
        self._wake.set()

    def lead(self) -> None:
        """Leadership just began: look at everything again."""
        self.writes.look_again()
        self._wake.set()

    async def run(self) -> None:
        """Work for ever."""
        self._under_way = 0
        self.writes.start_over(self._clock())
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._wake.clear()
                while self._under_way < CONCURRENCY and self._leads():
                    job = self.writes.next(self._clock())
                    if job is None:
                        break
                    self._under_way += 1
                    tasks.create_task(self._do(job))
                self._tell()
                await self._pause()

    async def _pause(self) -> None:
        """Until something happens, or the time for something has come."""
        at = None
        if self._under_way < CONCURRENCY and self._leads():
            at = self.writes.wake_at(self._clock())
        if at is not None and at <= self._clock():
            # There is more to look at, but others have their turn.
            await asyncio.sleep(0)
            return
        try:
            async with asyncio.timeout(None if at is None else at - self._clock()):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _do(self, job: Job) -> None:
        try:
            if isinstance(job, Read):
                answer = await self._client.read(job.path)
                self.writes.read(job.key, stored_of(job.path, answer))
            else:
                answer = await self._client.merge_patch(job.path, job.body, MANAGER, self._subresource)
                self.writes.written(job.key, stored_of(job.path, answer), self._clock())
        except KubeError as error:
            self.writes.failed(job.key, error, self._clock())
        finally:
            self._under_way -= 1
            self._wake.set()

    def _tell(self) -> None:
        if self._told != (trouble := self.writes.trouble):
            self._told = trouble
            self._on_trouble(trouble)


class _Metadata(Struct, rename="camel"):
    uid: str
    resource_version: str
    generation: int = 0
    finalizers: tuple[str, ...] = ()


class _Object(Struct):
    metadata: _Metadata
    status: Raw = Raw(b"")


def stored_of(path: ObjectPath, answer: bytes) -> Stored:
    """An object as an API server answered it. Raises NotUnderstood."""
    try:
        read = msgspec.json.decode(answer, type=_Object)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise NotUnderstood(f"the answer about {path} is not understood") from None
    metadata = read.metadata
    # A copy, because the bytes of a part keep the whole answer in memory.
    status = bytes(read.status)
    return Stored(path, metadata.uid, metadata.resource_version, metadata.generation, metadata.finalizers, status)
