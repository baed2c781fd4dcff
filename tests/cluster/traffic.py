"""Steady traffic through Gateways: requests begin by the clock, whatever becomes of those before, and all are counted.

It runs in a thread of its own, beside a test that waits, together with the backends that answer it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

from msgspec import Struct

from tests.system.client import Answer, Connection, Unanswered

PATIENCE = 10.0
"""Seconds until a request that has no answer has failed."""
FRESH_EVERY = 4
"""Each request of so many is sent on a connection of its own; the others share kept ones."""


class Target(Struct, frozen=True):
    """Where a request goes."""

    address: str
    host: str
    port: int = 80
    path: str = "/"


class Failure(Struct, frozen=True):
    """A request that was not answered by 200: when it began, in seconds since the traffic did, and what came of it."""

    at: float
    target: Target
    reason: str
    is_fresh: bool

    def __str__(self) -> str:
        kind = "new connection" if self.is_fresh else "kept connection"
        return f"{self.at:.3f} s {self.target.host} at {self.target.address}:{self.target.port}, {kind}: {self.reason}"


class Backends:
    """HTTP backends of the node, by name; each answers every request by 200 and its name in ``x-backend``.

    They never close a connection, so whatever breaks on the way was not them.
    """

    def __init__(self, address: str, names: Sequence[str]) -> None:
        self._address = address
        self._names = names
        self.ports: Mapping[str, int] = {}
        self._servers: list[asyncio.Server] = []
        self._open: set[asyncio.Transport] = set()

    async def start(self) -> None:
        """Listen, each on a port of its own."""
        for name in self._names:
            make = _answerer(name, self._open)
            server = await asyncio.get_running_loop().create_server(make, self._address, 0)
            self._servers.append(server)
        ports = (server.sockets[0].getsockname()[1] for server in self._servers)
        self.ports = dict(zip(self._names, ports, strict=True))

    def stop(self) -> None:
        """Take no more connections, and break those that are open."""
        for server in self._servers:
            server.close()
        for connection in tuple(self._open):
            connection.abort()


class Traffic:
    """Requests to each of the targets in turn, ``rate`` in a second; a context manager.

    What is asked may change while it runs, by ``aim``.
    """

    def __init__(self, targets: Sequence[Target], rate: float = 120.0) -> None:
        self._targets = tuple(targets)
        self._rate = rate
        self._kept: dict[tuple[str, int], deque[Connection]] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._began = 0.0
        self.total = 0
        self.failures: list[Failure] = []
        self.answered: Counter[str] = Counter()

    def aim(self, targets: Sequence[Target]) -> None:
        """Ask these from now on."""
        self._targets = tuple(targets)

    async def run(self, stopping: asyncio.Event) -> None:
        """Ask until told to stop, and wait for the last answers."""
        self._began = time.monotonic()
        while not stopping.is_set():
            due = self._began + self.total / self._rate
            if (left := due - time.monotonic()) > 0:
                await asyncio.sleep(left)
            target = self._targets[self.total % len(self._targets)]
            task = asyncio.create_task(self._count(target, self.total % FRESH_EVERY == 0))
            self.total += 1
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        await asyncio.gather(*self._running)
        for connection in (each for kept in self._kept.values() for each in kept):
            connection.close()

    def verdict(self) -> str:
        """What failed, for people; "" if nothing did."""
        if not self.failures:
            return ""
        reasons = Counter(each.reason for each in self.failures)
        shown = [str(each) for each in (*self.failures[:5], *self.failures[-5:])]
        return "\n".join([f"{len(self.failures)} of {self.total} failed: {dict(reasons)}", *shown])

    async def _count(self, target: Target, is_fresh: bool) -> None:
        at = time.monotonic() - self._began
        try:
            async with asyncio.timeout(PATIENCE):
                answer = await self._ask(target, is_fresh)
            reason = "" if answer.status == 200 else f"{answer.status} {answer.body[:80].decode(errors='replace')}"
            self.answered[answer.backend or ""] += 1
        except Unanswered as error:
            reason = str(error)
        except TimeoutError:
            reason = f"no answer within {PATIENCE:g} s"
        if reason:
            self.failures.append(Failure(at, target, reason, is_fresh))

    async def _ask(self, target: Target, is_fresh: bool) -> Answer:
        kept = self._kept.setdefault((target.address, target.port), deque())
        connection = None if is_fresh or not kept else kept.pop()
        if connection is None:
            connection = await Connection.open(target.port, address=target.address)
        try:
            answer = await connection.get(target.path, host=target.host)
        except BaseException:
            connection.close()
            raise
        # One that its server wants to close is not used again: that is no failure.
        if is_fresh or not connection.is_open:
            connection.close()
        else:
            kept.append(connection)
        return answer


class Running:
    """A loop in a thread, with backends and whatever traffic is begun; a context manager."""

    def __init__(self, address: str, names: Sequence[str]) -> None:
        self.backends = Backends(address, names)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="traffic", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self.backends.start(), self._loop).result(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop_backends()
        asyncio.run_coroutine_threadsafe(_ended(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def stop_backends(self) -> None:
        """End the backends while traffic goes on."""
        self._loop.call_soon_threadsafe(self.backends.stop)

    def traffic(self, targets: Sequence[Target], rate: float = 120.0) -> Steady:
        """Traffic that begins and ends with a block."""
        return Steady(self._loop, Traffic(targets, rate))


class Steady:
    """Traffic while a block runs; what it found is read after."""

    def __init__(self, loop: asyncio.AbstractEventLoop, traffic: Traffic) -> None:
        self._loop = loop
        self.traffic = traffic
        self._stopping = asyncio.Event()

    def __enter__(self) -> Traffic:
        self._done = asyncio.run_coroutine_threadsafe(self.traffic.run(self._stopping), self._loop)
        return self.traffic

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._done.result(PATIENCE + 10)
        if error is not None and (verdict := self.traffic.verdict()):
            error.add_note(f"the traffic meanwhile: {verdict}")


async def _ended() -> None:
    """Cancel whatever still runs in this loop, and wait for it."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def _answerer(name: str, open_ones: set[asyncio.Transport]) -> Callable[[], asyncio.Protocol]:
    answer = f"HTTP/1.1 200 OK\r\nx-backend: {name}\r\ncontent-length: {len(name)}\r\n\r\n{name}".encode()
    return lambda: _Answerer(answer, open_ones)


class _Answerer(asyncio.Protocol):
    """Answers each head of a request; requests here have no body."""

    def __init__(self, answer: bytes, open_ones: set[asyncio.Transport]) -> None:
        self._answer = answer
        self._open = open_ones
        self._pending = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._open.add(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._open.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        *heads, self._pending = (self._pending + data).split(b"\r\n\r\n")
        self._transport.write(self._answer * len(heads))
