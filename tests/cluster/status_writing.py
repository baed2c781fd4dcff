"""Status writers on real HTTPRoutes: what they hear, what they want, and what the audit log says they wrote."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from testcluster import Cluster
from testcluster.api import Object
from trilithon.kube.client import Client
from trilithon.kube.config import find_config
from trilithon.kube.transport import Transport
from trilithon.model.stored import Stored
from trilithon.resources.meta import Key
from trilithon.sinks.objects.status_writer import StatusWriter
from trilithon.sources.kubernetes.kinds import Scope
from trilithon.sources.kubernetes.source import KubernetesSource

ROUTES = "/apis/gateway.networking.k8s.io/v1/namespaces/{}/httproutes"
# Not the name of a controller that may be installed in the same cluster.
OURS = "status.test/gateway-controller"


def route(name: str) -> Object:
    """A route to be applied."""
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name},
        "spec": {"parentRefs": [{"name": "gateway"}], "rules": [{"backendRefs": [{"name": "web", "port": 80}]}]},
    }


def entry(controller: str, generation: int, message: str = "taken", gateway: str = "gateway") -> Object:
    """What a controller says of a route, without times."""
    condition = {
        "type": "Accepted",
        "status": "True",
        "reason": "Accepted",
        "message": message,
        "observedGeneration": generation,
    }
    ref = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": gateway}
    return {"parentRef": ref, "controllerName": controller, "conditions": [condition]}


def timed(said: Object) -> Object:
    """The same as another controller writes it."""
    conditions = [{**each, "lastTransitionTime": "2026-01-01T00:00:00Z"} for each in said["conditions"]]
    return {**said, "conditions": conditions}


@asynccontextmanager
async def connected(cluster: Cluster, agent: str) -> AsyncIterator[Client]:
    """The administrator, as the audit log knows this agent."""
    async with Transport(find_config(cluster.kubeconfig), agent) as transport:
        yield Client(transport)
    # TLS connections part a moment after they are closed; aiohttp has nothing to wait for that.
    await asyncio.sleep(0.25)


class Controller:
    """A status writer that says one message of all routes of a namespace, of whatever generation they are."""

    def __init__(self, cluster: Cluster, name: str, message: str | None) -> None:
        self._cluster = cluster
        self.name = name
        self.message = message
        self.agent = f"test-{name.partition('/')[2]}"
        self.troubles: list[str] = []
        self.stored: dict[Key, Stored] = {}
        self.writer: StatusWriter | None = None

    @asynccontextmanager
    async def running(self, namespace: str) -> AsyncIterator[Controller]:
        """While it follows the namespace; it has heard of every route of it."""
        async with connected(self._cluster, self.agent) as client:
            self.writer = StatusWriter(client, self.name, lambda: True, self.troubles.append)
            source = KubernetesSource(client.transport, Scope(namespaces=(namespace,)), self._heard)
            complete = asyncio.Event()
            tasks = [
                asyncio.create_task(self._follow(source, complete)),
                asyncio.create_task(self.writer.run()),
            ]
            try:
                await complete.wait()
                yield self
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self, source: KubernetesSource, complete: asyncio.Event) -> None:
        async for _ in source.changes():
            if self.writer is not None and not complete.is_set():
                self.writer.complete()
            complete.set()

    def _heard(self, key: Key, stored: Stored | None) -> None:
        if self.writer is None or key.kind != "HTTPRoute":
            return
        before = self.stored.pop(key, None)
        self.writer.stored(key, stored)
        if stored is None:
            self.writer.want(key, None)
            return
        self.stored[key] = stored
        # As a translation does: only a new spec makes a new wish.
        if before is None or before.generation != stored.generation:
            self._want(key)

    def say(self, message: str | None) -> None:
        """Say something else, or nothing any more."""
        self.message = message
        for key in self.stored:
            self._want(key)

    def _want(self, key: Key) -> None:
        if self.writer is None:
            return
        said = self.message
        if said is not None:
            self.writer.want(key, partial(self._rendered, self.stored[key].generation, said))
        elif key in self.stored:
            self.writer.want(key, None)

    def _rendered(self, generation: int, message: str) -> dict[str, object]:
        return {"parents": [entry(self.name, generation, message)]}

    def writes(self, mark: int, code: int = 200) -> list[str]:
        """The routes that it wrote the status of since then, once for each write."""
        events = self._cluster.audit.writes(mark)
        return [
            event.name
            for event in events
            if event.user_agent == self.agent and event.resource == "httproutes/status" and event.code == code
        ]


async def until(what: str, look: Callable[[], Any], seconds: float = 60.0) -> Any:
    """Look again and again, beside the writers, until there is something."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                found = await asyncio.to_thread(look)
            except TimeoutError:
                raise AssertionError(what) from None
            if found:
                return found
            await asyncio.sleep(0.05)


def parents(cluster: Cluster, namespace: str, name: str) -> list[Object]:
    """The parents in a route's status."""
    found: Object = cluster.get(f"{ROUTES.format(namespace)}/{name}")
    return (found.get("status") or {}).get("parents") or []


def said(cluster: Cluster, namespace: str) -> set[tuple[str, str, str]]:
    """Route, controller and message of all entries of a namespace."""
    return {
        (each["metadata"]["name"], one["controllerName"], one["conditions"][0]["message"])
        for each in cluster.get(ROUTES.format(namespace))["items"]
        for one in (each.get("status") or {}).get("parents") or []
    }


def write_as_other(cluster: Cluster, namespace: str, name: str, entries: list[Object]) -> None:
    """Overwrite all parents, as a controller does that has no manners."""
    cluster.api.merge(f"{ROUTES.format(namespace)}/{name}/status", {"status": {"parents": entries}})
