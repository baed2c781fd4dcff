"""A cluster as a source: a complete first state, then differences; what fails costs itself only."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web

from tests.sources.cluster import KINDS, Cluster, refusal
from tests.sources.following import Following, following
from trilithon.kube.transport import Request, Transport
from trilithon.model.api_version import BUNDLE_VERSION, CHANNEL, ApiVersion
from trilithon.resources.core import Service
from trilithon.resources.meta import Key
from trilithon.resources.references import unknown
from trilithon.sources.kubernetes import source, state, views
from trilithon.sources.kubernetes.kinds import Scope

CLASS = {"controllerName": "trilithon.dev/gateway-controller"}
CERT = Key("Secret", "infra", "cert")
GATEWAY = Key("Gateway", "infra", "gw")
ROUTE = Key("HTTPRoute", "shop", "web")


def listening(*secrets: str) -> dict[str, Any]:
    tls = {"certificateRefs": [{"name": name} for name in secrets]}
    listener = {"name": "l", "port": 443, "protocol": "HTTPS", "tls": tls}
    return {"gatewayClassName": "trilithon", "listeners": [listener]}


def routing(*hostnames: str) -> dict[str, Any]:
    return {"parentRefs": [{"name": "gw", "namespace": "infra"}], "hostnames": list(hostnames)}


def holding(text: str) -> dict[str, Any]:
    return {"type": "Opaque", "data": {"x": base64.b64encode(text.encode()).decode()}}


def value(followed: Following, key: Key) -> bytes | None:
    row = followed.rows.get(key)
    found: bytes | None = row.get("x") if row is not None else None
    return found


def failing(plural: str, status: int = 500) -> Callable[[web.Request], web.StreamResponse | None]:
    return lambda request: refusal(status, "Sorry") if f"/{plural}" in request.path else None


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with Cluster().serving() as serving:
        for plural, (group, *_) in KINDS.items():
            if group.endswith("networking.k8s.io"):
                said = {BUNDLE_VERSION: "v1.6.1", CHANNEL: "standard"}
                await serving.put("customresourcedefinitions", f"{plural}.{group}", annotations=said, spec={})
        for namespace in ("infra", "shop"):
            await serving.put("namespaces", namespace, labels={"team": namespace})
        await serving.put("gatewayclasses", "trilithon", spec=CLASS)
        await serving.put("secrets", "cert", "infra", **holding("one"))
        await serving.put("secrets", "foreign", "infra", **holding("never read"))
        await serving.put("gateways", "gw", "infra", spec=listening("cert"))
        await serving.put("httproutes", "web", "shop", spec=routing("a.test"), status={"parents": []})
        yield serving


async def test_the_first_state_is_complete_with_what_is_named(cluster: Cluster) -> None:
    async with following(cluster.address) as followed:
        await followed.first()
    first = followed.changes[0]
    assert {GATEWAY, ROUTE, CERT, Key("Namespace", "", "shop"), Key("GatewayClass", "", "trilithon")} <= set(
        first.upserts
    )
    assert len(followed.versions) == 4
    assert followed.versions["httproutes.gateway.networking.k8s.io"] == ApiVersion(
        "httproutes.gateway.networking.k8s.io", "v1.6.1", "standard"
    )


async def test_a_difference_is_told_and_a_deletion(cluster: Cluster) -> None:
    async with following(cluster.address) as followed:
        await followed.first()
        await cluster.put("httproutes", "web", "shop", spec=routing("b.test"))
        await followed.until(lambda: followed.rows[ROUTE].spec.hostnames == ("b.test",))
        await cluster.delete("httproutes", "web", "shop")
        await followed.until(lambda: ROUTE not in followed.rows)
    assert ROUTE not in followed.stored


async def test_a_write_to_the_status_alone_is_stored_and_no_difference(cluster: Cluster) -> None:
    async with following(cluster.address) as followed:
        await followed.first()
        before = followed.stored[ROUTE]
        assert before.status == b'{"parents":[]}'
        status = {"parents": [{"controllerName": "x"}]}
        await cluster.put("httproutes", "web", "shop", spec=routing("a.test"), status=status)
        await followed.until(lambda: followed.stored[ROUTE] != before)
        await cluster.put("services", "after", "shop", spec={"ports": [{"port": 80}]})
        await followed.until(lambda: len(followed.changes) > 1)
    assert [set(change.upserts) for change in followed.changes[1:]] == [{Key("Service", "shop", "after")}]
    after = followed.stored[ROUTE]
    assert (after.path.path("status"), after.uid) == (
        "/apis/gateway.networking.k8s.io/v1/namespaces/shop/httproutes/web/status",
        before.uid,
    )
    assert (after.generation, after.status) == (1, b'{"parents":[{"controllerName":"x"}]}')


async def test_changes_that_come_together_are_told_together(cluster: Cluster) -> None:
    async with following(cluster.address) as followed:
        await followed.first()
        for index in range(50):
            await cluster.put("services", f"s{index}", "shop", spec={"ports": [{"port": 80}]})
        await followed.until(lambda: len(followed.names("Service")) == 50)
    assert len(followed.changes) < 30


# Secrets


async def test_a_secret_that_nobody_names_is_never_read_and_makes_no_difference(cluster: Cluster) -> None:
    async with following(cluster.address) as followed:
        await followed.first()
        await cluster.put("secrets", "foreign", "infra", **holding("two"))
        await cluster.put("services", "after", "shop", spec={"ports": [{"port": 80}]})
        await followed.until(lambda: len(followed.changes) > 1)
    assert [set(change.upserts) for change in followed.changes[1:]] == [{Key("Service", "shop", "after")}]
    assert cluster.asked("secrets") == ["/api/v1/namespaces/infra/secrets/cert"]


async def test_a_gateway_waits_for_the_secret_that_it_names_now(cluster: Cluster) -> None:
    async with following(cluster.address) as followed:
        await followed.first()
        await cluster.put("gateways", "gw", "infra", spec=listening("foreign"))
        await followed.until(lambda: len(followed.changes) > 1)
    change = followed.changes[1]
    assert set(change.upserts) == {GATEWAY, Key("Secret", "infra", "foreign")}
    assert change.removals == (CERT,), "what nobody names any more is not kept"


async def test_a_secret_that_does_not_exist_keeps_nothing_waiting(cluster: Cluster) -> None:
    late = Key("Secret", "infra", "late")
    async with following(cluster.address) as followed:
        await followed.first()
        await cluster.put("gateways", "gw", "infra", spec=listening("late"))
        await followed.until(lambda: GATEWAY in followed.changes[-1].upserts and len(followed.changes) > 1)
        assert late not in followed.rows
        await cluster.put("secrets", "late", "infra", **holding("here"))
        await followed.until(lambda: value(followed, late) == b"here")


async def test_a_secret_is_read_again_when_it_changes_and_withdrawn_when_it_goes(cluster: Cluster) -> None:
    async with following(cluster.address) as followed:
        await followed.first()
        await cluster.put("secrets", "cert", "infra", **holding("two"))
        await followed.until(lambda: value(followed, CERT) == b"two")
        await cluster.delete("secrets", "cert", "infra")
        await followed.until(lambda: CERT not in followed.rows)
        await cluster.put("secrets", "cert", "infra", **holding("three"))
        await followed.until(lambda: value(followed, CERT) == b"three")


async def test_a_secret_that_cannot_be_read_at_first_is_unknown_and_keeps_nothing_waiting(cluster: Cluster) -> None:
    cluster.moods.append(failing("secrets/cert", 403))
    async with following(cluster.address) as followed:
        await followed.first()
        assert {GATEWAY, CERT, ROUTE} <= set(followed.changes[0].upserts), "both at once"
        assert followed.rows[CERT] == unknown(CERT)
        assert "Secret infra/cert: cannot be read now" in followed.problems()
        await cluster.change(cluster.moods.clear)
        await followed.until(lambda: value(followed, CERT) == b"one")
        assert "infra/cert" not in followed.problems()


async def test_a_secret_that_was_unknown_and_does_not_exist_is_gone(cluster: Cluster) -> None:
    cluster.moods.append(failing("secrets/cert", 429))
    async with following(cluster.address) as followed:
        await followed.first()
        assert followed.rows[CERT] == unknown(CERT)
        await cluster.change(lambda: cluster.moods.__setitem__(0, failing("secrets/cert", 404)))
        await followed.until(lambda: CERT not in followed.rows)


async def test_secrets_that_are_slow_to_read_delay_the_first_state_only_so_long(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "READING_SECONDS", 0.1)
    held = asyncio.Event()

    async def slowly(self: Transport, request: Request) -> bytes:
        if "secrets/cert" in request.path:
            await held.wait()
        return await fetch(self, request)

    fetch = Transport.fetch
    monkeypatch.setattr(Transport, "fetch", slowly)
    async with following(cluster.address) as followed:
        await followed.first()
        assert followed.rows[CERT] == unknown(CERT)
        assert {GATEWAY, ROUTE} <= set(followed.rows)
        held.set()
        await followed.until(lambda: value(followed, CERT) == b"one")


async def test_a_gateway_stays_as_it_was_while_what_it_names_now_cannot_be_read(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign = Key("Secret", "infra", "foreign")
    async with following(cluster.address) as followed:
        await followed.first()
        before = followed.rows[GATEWAY]
        await cluster.change(lambda: cluster.moods.append(failing("secrets/foreign")))
        await cluster.put("gateways", "gw", "infra", spec=listening("foreign"))
        await followed.until(lambda: "infra/foreign: cannot be read" in followed.problems())
        assert (followed.rows[GATEWAY], value(followed, CERT)) == (before, b"one")
        monkeypatch.setattr(state, "PATIENCE_SECONDS", 0.1)
        await followed.until(lambda: followed.rows[GATEWAY] != before)
        assert followed.rows[foreign] == unknown(foreign), "but not for ever"
        await cluster.change(cluster.moods.clear)
        await followed.until(lambda: value(followed, foreign) == b"never read")


async def test_a_secret_that_cannot_be_read_again_stays_as_it_was(cluster: Cluster) -> None:
    async with following(cluster.address) as followed:
        await followed.first()
        await cluster.change(lambda: cluster.moods.append(failing("secrets/cert")))
        await cluster.put("secrets", "cert", "infra", **holding("two"))
        await followed.until(lambda: "Secret infra/cert: cannot be read now" in followed.problems())
        assert value(followed, CERT) == b"one"
        await cluster.change(cluster.moods.clear)
        await followed.until(lambda: value(followed, CERT) == b"two")


# Scope


async def test_with_namespaces_given_nothing_is_asked_of_others(cluster: Cluster) -> None:
    async with following(cluster.address, Scope(namespaces=("shop",))) as followed:
        await followed.first()
        await cluster.put("httproutes", "other", "infra", spec=routing("b.test"))
        await cluster.put("httproutes", "mine", "shop", spec=routing("b.test"))
        await followed.until(lambda: len(followed.changes) > 1)
    assert followed.names("HTTPRoute") == {"shop/web", "shop/mine"}
    assert followed.names("Namespace") == {"shop"}
    assert followed.names("Gateway") == set()
    assert not any("/namespaces/infra/" in request.path for request in cluster.requests)


async def test_a_secret_of_another_namespace_is_not_asked_for(cluster: Cluster) -> None:
    spec = listening("cert")
    spec["listeners"][0]["tls"]["certificateRefs"][0]["namespace"] = "infra"
    await cluster.put("gateways", "gw", "shop", spec=spec)
    async with following(cluster.address, Scope(namespaces=("shop",))) as followed:
        await followed.first()
    assert followed.names("Gateway") == {"shop/gw"}
    assert cluster.asked("secrets") == []


async def test_with_a_selector_objects_come_and_go_with_their_namespace(cluster: Cluster) -> None:
    async with following(cluster.address, Scope(namespace_selector="team=shop")) as followed:
        await followed.first()
        assert (followed.names("HTTPRoute"), followed.names("Gateway")) == ({"shop/web"}, set())
        assert GATEWAY not in followed.stored
        await cluster.put("namespaces", "infra", labels={"team": "shop"})
        await followed.until(lambda: GATEWAY in followed.rows)
        assert {CERT, GATEWAY} <= set(followed.changes[-1].upserts), "with what it names"
        assert GATEWAY in followed.stored
        await cluster.put("namespaces", "shop", labels={})
        await followed.until(lambda: ROUTE not in followed.rows)
        assert ROUTE not in followed.stored
        await cluster.put("httproutes", "web", "shop", spec=routing("b.test"))
        await cluster.put("namespaces", "shop", labels={"team": "shop"})
        await followed.until(lambda: ROUTE in followed.rows)
        assert followed.rows[ROUTE].spec.hostnames == ("b.test",)


@pytest.mark.parametrize(
    "scope",
    [
        Scope(namespaces=("shop",), own_namespace="system"),
        Scope(namespace_selector="team=shop", own_namespace="system"),
    ],
    ids=["namespaces", "a selector"],
)
async def test_parameters_beside_the_controller_count_whatever_else_does(cluster: Cluster, scope: Scope) -> None:
    """They are those of a GatewayClass, which the controller's installation brings."""
    cluster.kinds["gatewayparameters"] = ("trilithon.dev", "v1alpha1", "GatewayParameters", True)
    for namespace in ("system", "infra"):
        await cluster.put("gatewayparameters", "params", namespace, spec={})
        await cluster.put("services", "other", namespace, spec={"ports": [{"port": 80}]})
    async with following(cluster.address, scope) as followed:
        await followed.first()
        assert followed.names("GatewayParameters") == {"system/params"}
        assert followed.names("Service") == set()
        await cluster.put("gatewayparameters", "more", "system", spec={})
        await followed.until(lambda: followed.names("GatewayParameters") == {"system/params", "system/more"})
        await cluster.put("namespaces", "system", labels={"team": "shop"})
        await cluster.put("httproutes", "after", "shop", spec=routing("b.test"))
        await followed.until(lambda: "shop/after" in followed.names("HTTPRoute"))
        await cluster.delete("gatewayparameters", "params", "system")
        await followed.until(lambda: followed.names("GatewayParameters") == {"system/more"})


