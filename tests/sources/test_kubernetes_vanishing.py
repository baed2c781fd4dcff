"""What was perhaps lost stays until another list confirms it; single objects, certificates and consent go at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from tests.sources.cluster import GATEWAY, KINDS, Cluster, refusal
from tests.sources.following import Following, following
from trilithon.resources.meta import Key
from trilithon.sources.kubernetes import guard, source
from trilithon.sources.kubernetes.guard import MANY
from trilithon.sources.kubernetes.kinds import Scope

ROUTE = {"parentRefs": [{"name": "gw", "namespace": "infra"}]}
NAMES = tuple(f"r{number}" for number in range(MANY))
ROUTES = tuple(("httproutes", "shop", name) for name in NAMES)
PATHS = {f"shop/{name}" for name in NAMES}
GATEWAY_KEY = Key("Gateway", "infra", "gw")
DEFINITIONS = tuple(
    ("customresourcedefinitions", "", f"{plural}.{group}") for plural, (group, *_) in KINDS.items() if group == GATEWAY
)


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "RELIST_SECONDS", 0.3)


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with Cluster().serving() as serving:
        for plural, _, name in DEFINITIONS:
            await serving.put(plural, name, spec={})
        await serving.put("namespaces", "shop")
        await serving.put("gatewayclasses", "trilithon", spec={"controllerName": "trilithon.dev/gateway-controller"})
        listener = {"name": "l", "port": 80, "protocol": "HTTP"}
        await serving.put("gateways", "gw", "infra", spec={"gatewayClassName": "trilithon", "listeners": [listener]})
        for plural, namespace, name in ROUTES:
            await serving.put(plural, name, namespace, spec=ROUTE)
        yield serving


def listed(cluster: Cluster, plural: str) -> int:
    """How often a kind was listed so far."""
    return sum(
        request.path.endswith(f"/{plural}") and "sendInitialEvents" in request.query for request in cluster.requests
    )


async def held(followed: Following, words: str) -> None:
    await followed.until(lambda: f"{words} vanished at once" in followed.problems())


async def test_a_mass_that_vanishes_is_held_told_and_looked_for(cluster: Cluster) -> None:
    async with following(cluster.address) as followed:
        await followed.first()
        stored, lists = dict(followed.stored), listed(cluster, "httproutes")
        await cluster.vanish(*ROUTES)
        await held(followed, f"{MANY} of {MANY}")
        assert [trouble for trouble in followed.troubles if "vanished at once" in trouble], "the log says so, too"
        await followed.until(lambda: listed(cluster, "httproutes") > lists + 2)
        assert (followed.names("HTTPRoute"), followed.stored) == (PATHS, stored)
        assert sum("vanished at once" in trouble for trouble in followed.troubles) == 1, "once"


async def test_what_comes_back_is_simply_there_again(cluster: Cluster) -> None:
    async with following(cluster.address) as followed:
        await followed.first()
        await cluster.vanish(*ROUTES)
        await held(followed, f"{MANY} of {MANY}")
        for _, namespace, name in ROUTES[:5]:
            await cluster.put("httproutes", name, namespace, spec={**ROUTE, "hostnames": ["new.test"]})
        await held(followed, f"{MANY - 5} of {MANY}")
        changed = {key.name for key, row in followed.rows.items() if key.kind == "HTTPRoute" and row.spec.hostnames}
        assert (followed.names("HTTPRoute"), changed) == (PATHS, set(NAMES[:5]))
        await cluster.delete("httproutes", "r0", "shop")
        await followed.until(lambda: followed.names("HTTPRoute") == PATHS - {"shop/r0"})
        for _, namespace, name in ROUTES[5:]:
            await cluster.put("httproutes", name, namespace, spec=ROUTE)
        await followed.until(lambda: "vanished" not in followed.problems())
        assert followed.names("HTTPRoute") == PATHS - {"shop/r0"}


async def test_a_mass_goes_when_another_list_confirms_it_after_the_time(cluster: Cluster) -> None:
    async with following(cluster.address, hold_seconds=2.0) as followed:
        await followed.first()
        await cluster.vanish(*ROUTES)
        await held(followed, f"{MANY} of {MANY}")
        lists = listed(cluster, "httproutes")
        await followed.until(lambda: not followed.names("HTTPRoute"))
        assert listed(cluster, "httproutes") > lists
        assert {key.kind for key in followed.stored} == {"Gateway", "GatewayClass"}
        await followed.until(lambda: "vanished" not in followed.problems())


async def test_a_mass_without_evidence_of_a_loss_waits_only_for_another_list(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And keeps nothing of any other kind."""
    monkeypatch.setattr(guard, "CONFIRM_SECONDS", 1.0)
    async with following(cluster.address) as followed:
        await followed.first()
        await cluster.vanish(*ROUTES)
        await held(followed, f"{MANY} of {MANY}")
        await cluster.vanish(("gateways", "infra", "gw"))
        await followed.until(lambda: GATEWAY_KEY not in followed.rows and not followed.names("HTTPRoute"))
        await followed.until(lambda: "vanished" not in followed.problems())


