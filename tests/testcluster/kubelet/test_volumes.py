"""The volumes of a pod follow what they are made of, here against a small API server on a socket."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from testcluster.kubelet.api import Api, Reference
from testcluster.kubelet.fields import Place
from testcluster.kubelet.objects import Pod
from testcluster.kubelet.problems import CannotRun
from testcluster.kubelet.references import References
from testcluster.kubelet.volumes import Volumes
from tests.testcluster.kubelet.pods import pod
from trilithon.kube.config import Config
from trilithon.kube.credentials import Credential, FixedCredentials
from trilithon.kube.transport import Transport

TOKEN = "/api/v1/namespaces/shop/serviceaccounts/default/token"
OBJECT = Reference("ConfigMap", "shop", "object")


class Server:
    """Answers with ``objects`` by their paths, gives tokens that are good for ``life`` seconds, and may be ill."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.life = 3600.0
        self.tokens = 0
        self.is_ill = False

    async def answer(self, request: web.Request) -> web.Response:
        if self.is_ill:
            return web.Response(status=503)
        if request.path == TOKEN:
            self.tokens += 1
            until = datetime.now(UTC) + timedelta(seconds=self.life)
            status = {"token": f"token {self.tokens}", "expirationTimestamp": until.isoformat()}
            return web.json_response({"status": status}, status=201)
        found = self.objects.get(request.path)
        return web.Response(status=404) if found is None else web.json_response(found)

    def config_map(self, **data: str) -> None:
        path = f"/api/v1/namespaces/{OBJECT.namespace}/configmaps/{OBJECT.name}"
        self.objects[path] = {"kind": "ConfigMap", "data": data}


@pytest.fixture
async def server() -> AsyncIterator[tuple[Server, Api]]:
    scripted = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", scripted.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    credentials = FixedCredentials(Credential("t"))
    config = Config(server=f"http://127.0.0.1:{runner.addresses[0][1]}", credentials=credentials)
    async with Transport(config) as transport:
        yield scripted, Api(transport)
    await runner.cleanup()


class Followed:
    """The volumes of a pod while they are followed."""

    def __init__(self, of: Pod, folder: Path, api: Api) -> None:
        self.references = References()
        self.filled = asyncio.Event()
        self.waits: list[str] = []
        self.volumes = Volumes(of, folder, api, self.references, lambda: Place("10.0.0.2", "10.0.0.1"))
        self._task = asyncio.create_task(self.volumes.follow(self.filled, self._wait))

    def _wait(self, problem: CannotRun) -> None:
        self.waits.append(problem.message)

    async def until(self, look: Callable[[], object]) -> None:
        async with asyncio.timeout(20):
            while not look():
                assert not self._task.done()
                await asyncio.sleep(0.01)

    def changed(self, reference: Reference = OBJECT) -> None:
        """What the watch does when an object changes."""
        self.references.ring(reference)

    async def end(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


@pytest.fixture
async def follow(server: tuple[Server, Api], tmp_path: Path) -> AsyncIterator[Callable[..., Followed]]:
    """Begins to follow the only volume of a pod, in a folder ``v``."""
    begun: list[Followed] = []

    def begin(**source: Any) -> Followed:
        identity = {"fsGroup": os.getgid()}
        made = Followed(pod(volumes=[{"name": "v", **source}], securityContext=identity), tmp_path, server[1])
        begun.append(made)
        return made

    yield begin
    for each in begun:
        await each.end()


async def test_a_volume_is_filled_when_its_object_comes(
    server: tuple[Server, Api], follow: Callable[..., Followed], tmp_path: Path
) -> None:
    """Until then it says what it waits for; nobody asks again before something changes."""
    followed = follow(configMap={"name": "object"})
    await followed.until(lambda: followed.waits)
    assert followed.waits == ["waiting for ConfigMap shop/object"]
    server[0].config_map(a="1")
    assert not followed.filled.is_set()
    followed.changed()
    await followed.until(followed.filled.is_set)
    assert (tmp_path / "v" / "a").read_text() == "1"


async def test_a_volume_keeps_what_it_has_when_its_object_goes(
    server: tuple[Server, Api], follow: Callable[..., Followed], tmp_path: Path
) -> None:
    """And follows the next one of that name."""
    server[0].config_map(a="1")
    followed = follow(configMap={"name": "object"})
    await followed.until(followed.filled.is_set)
    server[0].objects.clear()
    followed.changed()
    await asyncio.sleep(0.1)
    assert (tmp_path / "v" / "a").read_text() == "1"
    server[0].config_map(a="2")
    followed.changed()
    await followed.until(lambda: (tmp_path / "v" / "a").read_text() == "2")


async def test_a_token_is_renewed_before_it_expires(
    server: tuple[Server, Api], follow: Callable[..., Followed], tmp_path: Path
) -> None:
    """When most of its life is over; other changes do not renew it."""
    server[0].life = 6.0
    followed = follow(projected={"sources": [{"serviceAccountToken": {"path": "token"}}]})
    await followed.until(followed.filled.is_set)
    assert (tmp_path / "v" / "token").read_text() == "token 1"
    followed.volumes.look()
    await asyncio.sleep(0.1)
    assert (tmp_path / "v" / "token").read_text() == "token 1"
    await followed.until(lambda: (tmp_path / "v" / "token").read_text() == "token 2")


async def test_a_server_that_is_ill_is_waited_for(
    server: tuple[Server, Api], follow: Callable[..., Followed], tmp_path: Path
) -> None:
    """It costs time only."""
    server[0].config_map(a="1")
    server[0].is_ill = True
    followed = follow(configMap={"name": "object"})
    await asyncio.sleep(0.2)
    server[0].is_ill = False
    await followed.until(followed.filled.is_set)
    assert followed.waits == []
