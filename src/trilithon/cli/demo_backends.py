"""Answer in place of backends on this machine that do not run."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from trilithon.cli.echo import EchoServer, PortTaken
from trilithon.resources.core import BackendResource

# Address and port -> the name to answer by.
Places = Mapping[tuple[str, int], str]


def loopback_places(backends: Iterable[BackendResource]) -> Places:
    """Every endpoint of Backends that is an IP address of this machine alone."""
    places = {}
    for backend in backends:
        addresses = [endpoint.ip for endpoint in backend.spec.endpoints if endpoint.ip is not None]
        for number, each in enumerate(addresses, start=1):
            if _is_loopback(each.address):
                name = backend.key.name if len(addresses) == 1 else f"{backend.key.name}-{number}"
                places[each.address, each.port] = name
    return places


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


class DemoBackends:
    """Echo servers at places where nobody listens; an async context manager.

    ``say`` is told where one was started. A place that is taken is left to whoever has it.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._stack = AsyncExitStack()
        self._tried: set[tuple[str, int]] = set()
        self._lock = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def cover(self, places: Places) -> None:
        """Start what is not there; each place is tried once."""
        async with self._lock:
            started = []
            for place, name in places.items():
                if place in self._tried:
                    continue
                self._tried.add(place)
                try:
                    server = await self._stack.enter_async_context(EchoServer(name, *place))
                except PortTaken:
                    continue
                except OSError as error:
                    self._say(f"no demo backend {name} at {':'.join(map(str, place))}: {error.strerror}")
                    continue
                started.append(f"{server.name} at {server.host}:{server.port}")
            if started:
                self._say(f"demo backends: {', '.join(started)}")