async def test_what_was_replaced_has_not_vanished(cluster: Cluster) -> None:
    others = tuple(("httproutes", "shop", f"new-{name}") for name in NAMES)
    for plural, namespace, name in others:
        await cluster.put(plural, name, namespace, spec=ROUTE)
    new = await cluster.vanish(*others)
    async with following(cluster.address) as followed:
        await followed.first()
        assert followed.names("HTTPRoute") == PATHS
        cluster.appear(new)
        await cluster.vanish(*ROUTES)
        await followed.until(lambda: followed.names("HTTPRoute") == {f"shop/new-{name}" for name in NAMES})
        assert not [trouble for trouble in followed.troubles if "vanished" in trouble]


async def put_slice(cluster: Cluster, name: str, service: str) -> None:
    labels = {"kubernetes.io/service-name": service}
    endpoints = [{"addresses": ["10.0.0.1"]}]
    await cluster.put(
        "endpointslices", name, "shop", labels=labels, addressType="IPv4", endpoints=endpoints, ports=[{"port": 80}]
    )


async def test_no_slice_is_held_beside_another_of_its_service(cluster: Cluster) -> None:
    """Whatever was lost: where one is there, the others are addresses that may be somebody else's by now."""
    for name in ("a", "b", "c"):
        await cluster.put("services", name, "shop", spec={"ports": [{"port": 80}]})
        await put_slice(cluster, f"{name}-old", name)
    await put_slice(cluster, "a-new", "a")
    new = await cluster.vanish(("endpointslices", "shop", "a-new"))
    lost = [("endpointslices", "shop", f"{name}-old") for name in ("a", "b", "c")]
    async with following(cluster.address) as followed:
        await followed.first()
        cluster.appear(new)
        await cluster.rewind(*lost, ("services", "shop", "b"), ("services", "shop", "c"))
        await held(followed, "2 of 3")
        await followed.until(lambda: followed.names("EndpointSlice") == {"shop/a-new", "shop/b-old", "shop/c-old"})
        await put_slice(cluster, "b-new", "b")
        await followed.until(lambda: followed.names("EndpointSlice") == {"shop/a-new", "shop/b-new", "shop/c-old"})
        # Its Service is listed, and it is not.
        await cluster.put("services", "c", "shop", spec={"ports": [{"port": 80}]})
        await followed.until(lambda: followed.names("EndpointSlice") == {"shop/a-new", "shop/b-new"})


def places_held(followed: Following) -> str:
    """Of which kinds something is held, where that is as many of each."""
    return "".join(each.problem.place for each in followed.source.problems() if each.problem.code == "VanishedHeld")


