"""An API server that keeps Secrets, as far as one client of one Secret can tell: versions, 404, 409."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiohttp import web

from trilithon.kube.client import Client
from trilithon.kube.config import Config
from trilithon.kube.credentials import Credential, FixedCredentials
from trilithon.kube.transport import Transport


class SecretApi:
    """``secrets`` are the objects by path; ``before_write`` is called once, when a write has arrived."""

    def __init__(self) -> None:
        self.secrets: dict[str, dict[str, Any]] = {}
        self.writes: list[str] = []
        self.before_write: Callable[[], object] | None = None
        # Refuse everything with this status.
        self.refusal: int | None = None
        self._version = 0

    def put(self, path: str, secret: dict[str, Any]) -> dict[str, Any]:
        """Store an object, as a server does."""
        self._version += 1
        stored = {**secret, "metadata": {**secret["metadata"], "resourceVersion": str(self._version)}}
        self.secrets[path] = stored
        return stored

    async def handle(self, request: web.Request) -> web.Response:
        """One request."""
        if self.refusal is not None:
            return _said(self.refusal, "Forbidden")
        path, found = request.path, self.secrets.get(request.path)
        if request.method == "GET":
            return _said(404, "NotFound") if found is None else _said(200, found)
        body = msgspec.json.decode(await request.read())
        self.writes.append(f"{request.method} {path}")
        if self.before_write is not None:
            first, self.before_write = self.before_write, None
            first()
        if request.method == "POST":
            path = f"{path}/{body['metadata']['name']}"
            return _said(409, "AlreadyExists") if path in self.secrets else _said(201, self.put(path, body))
        found = self.secrets.get(path)
        if found is None:
            return _said(404, "NotFound")
        if body["metadata"].get("resourceVersion") != found["metadata"]["resourceVersion"]:
            return _said(409, "Conflict")
        return _said(200, self.put(path, body))


def _said(status: int, body: dict[str, Any] | str) -> web.Response:
    if isinstance(body, str):
        body = {"kind": "Status", "code": status, "reason": body, "message": body}
    return web.Response(status=status, body=msgspec.json.encode(body), content_type="application/json")


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[SecretApi, Client]]:
    """The server while it runs, and a client of it."""
    api = SecretApi()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", api.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        config = Config(server=f"http://127.0.0.1:{runner.addresses[0][1]}", credentials=FixedCredentials(Credential()))
        async with Transport(config) as transport:
            yield api, Client(transport)
    finally:
        await runner.cleanup()
