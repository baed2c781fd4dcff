"""The product as it runs: a controller, one Envoy, echo backends; routes change by the set."""

from __future__ import annotations

import asyncio
import base64
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any, Self

import trustme
from msgspec import Struct

from tests.oracle.asking import Asked
from tests.oracle.objects import BACKENDS, MARKER_HOST, Backends, Manifest, Ports, marker, standing
from tests.system.client import Answer, Connection, Unanswered, trusting
from tests.system.harness import free_port, until
from trilithon.cli.echo import EchoServer
from trilithon.controller import Controller, Event, LocalEnvoys, Surface, Telling
from trilithon.model.settings import Settings
from trilithon.model.tables import PROXIES
from trilithon.pipeline import Translation, translate
from trilithon.resources.decode import decode_all
from trilithon.resources.meta import Key
from trilithon.resources.problem import Problem
from trilithon.sinks.envoy.envoy_binary import find_envoy
from trilithon.sinks.envoy.envoy_process import Launch

# Connections kept open; each serves many requests of one set.
LANES = 8


class NotAccepted(AssertionError):
    """The generator drew an object that an API server would refuse."""


class EnvoyRefuses(AssertionError):
    """Envoy does not take the configuration made of a set."""


class _Changed(Struct, frozen=True):
    """What the controller is told."""

    upserts: Mapping[Key, Any]
    removals: tuple[Key, ...]
    noticed: float


class _Source:
    """A source that is fed by the test."""

    def __init__(self, first: Mapping[Key, Any]) -> None:
        self.queue: asyncio.Queue[_Changed] = asyncio.Queue()
        self._first = first

    async def first(self) -> _Changed:
        return _Changed(self._first, (), time.monotonic())

    async def changes(self) -> AsyncIterator[_Changed]:
        while True:
            yield await self.queue.get()

    def problems(self) -> Sequence[Any]:
        return ()

    def place_of(self, problem: Problem) -> tuple[str, int] | None:
        return None

    def position(self, key: Key, path: str) -> tuple[str, int] | None:
        return None


class World:
    """Everything that runs; an async context manager."""

    def __init__(self) -> None:
        self.ports = Ports(*_three_ports())
        self._stack = AsyncExitStack()
        self._stop = asyncio.Event()
        self._served: dict[Key, Any] = {}
        self._standing: dict[Key, Any] = {}
        self._number = 0
        self._logs: list[str] = []
        self._trust = trusting()

    async def __aenter__(self) -> Self:
        servers = [await self._stack.enter_async_context(EchoServer(name)) for name in BACKENDS]
        backends = Backends({server.name: server.port for server in servers})
        self._standing = resources(standing(backends, certificate()))
        self._served = dict(self._standing)
        self._source = _Source(self._standing)
        directory = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="oracle-")))
        socket = directory / "xds.sock"
        # One worker: what one connection sees, all see.
        launch = Launch(binary=find_envoy().path, directory=directory, xds_socket=str(socket), concurrency=1)
        tell = Telling(self._heard)
        self._controller = Controller(self._source, Settings(), LocalEnvoys(launch, tell), Surface(socket), tell)
        running = asyncio.create_task(self._controller.run(self._stop), name="controller")
        self._stack.push_async_callback(self._end, running)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    async def _end(self, running: asyncio.Task[None]) -> None:
        self._stop.set()
        await running

    def _heard(self, event: Event) -> None:
        text = getattr(event, "text", None)
        if text is not None:
            self._logs.append(text)

    async def serve(self, manifests: Sequence[Manifest]) -> Translation:
        """Have this set served, and return its translation. Raises NotAccepted, EnvoyRefuses."""
        self._number += 1
        wanted = self._standing | resources([*manifests, marker(self._number)])
        upserts = {key: row for key, row in wanted.items() if self._served.get(key) != row}
        removals = tuple(key for key in self._served if key not in wanted)
        self._served = wanted
        self._source.queue.put_nowait(_Changed(upserts, removals, time.monotonic()))
        for port in (self.ports.http, self.ports.other, self.ports.https):
            await until(lambda port=port: self._is_served(port), 20, f"set {self._number} is not served on {port}")  # type: ignore[misc]
        return translate(wanted.values())

    async def _is_served(self, port: int) -> bool:
        if refused := [each for row in self._controller.engine.rows(PROXIES).values() for each in row.rejected]:
            raise EnvoyRefuses(f"Envoy refuses {refused[0].name}: {refused[0].message}")
        secure = MARKER_HOST if port == self.ports.https else ""
        with suppress(Unanswered):
            answer = await self.ask_alone(Asked(port, secure, "GET", "/", MARKER_HOST, ()))
            return answer is not None and (answer.header("location") or "").endswith(f"/{self._number}")
        return False

    async def ask_alone(self, asked: Asked) -> Answer | None:
        """One request on a connection of its own; None where TLS is refused. Raises Unanswered."""
        connections: dict[tuple[int, str], Connection] = {}
        try:
            return await self._ask(connections, asked)
        finally:
            _close(connections)

    async def ask(self, requests: Sequence[Asked]) -> list[Answer | Unanswered | None]:
        """The answers to all requests, asked over some connections at once."""
        answers: list[Answer | Unanswered | None] = [None] * len(requests)
        upcoming = iter(enumerate(requests))

        async def lane() -> None:
            connections: dict[tuple[int, str], Connection] = {}
            for index, asked in upcoming:
                try:
                    answers[index] = await self._ask(connections, asked)
                except Unanswered as error:
                    answers[index] = error
            _close(connections)

        await asyncio.gather(*(lane() for _ in range(LANES)))
        return answers

    async def _ask(self, connections: dict[tuple[int, str], Connection], asked: Asked) -> Answer | None:
        place = (asked.port, asked.server_name)
        connection = connections.get(place)
        if connection is None or not connection.is_open:
            try:
                connection = await Connection.open(
                    asked.port, tls=self._trust if asked.server_name else None, sni=asked.server_name or None
                )
            except Unanswered:
                if asked.server_name:
                    return None
                raise
            connections[place] = connection
        async with asyncio.timeout(10):
            return await connection.request(asked.target, host=asked.host, method=asked.method, headers=asked.headers)


def _close(connections: Mapping[tuple[int, str], Connection]) -> None:
    for connection in connections.values():
        connection.close()


def resources(manifests: Iterable[Manifest]) -> dict[Key, Any]:
    """Manifests as resources by key. Raises NotAccepted."""
    found = {}
    for manifest in manifests:
        for decoded in decode_all(manifest):
            if decoded.resource is None:
                raise NotAccepted("; ".join(map(str, decoded.problems)))
            found[decoded.resource.key] = decoded.resource
    return found


def _three_ports() -> tuple[int, int, int]:
    found: set[int] = set()
    while len(found) < 3:
        found.add(free_port())
    first, second, third = found
    return first, second, third


def certificate() -> dict[str, str]:
    """The data of a TLS Secret. No client of the oracle looks at the names in it."""
    issued = trustme.CA(key_type=trustme.KeyType.ECDSA).issue_cert("any.test", key_type=trustme.KeyType.ECDSA)
    chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
    return {
        "tls.crt": base64.b64encode(chain).decode(),
        "tls.key": base64.b64encode(issued.private_key_pem.bytes()).decode(),
    }