# What fails


async def test_a_kind_that_cannot_be_listed_holds_up_the_first_state_and_is_told(cluster: Cluster) -> None:
    cluster.moods.append(failing("httproutes", 403))
    async with following(cluster.address) as followed:
        await followed.until(lambda: bool(followed.troubles))
        assert "HTTPRoute.gateway.networking.k8s.io: cannot be watched" in followed.problems()
        assert not followed.changes
        await cluster.change(cluster.moods.clear)
        await followed.first()
        assert ROUTE in followed.changes[0].upserts
        await followed.until(lambda: "HTTPRoute" not in followed.problems())


async def test_what_ails_all_kinds_is_one_trouble(cluster: Cluster) -> None:
    async with following(cluster.address) as followed:
        await followed.first()
        before = list(followed.troubles)
        await cluster.change(lambda: cluster.moods.append(lambda _request: refusal(503, "Away")))
        await cluster.cut()
        await followed.until(lambda: "Namespace, " in followed.problems() and "HTTPRoute" in followed.problems())
        assert len(followed.troubles) == len(before) + 1
        assert followed.problems().count("cannot be watched") == 1
        assert {ROUTE, GATEWAY, CERT} <= set(followed.rows)
        await cluster.change(cluster.moods.clear)
        await followed.until(lambda: "cannot be watched" not in followed.problems())