async def test_a_slice_is_held_while_its_service_is_there_again_and_slices_are_not_listed_yet(cluster: Cluster) -> None:
    """What comes back comes kind by kind."""
    await cluster.put("services", "a", "shop", spec={"ports": [{"port": 80}]})
    await put_slice(cluster, "a-old", "a")
    async with following(cluster.address) as followed:
        await followed.first()
        places = (("services", "shop", "a"), ("endpointslices", "shop", "a-old"))
        lost = {place: cluster.copy().objects[place] for place in places}
        await cluster.rewind(*places)
        await followed.until(lambda: places_held(followed) == "EndpointSlice.discovery.k8s.io, Service")
        await cluster.change(
            lambda: cluster.moods.append(lambda asked: refused() if asked.path.endswith("/endpointslices") else None)
        )
        await cluster.cut("endpointslices")
        cluster.appear(lost)
        await followed.until(lambda: places_held(followed) == "EndpointSlice.discovery.k8s.io")
        await cluster.change(cluster.moods.clear)
        await followed.until(lambda: "vanished" not in followed.problems())
        assert followed.names("EndpointSlice") == {"shop/a-old"}
        assert not [key for change in followed.changes for key in change.removals], "not for a moment"


async def test_a_namespace_that_is_selected_no_longer_is_not_held(cluster: Cluster) -> None:
    await cluster.put("namespaces", "shop", labels={"edge": "yes"})
    async with following(cluster.address, Scope(namespace_selector="edge=yes")) as followed:
        await followed.first()
        assert followed.names("HTTPRoute") == PATHS
        await cluster.rewind(("namespaces", "", "shop"))
        await followed.until(lambda: not followed.names("HTTPRoute") and not followed.names("Namespace"))


async def test_nothing_goes_when_the_time_is_over_and_no_list_is_to_be_had(cluster: Cluster) -> None:
    async with following(cluster.address, hold_seconds=1.5) as followed:
        await followed.first()
        await cluster.vanish(*ROUTES)
        await held(followed, f"{MANY} of {MANY}")
        began = asyncio.get_running_loop().time()
        await cluster.change(lambda: cluster.moods.append(lambda _request: refused()))
        await cluster.cut()
        await followed.until(lambda: asyncio.get_running_loop().time() > began + 3)
        assert followed.names("HTTPRoute") == PATHS
        await cluster.change(cluster.moods.clear)
        await followed.until(lambda: not followed.names("HTTPRoute"))


def refused() -> web.StreamResponse:
    return refusal(503, "Away")


@pytest.mark.parametrize("hold_seconds", [300.0, 0.0])
async def test_few_that_vanish_go_at_once_and_so_does_a_mass_where_nothing_is_held(
    cluster: Cluster, hold_seconds: float
) -> None:
    gone = ROUTES if hold_seconds == 0 else ROUTES[: MANY - 1]
    async with following(cluster.address, hold_seconds=hold_seconds) as followed:
        await followed.first()
        await cluster.vanish(*gone)
        await followed.until(lambda: len(followed.names("HTTPRoute")) == MANY - len(gone))
        assert "vanished" not in followed.problems()


async def test_what_events_say_goes_at_once_however_much(cluster: Cluster) -> None:
    async with following(cluster.address) as followed:
        await followed.first()
        for plural, namespace, name in ROUTES:
            await cluster.delete(plural, name, namespace)
        await followed.until(lambda: not followed.names("HTTPRoute"))


async def test_consent_goes_at_once_however_much(cluster: Cluster) -> None:
    who = {"group": GATEWAY, "kind": "HTTPRoute", "namespace": "x"}
    grants = tuple(("referencegrants", "shop", name) for name in NAMES)
    for plural, namespace, name in grants:
        await cluster.put(plural, name, namespace, spec={"from": [who], "to": [{"group": "", "kind": "Service"}]})
    async with following(cluster.address) as followed:
        await followed.first()
        assert followed.names("ReferenceGrant") == PATHS
        await cluster.vanish(*grants, *ROUTES)
        await followed.until(lambda: not followed.names("ReferenceGrant"))
        await held(followed, f"{MANY} of {MANY}")


