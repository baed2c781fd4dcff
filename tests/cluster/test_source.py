"""The cluster as a source, against a real API server: what is told of it, and through which of its moods."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import trustme

from testcluster import Cluster
from tests.sources.following import EVERYWHERE, Following, connected
from trilithon.kube import watch_state
from trilithon.kube.config import find_config
from trilithon.kube.errors import ApiError
from trilithon.kube.transport import Answer, Request, Transport
from trilithon.resources.meta import TRILITHON_GROUP, Key
from trilithon.sources.kubernetes.kinds import Scope

SERVER = "kube-apiserver"
GROUP = "gateway.networking.k8s.io"
CRD = f"httproutes.{GROUP}"
Object = dict[str, Any]


def made(kind: str, name: str, api_version: str = f"{GROUP}/v1", **top: Any) -> Object:
    labels = top.pop("labels", {})
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "labels": labels}, **top}


def route(name: str, *hostnames: str) -> Object:
    return made("HTTPRoute", name, spec={"parentRefs": [{"name": "gw"}], "hostnames": list(hostnames)})


def gateway(*secrets: str) -> Object:
    tls = {"certificateRefs": [{"name": each} for each in secrets]}
    listeners = [{"name": "l", "port": 443, "protocol": "HTTPS", "tls": tls}]
    return made("Gateway", "gw", spec={"gatewayClassName": "tests", "listeners": listeners})


def secret(name: str, text: str) -> Object:
    return made("Secret", name, "v1", type="Opaque", data={"x": base64.b64encode(text.encode()).decode()})


def service(name: str) -> Object:
    return made("Service", name, "v1", spec={"ports": [{"port": 80}]})


async def apply(cluster: Cluster, namespace: str, *objects: Object) -> None:
    await asyncio.to_thread(partial(cluster.apply, *objects, namespace=namespace))


async def delete(cluster: Cluster, namespace: str, *objects: Object) -> None:
    await asyncio.to_thread(partial(cluster.delete, *objects, namespace=namespace))


@asynccontextmanager
async def following(cluster: Cluster, scope: Scope = EVERYWHERE) -> AsyncIterator[Following]:
    async with connected(find_config(cluster.kubeconfig), scope) as followed:
        await followed.first()
        yield followed


def hostnames(followed: Following, key: Key) -> tuple[str, ...]:
    return tuple(followed.rows[key].spec.hostnames) if key in followed.rows else ()


async def test_every_kind_is_listed_and_then_followed(cluster: Cluster, namespace: str) -> None:
    class_ = made("GatewayClass", f"class-{namespace}", spec={"controllerName": "trilithon.dev/gateway-controller"})
    to = [{"group": "", "kind": "Service"}]
    grant_spec = {"from": [{"group": GROUP, "kind": "HTTPRoute", "namespace": "x"}], "to": to}
    endpoints = [{"addresses": ["192.0.2.1"], "conditions": {"ready": True}}]
    slice_ = made(
        "EndpointSlice",
        "web-1",
        "discovery.k8s.io/v1",
        labels={"kubernetes.io/service-name": "web"},
        addressType="IPv4",
        endpoints=endpoints,
        ports=[{"name": "", "port": 8080}],
    )
    grant = made("ReferenceGrant", "grant", spec=grant_spec)
    objects = [class_, gateway("cert"), secret("cert", "one"), route("web", "a.test"), service("web"), slice_, grant]
    await apply(cluster, namespace, *objects)
    here = {(kind["kind"], kind["metadata"]["name"]) for kind in objects}
    async with following(cluster) as followed:
        told = {
            (key.kind, key.name) for key in followed.rows if key.namespace == namespace or key.kind == "GatewayClass"
        }
        assert here <= told
        assert followed.versions[CRD].bundle_version == "v1.6.1"
        assert "cannot be" not in followed.problems()
        key = Key("HTTPRoute", namespace, "web")
        await apply(cluster, namespace, route("web", "b.test"))
        await followed.until(lambda: hostnames(followed, key) == ("b.test",))
        await delete(cluster, namespace, *objects)
        await followed.until(
            lambda: not here & {(key.kind, key.name) for key in followed.rows if key.namespace in ("", namespace)}
        )


class WithoutStreamedLists(Transport):
    """An API server that takes no streaming lists, as older ones."""

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncIterator[Answer]:
        """Everything else is as it is."""
        if ("sendInitialEvents", "true") in request.query:
            raise ApiError(422, "Invalid", "sendInitialEvents is forbidden")
        async with super().stream(request) as answer:
            yield answer


async def test_lists_in_pages_say_the_same_as_streamed_ones(
    cluster: Cluster, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class_ = made("GatewayClass", f"class-{namespace}", spec={"controllerName": "trilithon.dev/gateway-controller"})
    routes = [route(f"r{index}", "a.test") for index in range(5)]
    objects = [class_, *routes, gateway("cert"), secret("cert", "x")]
    await apply(cluster, namespace, *objects)
    here = {(each["kind"], each["metadata"]["name"]) for each in (*objects, made("Namespace", namespace, "v1"))}

    def first_of_ours(followed: Following) -> dict[Key, Any]:
        """Of the rest of the cluster, what other tests left goes away meanwhile."""
        ours = {key: row for key, row in followed.changes[0].upserts.items() if key.namespace in ("", namespace)}
        return {key: row for key, row in ours.items() if (key.kind, key.name) in here}

    async with following(cluster) as streamed:
        pass
    monkeypatch.setattr("tests.sources.following.Transport", WithoutStreamedLists)
    monkeypatch.setattr(watch_state, "PAGE_OBJECTS", 2)
    async with following(cluster) as paged:
        ours = first_of_ours(streamed)
        assert {(key.kind, key.name) for key in ours} == here
        assert first_of_ours(paged) == ours
        await delete(cluster, namespace, class_)
        await apply(cluster, namespace, route("later", "a.test"))
        await paged.until(lambda: f"{namespace}/later" in paged.names("HTTPRoute"))


async def test_a_status_alone_is_stored_and_no_difference(cluster: Cluster, namespace: str) -> None:
    await apply(cluster, namespace, route("web", "a.test"))
    key = Key("HTTPRoute", namespace, "web")
    async with following(cluster) as followed:
        before = followed.stored[key]
        assert (before.generation, before.status) == (1, b"")
        path = before.path.path("status")
        await asyncio.to_thread(cluster.api.merge, path, {"status": {"parents": []}})
        await followed.until(lambda: followed.stored[key] != before)
        await apply(cluster, namespace, service("after"))
        await followed.until(lambda: f"{namespace}/after" in followed.names("Service"))
        assert followed.stored[key].status == b'{"parents":[]}'
        assert not any(key in change.upserts for change in followed.changes[1:])


async def test_only_a_secret_that_is_named_is_read(cluster: Cluster, namespace: str) -> None:
    await apply(cluster, namespace, secret("cert", "one"), secret("other", "one"), secret("foreign", "one"))
    cert, other = Key("Secret", namespace, "cert"), Key("Secret", namespace, "other")
    async with following(cluster) as followed:
        await apply(cluster, namespace, gateway("cert"))
        await followed.until(lambda: cert in followed.rows)
        (told,) = (change.upserts for change in followed.changes if cert in change.upserts)
        assert Key("Gateway", namespace, "gw") in told, "both at once"
        await apply(cluster, namespace, secret("cert", "two"), secret("foreign", "two"))
        await followed.until(lambda: followed.rows[cert].get("x") == b"two")
        await apply(cluster, namespace, gateway("other"))
        await followed.until(lambda: other in followed.rows and cert not in followed.rows)
        await delete(cluster, namespace, secret("other", "one"))
        await followed.until(lambda: other not in followed.rows)
        assert not any(key.name == "foreign" for change in followed.changes for key in change.upserts)


async def test_a_renewal_in_two_writes_keeps_the_pair_before(cluster: Cluster, namespace: str) -> None:
    authority, key = trustme.CA(), Key("Secret", namespace, "cert")
    (old_chain, old_key), (new_chain, new_key) = (_pair(authority) for _ in range(2))

    def written(chain: bytes, private_key: bytes) -> Object:
        data = {"tls.crt": base64.b64encode(chain).decode(), "tls.key": base64.b64encode(private_key).decode()}
        return made("Secret", "cert", "v1", type="kubernetes.io/tls", data=data)

    await apply(cluster, namespace, written(old_chain, old_key), gateway("cert"))
    async with following(cluster) as followed:
        before = followed.rows[key].data
        assert not followed.rows[key].former
        await apply(cluster, namespace, written(new_chain, old_key))
        await followed.until(lambda: followed.rows[key].get("tls.crt") == new_chain)
        assert followed.rows[key].former == before
        await apply(cluster, namespace, written(new_chain, new_key))
        await followed.until(lambda: followed.rows[key].get("tls.key") == new_key)
        assert not followed.rows[key].former
        await apply(cluster, namespace, written(new_chain, old_key))
        await followed.until(lambda: bool(followed.rows[key].former))
        await delete(cluster, namespace, written(new_chain, old_key))
        await followed.until(lambda: key not in followed.rows)
        await apply(cluster, namespace, written(new_chain, old_key))
        await followed.until(lambda: key in followed.rows)
        assert not followed.rows[key].former, "what is deleted is forgotten"


def _pair(authority: trustme.CA) -> tuple[bytes, bytes]:
    leaf = authority.issue_cert("a.test")
    return b"".join(each.bytes() for each in leaf.cert_chain_pems), leaf.private_key_pem.bytes()


async def test_nothing_is_asked_of_other_namespaces_where_some_are_given(cluster: Cluster, namespace: str) -> None:
    """With a service account that may read this namespace and no other."""
    account = {"kind": "ServiceAccount", "name": "default", "namespace": namespace}
    cluster_rules = [
        {"apiGroups": [GROUP], "resources": ["gatewayclasses"], "verbs": ["list", "watch"]},
        {"apiGroups": [""], "resources": ["namespaces"], "resourceNames": [namespace], "verbs": ["list", "watch"]},
        {"apiGroups": ["apiextensions.k8s.io"], "resources": ["customresourcedefinitions"], "verbs": ["list", "watch"]},
    ]
    rules = [
        # What is defined must be listed before anything is told; whether trilithon.dev is, depends on the tests before.
        {"apiGroups": [GROUP, TRILITHON_GROUP, "discovery.k8s.io"], "resources": ["*"], "verbs": ["list", "watch"]},
        {"apiGroups": [""], "resources": ["services"], "verbs": ["list", "watch"]},
        {"apiGroups": [""], "resources": ["secrets", "configmaps"], "verbs": ["get", "list", "watch"]},
    ]
    rbac = "rbac.authorization.k8s.io"
    wide = [
        made("ClusterRole", namespace, f"{rbac}/v1", rules=cluster_rules),
        made(
            "ClusterRoleBinding",
            namespace,
            f"{rbac}/v1",
            subjects=[account],
            roleRef={"apiGroup": rbac, "kind": "ClusterRole", "name": namespace},
        ),
    ]
    narrow = [
        made("Role", "source", f"{rbac}/v1", rules=rules),
        made(
            "RoleBinding",
            "source",
            f"{rbac}/v1",
            subjects=[account],
            roleRef={"apiGroup": rbac, "kind": "Role", "name": "source"},
        ),
    ]
    await apply(cluster, namespace, *wide, *narrow, route("web", "a.test"), gateway("cert"), secret("cert", "x"))
    kubeconfig = await asyncio.to_thread(cluster.service_account_kubeconfig, namespace, "default")
    try:
        async with connected(find_config(kubeconfig), Scope(namespaces=(namespace,))) as followed:
            await followed.first()
            assert {key.namespace for key in followed.rows} == {"", namespace}
            assert followed.names("Namespace") == {namespace}
            assert followed.names("Secret") == {f"{namespace}/cert"}
            assert "cannot be" not in followed.problems()
    finally:
        await delete(cluster, namespace, *wide)


async def test_objects_come_and_go_with_the_labels_of_their_namespace(cluster: Cluster, namespace: str) -> None:
    await apply(cluster, namespace, route("web", "a.test"))
    key = Key("HTTPRoute", namespace, "web")
    path = f"/api/v1/namespaces/{namespace}"
    async with following(cluster, Scope(namespace_selector=f"source={namespace}")) as followed:
        assert {each.kind for each in followed.rows} <= {"GatewayClass"}
        await asyncio.to_thread(cluster.api.merge, path, {"metadata": {"labels": {"source": namespace}}})
        await followed.until(lambda: key in followed.rows and key in followed.stored)
        await asyncio.to_thread(cluster.api.merge, path, {"metadata": {"labels": {"source": None}}})
        await followed.until(lambda: key not in followed.rows and key not in followed.stored)


# The API server's moods


@pytest.mark.usefixtures("disturbed")
async def test_a_killed_api_server_takes_nothing_away_and_what_happened_meanwhile_is_told(
    cluster: Cluster, namespace: str
) -> None:
    await apply(cluster, namespace, *(route(f"r{index}", "a.test") for index in range(20)))
    async with following(cluster) as followed:
        await asyncio.to_thread(cluster.kill, SERVER)
        await followed.until(lambda: "cannot be watched" in followed.problems())
        await asyncio.to_thread(cluster.start, SERVER)
        await asyncio.to_thread(cluster.wait_ready)
        await apply(cluster, namespace, route("r0", "b.test"))
        await delete(cluster, namespace, route("r1", "a.test"))
        await followed.until(lambda: hostnames(followed, Key("HTTPRoute", namespace, "r0")) == ("b.test",))
        await followed.until(lambda: f"{namespace}/r1" not in followed.names("HTTPRoute"))
        await followed.until(lambda: "cannot be watched" not in followed.problems())
        assert gone_since_the_first(followed, namespace) == {Key("HTTPRoute", namespace, "r1")}


@pytest.mark.usefixtures("disturbed")
async def test_after_a_compaction_only_differences_are_told(cluster: Cluster, namespace: str) -> None:
    await apply(cluster, namespace, *(route(f"r{index}", "a.test") for index in range(20)))
    async with following(cluster) as followed:
        await asyncio.to_thread(cluster.compact)
        await apply(cluster, namespace, route("r0", "b.test"))
        await followed.until(lambda: hostnames(followed, Key("HTTPRoute", namespace, "r0")) == ("b.test",))
        await followed.until(lambda: "cannot be watched" not in followed.problems())
        assert gone_since_the_first(followed, namespace) == set()
        again = {key for change in followed.changes[1:] for key in change.upserts if key.namespace == namespace}
        assert again == {Key("HTTPRoute", namespace, "r0")}


def gone_since_the_first(followed: Following, namespace: str) -> set[Key]:
    return {key for change in followed.changes[1:] for key in change.removals if key.namespace == namespace}


async def test_a_kind_that_is_removed_and_installed_again_costs_only_itself(cluster: Cluster, namespace: str) -> None:
    path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{CRD}"
    definition = cluster.get(path)
    del definition["status"]
    definition["metadata"] = {
        name: definition["metadata"][name]
        for name in ("name", "annotations", "labels")
        if name in definition["metadata"]
    }
    await apply(cluster, namespace, route("web", "a.test"), gateway("cert"))
    key, other = Key("HTTPRoute", namespace, "web"), Key("Gateway", namespace, "gw")
    async with following(cluster) as followed:
        try:
            await asyncio.to_thread(cluster.api.delete, path)
            await followed.until(lambda: key not in followed.rows and CRD not in followed.versions)
            await followed.until(lambda: "HTTPRoute" in followed.problems())
            await apply(cluster, namespace, service("meanwhile"))
            await followed.until(lambda: f"{namespace}/meanwhile" in followed.names("Service"))
            assert other in followed.rows
        finally:
            await apply(cluster, namespace, definition)
            # For a moment its objects are answered 429, and then they are there.
            await asyncio.to_thread(cluster.wait_for, "the kind", lambda: _is_served(cluster))
        await apply(cluster, namespace, route("web", "b.test"))
        await followed.until(lambda: hostnames(followed, key) == ("b.test",))
        assert CRD in followed.versions
        await followed.until(lambda: "HTTPRoute" not in followed.problems())


def _is_served(cluster: Cluster) -> bool:
    return cluster.api.request("GET", f"/apis/{GROUP}/v1/httproutes")[0] == 200