async def test_a_cluster_is_current_while_any_kind_can_be_watched(cluster: Cluster) -> None:
    async with following(cluster.address) as followed:
        assert not followed.source.is_current, "nothing was listed yet"
        await followed.first()
        assert followed.source.is_current
        await cluster.change(lambda: cluster.moods.append(failing("httproutes")))
        await cluster.cut()
        await followed.until(lambda: "HTTPRoute" in followed.problems())
        await followed.until(lambda: followed.source.is_current)
        await cluster.change(lambda: cluster.moods.append(lambda _request: refusal(503, "Away")))
        await cluster.cut()
        await followed.until(lambda: not followed.source.is_current)
        await cluster.change(cluster.moods.clear)
        await followed.until(lambda: followed.source.is_current)


async def test_a_kind_that_fails_later_stays_as_it_was(cluster: Cluster) -> None:
    async with following(cluster.address) as followed:
        await followed.first()
        await cluster.change(lambda: cluster.kinds.pop("httproutes"))
        await followed.until(lambda: "HTTPRoute.gateway.networking.k8s.io" in followed.problems())
        await cluster.put("services", "after", "shop", spec={"ports": [{"port": 80}]})
        await followed.until(lambda: len(followed.changes) > 1)
        assert ROUTE in followed.rows


async def test_a_kind_goes_when_its_definition_goes_and_comes_back_with_it(cluster: Cluster) -> None:
    definition = "httproutes.gateway.networking.k8s.io"
    async with following(cluster.address) as followed:
        await followed.first()
        await cluster.change(lambda: cluster.kinds.pop("httproutes"))
        await cluster.delete("customresourcedefinitions", definition)
        await followed.until(lambda: ROUTE not in followed.rows)
        assert (ROUTE in followed.stored, definition in followed.versions) == (False, False)
        assert GATEWAY in followed.rows
        await cluster.put("customresourcedefinitions", definition, annotations={}, spec={})
        await cluster.change(lambda: cluster.kinds.update(httproutes=KINDS["httproutes"]))
        await followed.until(lambda: ROUTE in followed.rows)
        await followed.until(lambda: "HTTPRoute" not in followed.problems())


