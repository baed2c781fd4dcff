"""Events and finalizers on a real API server: taken as they are sent, once, and never in anybody's way."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from testcluster import Cluster
from testcluster.api import Object
from tests.cluster.status_writing import OURS, connected, route, until
from trilithon.kube.client import Client
from trilithon.kube.objects import ApiKind, ObjectPath
from trilithon.resources.meta import Key
from trilithon.resources.problem import Problem
from trilithon.sinks.objects.event_recorder import EventRecorder
from trilithon.sinks.objects.finalizers import FINALIZER, Finalizers
from trilithon.sinks.objects.object_writer import stored_of

CLASSES = ApiKind("gateway.networking.k8s.io", "v1", "GatewayClass", "gatewayclasses", is_namespaced=False)
THEIRS = "example.com/theirs"


@asynccontextmanager
async def recording(client: Client) -> AsyncIterator[EventRecorder]:
    """A recorder that leads."""
    recorder = EventRecorder(client, OURS, "trilithon-0", lambda: True)
    running = asyncio.create_task(recorder.run())
    yield recorder
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_refusal_is_shown_once_by_kubectl(cluster: Cluster, namespace: str) -> None:
    """Also when we restart; what happens again counts up."""
    (applied,) = cluster.apply(route("broken"), namespace=namespace)
    uid, key = applied["metadata"]["uid"], Key("HTTPRoute", namespace, "broken")
    missing = Problem("BackendNotFound", key, "spec.rules[0].backendRefs[0]", f"Service {namespace}/web not found")
    denied = Problem("RefNotPermitted", key, "spec.rules[0].backendRefs[0]", "no ReferenceGrant")

    def counts() -> dict[str, int]:
        events = cluster.get(f"/apis/events.k8s.io/v1/namespaces/{namespace}/events")["items"]
        return {each["reason"]: (each.get("series") or {}).get("count", 1) for each in events}

    async with connected(cluster, "test-events") as client:
        async with recording(client) as recorder:
            recorder.record(key, uid, missing)
            await until("the Event", lambda: counts() == {"BackendNotFound": 1})
        async with recording(client) as recorder:
            recorder.record(key, uid, missing)
            recorder.record(key, uid, denied)
            await until("the other Event", lambda: counts() == {"BackendNotFound": 1, "RefNotPermitted": 1})
            recorder.record(key, uid, missing)
            await until("one more", lambda: counts() == {"BackendNotFound": 2, "RefNotPermitted": 1})
    described = cluster.run_in_hub(["kubectl", "-n", namespace, "describe", "httproute", "broken"]).stdout
    assert "Warning  BackendNotFound" in described
    assert f"spec.rules[0].backendRefs[0]: Service {namespace}/web not found" in described


async def test_an_event_of_a_class_is_taken(cluster: Cluster) -> None:
    name = f"test-{secrets.token_hex(4)}"
    (applied,) = cluster.apply(_class(name))
    key = Key("GatewayClass", "", name)

    def notes() -> list[str]:
        events = cluster.get("/apis/events.k8s.io/v1/namespaces/default/events")["items"]
        return [each["note"] for each in events if each["regarding"]["name"] == name]

    try:
        async with connected(cluster, "test-events") as client, recording(client) as recorder:
            recorder.record(key, applied["metadata"]["uid"], Problem("InvalidParameters", key, "", "there is none"))
            await until("the event", lambda: notes() == ["there is none"])
    finally:
        cluster.delete(_class(name))


async def test_a_used_class_outlives_its_deletion(cluster: Cluster) -> None:
    name = f"test-{secrets.token_hex(4)}"
    cluster.apply(_class(name))
    path = f"/apis/gateway.networking.k8s.io/v1/gatewayclasses/{name}"
    cluster.api.merge(path, {"metadata": {"finalizers": [THEIRS]}})
    key, object_path = Key("GatewayClass", "", name), ObjectPath(CLASSES, name)

    def finalizers() -> list[str] | None:
        found = cluster.find(path)
        return found["metadata"].get("finalizers", []) if found is not None else None

    async with connected(cluster, "test-finalizers") as client:
        troubles: list[str] = []
        ours = Finalizers(client, lambda: True, troubles.append)
        running = asyncio.create_task(ours.run())
        ours.stored(key, stored_of(object_path, await client.read(object_path)))
        ours.want(key, is_used=True)
        await until("ours beside theirs", lambda: finalizers() == [THEIRS, FINALIZER])
        cluster.api.delete(path)
        ours.want(key, is_used=False)
        # The deletion changed the object: the first attempt is a conflict.
        await until("theirs alone", lambda: finalizers() == [THEIRS])
        cluster.api.merge(path, {"metadata": {"finalizers": []}})
        await until("the end", lambda: finalizers() is None)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert troubles == []


def _class(name: str) -> Object:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "GatewayClass",
        "metadata": {"name": name},
        "spec": {"controllerName": "example.com/nobody"},
    }
