"""Serve little HTTP backends that answer with what they were asked, for demos and tests."""

from __future__ import annotations

import asyncio
import errno
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Self
from urllib.parse import parse_qsl

from aiohttp import WSMsgType, web

SEEN_PATH = "/__seen"
KNOBS_HEADER = "x-echo"
# A demo that runs for weeks must not remember every path it was ever asked.
MOST_REMEMBERED = 10_000
LARGEST_BODY = 64 * 1024


class PortTaken(OSError):
    """An echo server cannot listen because somebody else does."""

    def __init__(self, name: str, host: str, port: int) -> None:
        super().__init__(
            errno.EADDRINUSE,
            f"backend {name} cannot listen on {host}:{port}, the port is taken: end the program that holds it "
            "or choose another port",
        )

    def __str__(self) -> str:
        return str(self.args[1])


class EchoServer:
    """One backend; an async context manager.

    It answers every request with JSON: backend, method, path (the raw target), host, headers (pairs, in order) and
    body; the response header ``x-backend`` holds its name. A WebSocket gets each of its messages back.
    ``GET /__seen`` answers how often each path was asked, which shows what was mirrored or retried.

    Knobs, in the query or, where that is rewritten on the way, as a query string in the header ``x-echo``:
    ``delay=500ms`` waits before it answers, ``status=503`` answers so, ``fail=2&id=a`` answers 503 to the first two
    requests with that id, ``reset=1`` closes the connection without an answer, ``header=name:value`` adds a response
    header.
    """

    def __init__(self, name: str, host: str = "127.0.0.1", port: int = 0, *, socket: Path | None = None) -> None:
        self.name = name
        self.host = host
        self.port = port
        self.socket = socket
        self.seen: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()
        self._runner = web.ServerRunner(web.Server(self._answer, access_log=None), shutdown_timeout=0.5)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen. Port 0 takes a free one, which `port` then tells. Raises PortTaken or OSError."""
        await self._runner.setup()
        try:
            await self._site().start()
        except OSError as error:
            await self._runner.cleanup()
            if error.errno == errno.EADDRINUSE and self.socket is None:
                raise PortTaken(self.name, self.host, self.port) from error
            raise
        if self.socket is None:
            self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening and cut what is still open; stopped twice is stopped."""
        await self._runner.cleanup()

    def _site(self) -> web.BaseSite:
        if self.socket is not None:
            return web.UnixSite(self._runner, self.socket)
        return web.TCPSite(self._runner, self.host, self.port)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.raw_path.partition("?")[0]
        if path == SEEN_PATH:
            return self._json(200, dict(self.seen))
        self._remember(path)
        try:
            return await self._answer_as_asked(request, _knobs(request))
        except ValueError as error:
            return self._json(400, {"backend": self.name, "error": str(error)})

    async def _answer_as_asked(self, request: web.BaseRequest, knobs: Mapping[str, str]) -> web.StreamResponse:
        if "delay" in knobs:
            await asyncio.sleep(_seconds(knobs["delay"]))
        if "reset" in knobs and request.transport is not None:
            request.transport.abort()
        if request.headers.get("upgrade", "").lower() == "websocket":
            return await self._echo_messages(request)
        response = self._json(self._status(knobs), await _described(self.name, request))
        if "header" in knobs:
            name, _, value = knobs["header"].partition(":")
            response.headers.add(name.strip(), value.strip())
        return response

    def _remember(self, path: str) -> None:
        if path in self.seen or len(self.seen) < MOST_REMEMBERED:
            self.seen[path] += 1

    def _status(self, knobs: Mapping[str, str]) -> int:
        if "fail" in knobs:
            attempts = knobs.get("id", "")
            if len(self._failed) >= MOST_REMEMBERED:
                self._failed.clear()
            self._failed[attempts] += 1
            return 503 if self._failed[attempts] <= int(knobs["fail"]) else 200
        return int(knobs.get("status", "200"))

    def _json(self, status: int, value: object) -> web.Response:
        return web.json_response(value, status=status, headers={"x-backend": self.name}, dumps=_indented)

    async def _echo_messages(self, request: web.BaseRequest) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        socket.headers["x-backend"] = self.name
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await socket.send_str(message.data)
            elif message.type is WSMsgType.BINARY:
                await socket.send_bytes(message.data)
        return socket


@asynccontextmanager
async def demo_backends(ports: Mapping[str, int], host: str = "127.0.0.1") -> AsyncIterator[tuple[EchoServer, ...]]:
    """Echo servers by name, listening while the context lasts. Raises PortTaken or OSError; none is left then."""
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(EchoServer(name, host, port)) for name, port in ports.items()]
        yield tuple(servers)


async def serve_demo(ports: Mapping[str, int], host: str = "127.0.0.1") -> None:
    """Serve echo backends until cancelled. Raises PortTaken or OSError."""
    async with demo_backends(ports, host):
        await asyncio.get_running_loop().create_future()


def _knobs(request: web.BaseRequest) -> dict[str, str]:
    query = request.raw_path.partition("?")[2]
    return dict(parse_qsl(request.headers.get(KNOBS_HEADER, "")) + parse_qsl(query))


def _seconds(text: str) -> float:
    parsed = re.fullmatch(r"(\d{1,6})(ms|s)", text)
    if parsed is None:
        raise ValueError(f"delay={text} is not a duration such as 500ms or 2s")
    return int(parsed[1]) / (1000 if parsed[2] == "ms" else 1)


async def _described(name: str, request: web.BaseRequest) -> dict[str, object]:
    body = await _body(request)
    return {
        "backend": name,
        "method": request.method,
        "path": request.raw_path,
        "host": request.headers.get("host", ""),
        "headers": [
            [key.decode(errors="replace").lower(), value.decode(errors="replace")] for key, value in request.raw_headers
        ],
        "body": body.decode(errors="replace"),
    }


async def _body(request: web.BaseRequest) -> bytes:
    # All of it is read, so that the client can finish sending; the start of it is enough to show.
    kept = b""
    async for chunk in request.content.iter_any():
        kept += chunk[: LARGEST_BODY - len(kept)]
    return kept


def _indented(value: object) -> str:
    # People read this in a terminal.
    return json.dumps(value, indent=2) + "\n"