@pytest.mark.parametrize("plural", ["services", "endpointslices", "namespaces"])
async def test_a_kind_of_kubernetes_itself_that_is_not_served_keeps_its_objects(cluster: Cluster, plural: str) -> None:
    kind = KINDS[plural][2]
    key = Key(kind, "" if plural == "namespaces" else "shop", "shop")
    slice_ = {"addressType": "IPv4", "endpoints": [], "ports": []}
    spec = {"ports": [{"port": 80}]}
    if plural in ("services", "endpointslices"):
        await cluster.put(plural, "shop", "shop", **(slice_ if plural == "endpointslices" else {"spec": spec}))
    async with following(cluster.address) as followed:
        await followed.first()
        before = followed.names(kind)
        assert key in followed.rows
        await cluster.change(lambda: cluster.kinds.pop(plural))
        await followed.until(lambda: f"does not serve {kind}" in followed.problems())
        await cluster.put("httproutes", "after", "shop", spec=routing("b.test"))
        await followed.until(lambda: "shop/after" in followed.names("HTTPRoute"))
        assert followed.names(kind) == before, "it has no definition that could have been removed"
        await cluster.change(lambda: cluster.kinds.update({plural: KINDS[plural]}))
        await followed.until(lambda: kind not in followed.problems())


async def test_a_kind_of_kubernetes_itself_is_waited_for_however_long(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "MISSING_SECONDS", 0.1)
    monkeypatch.setattr(source, "PATIENCE_SECONDS", 1.0)
    await cluster.put("services", "web", "shop", spec={"ports": [{"port": 80}]})
    cluster.kinds.pop("services")
    async with following(cluster.address) as followed:
        await followed.until(lambda: "nothing is served before these are listed: Service" in followed.troubles)
        assert not followed.changes
        await cluster.change(lambda: cluster.kinds.update(services=KINDS["services"]))
        await followed.first()
        assert Key("Service", "shop", "web") in followed.changes[0].upserts


