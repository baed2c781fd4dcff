"""A scripted API server on a real socket: a model's answers, in any mood; and a relay that goes dead."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from aiohttp import web

from tests.kube.model_api import GROUP, PLURAL, ModelApi, line, refusal, status

Answer = tuple[int, bytes] | tuple[int, bytes, dict[str, str]]


class ApiServer:
    """Serves a model. ``moods`` are asked in order for each request: an answer instead of the model's, or None."""

    def __init__(self) -> None:
        self.model = ModelApi()
        self.moods: list[Callable[[web.Request], Answer | None]] = []
        self.can_stream_lists = True
        self.requests: list[web.Request] = []
        # Written into every open stream, and then it ends.
        self.last_words: bytes | None = None
        self.address = ""
        self._changed = asyncio.Condition()

    async def change(self, *changes: Callable[[], None]) -> None:
        """Change the model or the moods, and let open streams tell."""
        async with self._changed:
            for change in changes:
                change()
            self._changed.notify_all()

    def lists(self) -> list[web.Request]:
        """The requests for lists of any form so far."""
        return [
            request
            for request in self.requests
            if request.path.endswith(PLURAL) and ("watch" not in request.query or "sendInitialEvents" in request.query)
        ]

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[ApiServer]:
        """The server while it runs."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        for mood in self.moods:
            answer = mood(request)
            if answer is not None:
                return _response(answer)
        path = request.path
        if path == f"/apis/{GROUP}":
            return _response(self.model.versions())
        if path.startswith(f"/apis/{GROUP}/") and path.count("/") == 3:
            return _response(self.model.kinds(path.rpartition("/")[2]))
        if path.endswith(PLURAL) and path.split("/")[3] in self.model.served:
            return await self._watch(request) if "watch" in request.query else _response(self.model.page(request.query))
        return _response(refusal(404, "NotFound", "the server could not find the requested resource"))

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        is_list = "sendInitialEvents" in request.query
        if is_list and not self.can_stream_lists:
            return _response(refusal(422, "Invalid", "sendInitialEvents: Forbidden: the WatchList gate is off"))
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        with suppress(ConnectionError):
            at = int(request.query.get("resourceVersion", "0"))
            if is_list:
                lines, at = self.model.initial()
                await response.write(b"".join(lines))
            await self._follow(response, at)
        return response

    async def _follow(self, response: web.StreamResponse, at: int) -> None:
        while True:
            async with self._changed:
                following, words = self.model.since(at), self.last_words
                if following == [] and words is None:
                    await self._changed.wait()
                    continue
            if words is not None:
                self.last_words = None
                await response.write(words)
                return
            if following is None:
                await response.write(line("ERROR", status(410, "Expired", "too old resource version")))
                return
            for version, written in following:
                await response.write(written)
                at = version


def _response(answer: Answer) -> web.Response:
    code, body, *headers = answer
    return web.Response(status=code, body=body, content_type="application/json", headers=dict(*headers))


def once(answer: Answer, wanted: Callable[[web.Request], bool]) -> Callable[[web.Request], Answer | None]:
    """A mood for the first request that is wanted."""
    left = [answer]

    def mood(request: web.Request) -> Answer | None:
        return left.pop() if left and wanted(request) else None

    return mood


class Relay:
    """Forwards TCP connections to an address; when ``is_dead`` it keeps them and forwards nothing."""

    def __init__(self, address: str) -> None:
        host, _, port = address.removeprefix("http://").partition(":")
        self._target = (host, int(port))
        self.is_dead = False
        self.address = ""
        self._writers: list[asyncio.StreamWriter] = []

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Relay]:
        """The relay while it runs."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.address = "http://{}:{}".format(*server.sockets[0].getsockname())
        try:
            yield self
        finally:
            self.cut()
            server.close()

    def cut(self) -> None:
        """Reset all connections."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*self._target)
        self._writers += [writer, back]
        async with asyncio.TaskGroup() as group:
            group.create_task(self._forward(reader, back))
            group.create_task(self._forward(there, writer))

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                if not self.is_dead:
                    writer.write(data)
                    await writer.drain()
            if not self.is_dead:
                writer.close()


def is_list(request: web.Request) -> bool:
    """Whether a request is for a page of widgets."""
    return request.path.endswith(PLURAL) and "watch" not in request.query


def is_watch(request: web.Request) -> bool:
    """Whether a request is for a stream from a version."""
    return "resourceVersion" in request.query


def is_any_of_widgets(request: web.Request) -> bool:
    """Whether a request is about widgets at all."""
    return request.path.endswith(PLURAL)
