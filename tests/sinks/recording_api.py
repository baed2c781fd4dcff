"""An API server on a real socket that notes each request and answers what it was told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiohttp import web

from trilithon.kube.client import Client
from trilithon.kube.config import Config
from trilithon.kube.credentials import Credential, FixedCredentials
from trilithon.kube.transport import Transport

Answer = tuple[int, dict[str, Any]]


class Asked(msgspec.Struct):
    """A request."""

    method: str
    path: str
    body: Any


class RecordingApi:
    """``answer`` is asked for each request; None: what was sent comes back, as if it were stored."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.answer: Callable[[Asked], Answer | None] = lambda _: None
        self._more = asyncio.Event()

    async def bodies(self, count: int) -> list[Any]:
        """What was sent, once there were so many requests."""
        async with asyncio.timeout(30):
            while len(self.asked) < count:
                self._more.clear()
                await self._more.wait()
        return [asked.body for asked in self.asked]

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        """A client of this server while it runs."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            async with Transport(Config(server=server, credentials=FixedCredentials(Credential()))) as transport:
                yield Client(transport)
        finally:
            await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        asked = Asked(request.method, request.path, msgspec.json.decode(body) if body else None)
        self.asked.append(asked)
        self._more.set()
        code, answered = self.answer(asked) or (200, asked.body or {})
        return web.Response(status=code, body=msgspec.json.encode(answered), content_type="application/json")


def refusal(code: int, reason: str) -> Answer:
    """What an API server says when it refuses."""
    return code, {"kind": "Status", "code": code, "reason": reason, "message": reason.lower()}