async def test_a_kind_that_was_never_defined_keeps_nothing_waiting(cluster: Cluster) -> None:
    await cluster.delete("customresourcedefinitions", "httproutes.gateway.networking.k8s.io")
    cluster.kinds.pop("httproutes")
    async with following(cluster.address) as followed:
        await followed.first()
        assert "does not serve HTTPRoute" in followed.problems()


async def test_a_kind_that_is_defined_and_not_served_is_waited_for(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "PATIENCE_SECONDS", 0.2)
    cluster.kinds.pop("httproutes")
    async with following(cluster.address) as followed:
        await followed.until(lambda: "does not serve HTTPRoute" in followed.problems())
        waiting = "nothing is served before these are listed: HTTPRoute.gateway.networking.k8s.io"
        await followed.until(lambda: waiting in followed.troubles)
        # An API server that starts may not know yet what it serves.
        assert not followed.changes
        await cluster.change(lambda: cluster.kinds.update(httproutes=KINDS["httproutes"]))
        await followed.first()
        assert ROUTE in followed.changes[0].upserts
    cluster.kinds.pop("httproutes")
    monkeypatch.setattr(views, "MISSING_SECONDS", 0.1)
    async with following(cluster.address) as followed:
        await followed.first()
        assert ROUTE not in followed.rows, "but not for ever"


