"""Ask one Envoy's admin interface, over its unix socket."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

import msgspec

if TYPE_CHECKING:
    from types import TracebackType

    from aiohttp import ClientSession

# Envoy answers from its main thread, which may be busy with a large configuration.
ANSWER_SECONDS = 5.0
# A connection made at the moment when Envoy opens the socket may never be answered; the next one is.
FIRST_ANSWER_SECONDS = 0.5


class AdminUnavailable(Exception):
    """Envoy did not answer: not up yet, gone, or stuck."""


class _Stat(msgspec.Struct, gc=False):
    name: str = ""
    value: int | float | str = 0


class _Stats(msgspec.Struct):
    stats: list[_Stat]


class _ServerInfo(msgspec.Struct):
    state: str


class Activity(msgspec.Struct, frozen=True, gc=False):
    """What clients are doing: requests in flight (an open WebSocket is one) and open connections."""

    requests: int
    connections: int


class EnvoyAdmin:
    """A client of one admin socket; an async context manager. Every method raises AdminUnavailable."""

    def __init__(self, socket: str) -> None:
        self._socket = socket
        self._session: ClientSession | None = None

    async def __aenter__(self) -> Self:
        # Imported here: aiohttp is a fifth of a second of start-up, and nobody asks before the first drain.
        from aiohttp import ClientSession, ClientTimeout, UnixConnector

        timeout = ClientTimeout(total=ANSWER_SECONDS)
        self._session = ClientSession("http://envoy", connector=UnixConnector(self._socket), timeout=timeout)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def state(self) -> str:
        """LIVE, DRAINING, PRE_INITIALIZING or INITIALIZING."""
        return msgspec.json.decode(await self._ask("GET", "/server_info"), type=_ServerInfo).state

    async def stats(self, pattern: str) -> dict[str, int]:
        """Counters and gauges whose whole name contains a match of the RE2 pattern."""
        body = await self._ask("GET", "/stats", {"format": "json", "filter": pattern})
        # Histograms come in an entry without a name.
        return {
            stat.name: stat.value
            for stat in msgspec.json.decode(body, type=_Stats).stats
            if stat.name and isinstance(stat.value, int)
        }

    async def activity(self) -> Activity:
        """What clients are doing right now, over all listeners; the admin interface itself is not counted."""
        found = await self.stats(r"^http\..*\.downstream_(rq|cx)_active$")
        clients = {name: value for name, value in found.items() if not name.startswith("http.admin.")}
        return Activity(
            requests=sum(value for name, value in clients.items() if name.endswith("_rq_active")),
            connections=sum(value for name, value in clients.items() if name.endswith("_cx_active")),
        )

    async def drain(self) -> None:
        """Take no new connection and let every open one end after the request it is at.

        The failed health makes each further response carry ``connection: close`` (HTTP/2: GOAWAY) from now on;
        closing the listeners alone would leave kept-alive connections sending requests until they are cut.
        """
        try:
            async with asyncio.timeout(FIRST_ANSWER_SECONDS):
                await self._ask("POST", "/healthcheck/fail")
        except TimeoutError:
            await self._ask("POST", "/healthcheck/fail")
        await self._ask("POST", "/drain_listeners")

    async def _ask(self, method: str, path: str, parameters: dict[str, str] | None = None) -> bytes:
        from aiohttp import ClientError

        if self._session is None:
            raise AdminUnavailable("use it as an async context manager")
        try:
            async with self._session.request(method, path, params=parameters) as answer:
                body = await answer.read()
        except (ClientError, TimeoutError, OSError) as error:
            raise AdminUnavailable(f"{method} {path}: {error!r}") from error
        if answer.status != 200:
            raise AdminUnavailable(f"{method} {path}: {answer.status} {body.decode(errors='replace').strip()}")
        return body
