"""A proxy before the API server that answers some requests by itself, to see what a client makes of that.

It runs on the node, in a thread of its own. Who is pointed at it by ``kubeconfig`` is the administrator.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp
import msgspec
from aiohttp import web

from testcluster import Cluster
from testcluster.layout import SERVER
from testcluster.pki import ADMIN, token_of

HOP_BY_HOP = frozenset({"connection", "content-length", "host", "keep-alive", "transfer-encoding"})
SECONDS = 30.0


class Asked(msgspec.Struct, frozen=True):
    """A request, as rules see it."""

    method: str
    path: str
    query: Mapping[str, str]

    @property
    def is_watch(self) -> bool:
        """Whether it asks for a stream."""
        return self.query.get("watch") == "true"


Rule = Callable[[Asked], int]
"""The status to answer a request with, 0 to pass it on."""


class FaultProxy:
    """A context manager. ``rule`` may be changed at any time by ``obey``; it counts for streams that are open, too."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault proxy", daemon=True)
        self._rule: Rule = _pass
        self._page = 0
        self._streams: dict[asyncio.Task[None], Asked] = {}
        self.refused = 0
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(SECONDS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(SECONDS)
        self._loop.close()

    def kubeconfig(self, path: Path) -> Path:
        """Write a kubeconfig that leads here."""
        named = {"name": "proxied"}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "proxied",
            "clusters": [{**named, "cluster": {"server": f"http://127.0.0.1:{self.port}"}}],
            "users": [{**named, "user": {"token": token_of(self._cluster.layout.pki, ADMIN)}}],
            "contexts": [{**named, "context": {"cluster": "proxied", "user": "proxied"}}],
        }
        path.write_bytes(msgspec.json.encode(content))
        return path

    def obey(self, rule: Rule, *, page: int = 0) -> None:
        """Follow a rule from now on, and cut the streams that it refuses; ``page``: the most objects in a page."""
        asyncio.run_coroutine_threadsafe(self._obey(rule, page), self._loop).result(SECONDS)

    def heal(self) -> None:
        """Pass everything on."""
        self.obey(_pass)

    async def _obey(self, rule: Rule, page: int) -> None:
        self._rule, self._page, self.refused = rule, page, 0
        for task, asked in tuple(self._streams.items()):
            if rule(asked):
                task.cancel()

    async def _start(self) -> None:
        trust = ssl.create_default_context(cafile=self._cluster.layout.pki / "ca.crt")
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=trust, limit=0),
            timeout=aiohttp.ClientTimeout(total=None),
            # Bytes pass as they are, compressed ones too.
            auto_decompress=False,
        )
        self._runner = web.ServerRunner(web.Server(self._answer, access_log=None), shutdown_timeout=0.5)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]

    async def _stop(self) -> None:
        await self._runner.cleanup()
        await self._session.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        asked = Asked(request.method, request.path, dict(request.query))
        if status := self._rule(asked):
            self.refused += 1
            return web.json_response(_refusal(status), status=status)
        query = dict(request.query)
        if self._page and "limit" in query:
            # A server may give fewer than it was asked for.
            query["limit"] = str(self._page)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        sending = self._session.request(
            request.method, SERVER + request.path, params=query, headers=headers, data=await request.read() or None
        )
        async with sending as answer:
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP}
            response = web.StreamResponse(status=answer.status, headers=kept)
            await response.prepare(request)
            if not await self._pass_on(asked, answer, response) and request.transport is not None:
                request.transport.abort()
        return response

    async def _pass_on(self, asked: Asked, answer: aiohttp.ClientResponse, response: web.StreamResponse) -> bool:
        """Pass the body on as it comes; whether that was all of it."""
        task = asyncio.create_task(_pump(answer, response))
        if asked.is_watch:
            self._streams[task] = asked
            task.add_done_callback(lambda done: self._streams.pop(done, None))
        try:
            await asyncio.wait([task])
        finally:
            task.cancel()
        return not task.cancelled() and task.exception() is None


async def _pump(answer: aiohttp.ClientResponse, response: web.StreamResponse) -> None:
    async for piece in answer.content.iter_any():
        await response.write(piece)
    await response.write_eof()


def _pass(_asked: Asked) -> int:
    return 0


def _refusal(status: int) -> dict[str, object]:
    reasons = {403: "Forbidden", 410: "Expired", 500: "InternalError"}
    return {
        "apiVersion": "v1",
        "kind": "Status",
        "status": "Failure",
        "code": status,
        "reason": reasons.get(status, "Unknown"),
        "message": f"refused by {status}, as the test wants it",
    }