async def test_definitions_that_may_not_be_read_keep_nothing_waiting(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Our own kinds are not there, and without definitions only time tells that they will not come.
    monkeypatch.setattr(views, "MISSING_SECONDS", 0.5)
    cluster.moods.append(failing("customresourcedefinitions", 403))
    async with following(cluster.address) as followed:
        await followed.first()
        assert ROUTE in followed.rows
        assert followed.versions == {}
        assert "CustomResourceDefinition" in followed.problems()


async def test_a_route_that_cannot_be_read_costs_itself_only_and_is_not_served_as_it_was(cluster: Cluster) -> None:
    other = Key("HTTPRoute", "shop", "other")
    async with following(cluster.address) as followed:
        await followed.first()
        await cluster.put("httproutes", "web", "shop", spec={"parentRefs": "gw"})
        await cluster.put("httproutes", "other", "shop", spec=routing("c.test"))
        await followed.until(lambda: other in followed.rows and ROUTE not in followed.rows)
        assert "HTTPRoute shop/web spec.parentRefs" in followed.problems()
        assert (followed.stored[ROUTE].generation, followed.stored[ROUTE].is_read) == (2, False), "it exists"
        await cluster.put("httproutes", "web", "shop", spec=routing("b.test"))
        await followed.until(lambda: ROUTE in followed.rows)
        assert followed.stored[ROUTE].is_read
        assert "shop/web" not in followed.problems()


async def test_a_gateway_that_cannot_be_read_stays_as_last_read(cluster: Cluster) -> None:
    async with following(cluster.address) as followed:
        await followed.first()
        before = followed.rows[GATEWAY]
        await cluster.put("gateways", "gw", "infra", spec={"gatewayClassName": 5})
        await followed.until(lambda: not followed.stored[GATEWAY].is_read)
        assert followed.rows[GATEWAY] == before
        assert "Gateway infra/gw spec.gatewayClassName" in followed.problems()


async def test_consent_that_cannot_be_read_is_none(cluster: Cluster) -> None:
    key = Key("ReferenceGrant", "shop", "grant")
    who, to = (
        {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "x"},
        {"group": "", "kind": "Service"},
    )
    await cluster.put("referencegrants", "grant", "shop", spec={"from": [who], "to": [to]})
    async with following(cluster.address) as followed:
        await followed.first()
        assert key in followed.rows
        await cluster.put("referencegrants", "grant", "shop", spec={"from": [{**who, "kind": 5}], "to": [to]})
        await followed.until(lambda: key not in followed.rows)


async def test_a_field_that_is_not_known_is_a_flaw_of_its_row(cluster: Cluster) -> None:
    async with following(cluster.address) as followed:
        await followed.first()
        await cluster.put("httproutes", "web", "shop", spec={**routing("b.test"), "invented": 1})
        await followed.until(lambda: followed.rows[ROUTE].spec.hostnames == ("b.test",))
        assert [flaw.path for flaw in followed.rows[ROUTE].flaws] == ["spec.invented"]
        assert "invented" not in followed.problems(), "the route tells"


async def test_whoever_follows_anew_is_told_what_is_gone_and_what_was_given_up(cluster: Cluster) -> None:
    async with following(cluster.address) as followed:
        await followed.first()
        await cluster.change(lambda: cluster.moods.append(failing("secrets/cert")))
        await cluster.put("secrets", "cert", "infra", **holding("two"))
        await followed.until(lambda: "infra/cert: cannot be read" in followed.problems())
        await followed.stop()
        await cluster.delete("httproutes", "web", "shop")
        await cluster.change(cluster.moods.clear)
        followed.start()
        await followed.until(lambda: ROUTE not in followed.rows and value(followed, CERT) == b"two")
        assert ROUTE not in followed.stored
        await followed.until(lambda: followed.problems().count("infra/cert") == 0)


async def test_services_bring_their_addresses(cluster: Cluster) -> None:
    status = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
    key = Key("Service", "infra", "gw")
    await cluster.put("services", "gw", "infra", spec={"ports": [{"port": 80}]})
    async with following(cluster.address) as followed:
        await followed.first()
        await cluster.put("services", "gw", "infra", spec={"ports": [{"port": 80}]}, status=status)
        await followed.until(lambda: bool(followed.rows[key].load_balancer))
    row = followed.rows[key]
    assert isinstance(row, Service)
    assert [point.ip for point in row.load_balancer] == ["192.0.2.1"]