async def test_definitions_that_vanish_together_take_only_consent_with_them(cluster: Cluster) -> None:
    who = {"group": GATEWAY, "kind": "HTTPRoute", "namespace": "x"}
    to = {"group": "", "kind": "Service"}
    await cluster.put("referencegrants", "grant", "shop", spec={"from": [who], "to": [to]})
    async with following(cluster.address, hold_seconds=4.0) as followed:
        await followed.first()
        await cluster.change(
            lambda: [cluster.kinds.pop(plural) for plural, kind in KINDS.items() if kind[0] == GATEWAY]
        )
        await cluster.vanish(*DEFINITIONS)
        await held(followed, f"{len(DEFINITIONS)} of {len(DEFINITIONS)}")
        await followed.until(lambda: not followed.names("ReferenceGrant"))
        assert (followed.names("HTTPRoute"), len(followed.versions)) == (PATHS, len(DEFINITIONS))
        assert GATEWAY_KEY in followed.rows
        await followed.until(lambda: not followed.names("HTTPRoute") and GATEWAY_KEY not in followed.rows)
        assert followed.versions == {}
        await followed.until(lambda: "vanished" not in followed.problems())


async def test_what_a_history_that_went_back_never_had_is_held_however_few(cluster: Cluster) -> None:
    async with following(cluster.address) as followed:
        await followed.first()
        await cluster.rewind(ROUTES[0])
        await held(followed, f"1 of {MANY}")
        assert followed.names("HTTPRoute") == PATHS


async def test_what_was_only_hidden_is_found_again(cluster: Cluster) -> None:
    """Of consent, too, which went at once; though no event ever tells that it is there."""
    who = {"group": GATEWAY, "kind": "HTTPRoute", "namespace": "x"}
    grant = ("referencegrants", "shop", "grant")
    await cluster.put(*grant[::2], "shop", spec={"from": [who], "to": [{"group": "", "kind": "Service"}]})
    async with following(cluster.address) as followed:
        await followed.first()
        hidden = await cluster.vanish(*ROUTES, grant)
        await held(followed, f"{MANY} of {MANY}")
        await followed.until(lambda: not followed.names("ReferenceGrant"))
        cluster.appear(hidden)
        await followed.until(lambda: followed.names("ReferenceGrant") == {"shop/grant"})
        await followed.until(lambda: "vanished" not in followed.problems())
        assert followed.names("HTTPRoute") == PATHS


async def test_kinds_that_are_defined_anew_get_time_for_their_objects(cluster: Cluster) -> None:
    async with following(cluster.address) as followed:
        await followed.first()
        await cluster.change(lambda: cluster.kinds.pop("gateways"))
        await followed.until(lambda: "does not serve Gateway.gateway" in followed.problems())
        await cluster.vanish(("gateways", "infra", "gw"))
        await cluster.change(lambda: cluster.kinds.update(gateways=KINDS["gateways"]))
        await held(followed, "1 of 1")
        assert GATEWAY_KEY in followed.rows


async def test_what_was_given_up_is_all_found_again(cluster: Cluster) -> None:
    """Though it is as it was: whoever followed it knows that it is not what anybody was told last."""
    async with following(cluster.address, hold_seconds=0.5) as followed:
        await followed.first()
        await cluster.change(lambda: [cluster.kinds.pop(plural) for plural in ("httproutes", "gateways")])
        await followed.until(lambda: "does not serve HTTPRoute" in followed.problems())
        hidden = await cluster.vanish(*DEFINITIONS)
        await followed.until(lambda: not followed.names("HTTPRoute"))
        # Each of these has everything looked at once more.
        for number in range(3):
            await cluster.put("services", f"s{number}", "shop", spec={})
            await cluster.delete("services", f"s{number}", "shop")
            await cluster.cut()
        cluster.appear(hidden)
        await cluster.change(lambda: cluster.kinds.update(KINDS))
        await followed.until(lambda: followed.names("HTTPRoute") == PATHS and GATEWAY_KEY in followed.rows)
