"""What a newer definition lets in is served as far as it is understood; the answer depends on what is stored alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pytest

from tests.sources.cluster import KINDS, Cluster
from tests.sources.following import Following, following
from trilithon.controller.cluster import Refusals
from trilithon.incremental import Changes, Table
from trilithon.inspect.check import problems_of
from trilithon.inspect.explain import explain
from trilithon.inspect.request import parse
from trilithon.model.api_version import BUNDLE_VERSION
from trilithon.model.settings import Installation, Settings
from trilithon.model.tables import INFRASTRUCTURE
from trilithon.pipeline import PUBLISHED, Translation, acknowledged, build, edits
from trilithon.resources.meta import Key
from trilithon.resources.problem import Problem
from trilithon.sinks.objects.event_recorder import EventRecorder
from trilithon.status.class_ import CLASS_STATUS
from trilithon.status.conditions import Condition
from trilithon.status.gateway import GATEWAY_STATUS
from trilithon.status.route import ROUTE_STATUS

OURS = "trilithon.dev/gateway-controller"
CLUSTER = Settings(
    address="0.0.0.0",
    shared_address=False,
    private_backends=False,
    installation=Installation("trilithon-system", "trilithon"),
)
CLASS, GATEWAY, ROUTE = Key("GatewayClass", "", "ours"), Key("Gateway", "shop", "gw"), Key("HTTPRoute", "shop", "web")
PLURALS = {"GatewayClass": "gatewayclasses", "Gateway": "gateways", "HTTPRoute": "httproutes"}

HTTP: dict[str, Any] = {"name": "http", "port": 80, "protocol": "HTTP"}
ADMIN: dict[str, Any] = {"name": "admin", "port": 80, "protocol": "HTTP", "hostname": "admin.test"}
WEB = {"name": "web", "port": 80}
SERVED = {"matches": [{"path": {"value": "/"}}], "backendRefs": [WEB]}
NEW_FILTER = {"type": "FutureThing", "futureThing": {}}
AUTHORISED = {"matches": [{"path": {"value": "/admin"}}], "backendRefs": [WEB], "filters": [NEW_FILTER]}


def routing(*rules: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {"parentRefs": [{"name": "gw"}], "rules": list(rules or (SERVED,)), **spec}


def listening(*listeners: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {"gatewayClassName": "ours", "listeners": list(listeners or (HTTP, ADMIN)), **spec}


GOOD: Mapping[Key, dict[str, Any]] = {CLASS: {"controllerName": OURS}, GATEWAY: listening(), ROUTE: routing()}
WRITTEN = (
    pytest.param(ROUTE, routing(AUTHORISED, SERVED), id="a rule with a filter of a new type"),
    pytest.param(ROUTE, routing({**AUTHORISED, "matches": []}), id="the only rule"),
    pytest.param(
        ROUTE,
        routing({**SERVED, "matches": [{"path": {"type": "Future", "value": "/a"}}, {"path": {"value": "/b"}}]}),
        id="a match of a new type",
    ),
    pytest.param(
        ROUTE,
        routing({"filters": [{"type": "RequestRedirect", "requestRedirect": {"statusCode": 305}}]}, SERVED),
        id="a new status of redirects",
    ),
    pytest.param(ROUTE, routing(SERVED, hostnames=["UPPER.test"]), id="a hostname"),
    pytest.param(ROUTE, {"parentRefs": "gw"}, id="no readable parent"),
    pytest.param(
        GATEWAY, listening(HTTP, {**ADMIN, "allowedRoutes": {"namespaces": {"from": "Future"}}}), id="a listener"
    ),
    pytest.param(ROUTE, routing(SERVED, hostnames=["a.test", "a*.test"]), id="a hostname beside another"),
    pytest.param(ROUTE, routing({**SERVED, "matches": [{"cookies": []}]}), id="a field of a match"),
    pytest.param(ROUTE, routing({**SERVED, "future": {}}), id="a field of a rule"),
    pytest.param(GATEWAY, listening(HTTP, {**ADMIN, "port": 0}), id="a listener that is nowhere"),
    pytest.param(GATEWAY, listening(HTTP, {**ADMIN, "hostname": "a*.test"}), id="a listener of who knows which host"),
    pytest.param(GATEWAY, listening(HTTP, allowedListeners={"namespaces": {"from": "Future"}}), id="a Gateway's field"),
    pytest.param(GATEWAY, listening(HTTP, tls={"frontend": 5}), id="TLS towards clients"),
    pytest.param(GATEWAY, listening() | {"listeners": []}, id="no listeners"),
    pytest.param(CLASS, {"controllerName": OURS, "description": "x" * 65}, id="a description"),
    pytest.param(CLASS, {"controllerName": OURS, "parametersRef": {"kind": 5}}, id="a class"),
)


async def put(cluster: Cluster, key: Key, spec: dict[str, Any]) -> None:
    await cluster.put(PLURALS[key.kind], key.name, key.namespace, spec=spec)


async def fill(cluster: Cluster) -> None:
    for plural, (group, *_) in KINDS.items():
        if group.endswith("networking.k8s.io"):
            said = {BUNDLE_VERSION: "v1.7.0"}
            await cluster.put("customresourcedefinitions", f"{plural}.{group}", annotations=said, spec={})
    await cluster.put("services", "web", "shop", spec={"ports": [{"port": 80}]})
    await cluster.put(
        "endpointslices",
        "web-1",
        "shop",
        labels={"kubernetes.io/service-name": "web"},
        addressType="IPv4",
        endpoints=[{"addresses": ["10.1.2.3"]}],
        ports=[{"port": 80}],
    )
    for key, spec in GOOD.items():
        await put(cluster, key, spec)


class Told:
    """A translation that follows a source, and what the sinks of a cluster were told."""

    def __init__(self, followed: Following) -> None:
        self.followed = followed
        self.engine = build(CLUSTER)
        self.events: list[Problem] = []
        self.refusals = Refusals(cast("EventRecorder", self))
        self._before: dict[Key, Any] = {}

    def record(self, _key: Key, _uid: str, problem: Problem) -> None:
        self.events.append(problem)

    def settle(self) -> None:
        """Translate what is different now, as after each change; Envoy takes everything."""
        rows, before = dict(self.followed.rows), self._before
        changed = [row for key, row in rows.items() if before.get(key) != row]
        self._before = rows
        for key, stored in self.followed.stored.items():
            self.refusals.stored(key, stored)
        self._told(self.engine.apply(edits(changed, [key for key in before if key not in rows])))
        self._told(self.engine.apply(acknowledged(self.engine)))

    def _told(self, changes: Changes) -> None:
        self.refusals.settled(self.engine, changes)

    def results(self) -> dict[str, dict[Any, Any]]:
        """All that Envoys and the API server are told."""
        tables: tuple[Table[Any, Any], ...] = (*PUBLISHED, INFRASTRUCTURE, CLASS_STATUS, GATEWAY_STATUS, ROUTE_STATUS)
        return {table.name: dict(self.engine.rows(table)) for table in tables}

    def status_of(self, path: str, host: str = "a.test") -> int | None:
        """What a request is answered; None where a backend answers."""
        found = explain(Translation(self.engine, CLUSTER), parse("GET", f"http://{host}{path}"))
        return None if found.outcome == "forward" else found.status

    def of_route(self) -> dict[str, Condition]:
        status = self.engine.row(ROUTE_STATUS, ROUTE)
        assert status is not None
        return {each.type: each for each in status.parents[0].conditions}

    def of_gateway(self) -> dict[str, Condition]:
        status = self.engine.row(GATEWAY_STATUS, GATEWAY)
        assert status is not None
        return {each.type: each for each in status.conditions}

    def of_listeners(self) -> dict[str, dict[str, Condition]]:
        status = self.engine.row(GATEWAY_STATUS, GATEWAY)
        assert status is not None
        return {each.name: {one.type: one for one in each.conditions} for each in status.listeners}

    def of_class(self) -> Condition:
        status = self.engine.row(CLASS_STATUS, CLASS)
        assert status is not None
        return status.conditions[0]

    def is_held(self) -> bool:
        row = self.engine.row(INFRASTRUCTURE, GATEWAY)
        assert row is not None
        return row.is_held


async def updated(cluster: Cluster, followed: Following, key: Key, spec: dict[str, Any]) -> Told:
    """What was served well, and was then changed."""
    await followed.first()
    told = Told(followed)
    told.settle()
    assert (told.status_of("/"), told.of_route()["Accepted"].status) == (None, "True")
    await put(cluster, key, spec)
    await followed.until(lambda: followed.stored[key].generation == 2)
    await followed.until(lambda: key not in followed.rows or followed.rows[key].generation == 2)
    told.settle()
    return told


async def serve(key: Key, spec: dict[str, Any]) -> Told:
    async with Cluster().serving() as cluster:
        await fill(cluster)
        async with following(cluster.address) as followed:
            return await updated(cluster, followed, key, spec)


@pytest.mark.parametrize(("key", "spec"), WRITTEN)
async def test_a_restart_changes_nothing(key: Key, spec: dict[str, Any]) -> None:
    async with Cluster().serving() as cluster:
        await fill(cluster)
        async with following(cluster.address) as followed:
            running = await updated(cluster, followed, key, spec)
        async with following(cluster.address) as begun:
            await begun.first()
            restarted = Told(begun)
            restarted.settle()
        assert restarted.results() == running.results()
        assert problems_of(restarted.engine) == problems_of(running.engine)


async def test_a_rule_with_a_filter_of_a_new_type_is_not_served_without_it() -> None:
    """A filter "MUST NOT be skipped" (HTTPRouteFilter): its requests are refused. Those of other rules are served."""
    told = await serve(ROUTE, routing(AUTHORISED, SERVED))
    assert (told.status_of("/admin"), told.status_of("/")) == (500, None)
    conditions = told.of_route()
    assert (conditions["Accepted"].status, conditions["Accepted"].observed_generation) == ("True", 2)
    partial = conditions["PartiallyInvalid"]
    assert (partial.status, partial.reason, partial.observed_generation) == ("True", "UnsupportedValue", 2)
    assert partial.message.startswith("Dropped Rule")
    assert "FutureThing" in partial.message


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        (routing({**AUTHORISED, "matches": []}), "spec.rules[0].filters[0].type"),
        (
            routing({**SERVED, "matches": [{"path": {"type": "Future", "value": "/"}}]}),
            "spec.rules[0].matches[0].path.type",
        ),
        (routing(SERVED, hostnames=["UPPER.test"]), "spec.hostnames[0]"),
    ],
)
async def test_a_route_of_which_nothing_is_left_is_not_accepted_at_this_generation(
    spec: dict[str, Any], path: str
) -> None:
    told = await serve(ROUTE, spec)
    accepted = told.of_route()["Accepted"]
    assert (accepted.status, accepted.reason, accepted.observed_generation) == ("False", "UnsupportedValue", 2)
    assert told.status_of("/") in (404, 500)
    assert path in [each.path for each in told.events], "it is an Event"
    assert path in [each.path for each in problems_of(told.engine)], "and shown by check"


async def test_a_listener_that_is_not_understood_keeps_its_hostname_and_costs_no_other() -> None:
    closed = {**ADMIN, "allowedRoutes": {"namespaces": {"from": "Future"}}}
    told = await serve(GATEWAY, listening(HTTP, closed))
    assert (told.status_of("/"), told.status_of("/", "admin.test")) == (None, 503)
    status = told.engine.row(GATEWAY_STATUS, GATEWAY)
    assert status is not None
    by_name = {each.name: {one.type: one for one in each.conditions} for each in status.listeners}
    assert by_name["http"]["Programmed"].status == "True"
    refused = by_name["admin"]["Accepted"]
    assert (refused.status, refused.reason, refused.observed_generation) == ("False", "UnsupportedValue", 2)
    assert "spec.listeners[1].allowedRoutes.namespaces.from" in [each.path for each in told.events]


async def test_a_gateway_with_a_field_that_is_not_understood_is_served_on_and_says_so() -> None:
    told = await serve(GATEWAY, listening(HTTP, allowedListeners={"namespaces": {"from": "Future"}}))
    assert told.status_of("/") is None
    accepted = told.of_gateway()["Accepted"]
    assert (accepted.status, accepted.reason, accepted.observed_generation) == ("False", "Invalid", 2)
    held = told.engine.row(INFRASTRUCTURE, GATEWAY)
    assert held is not None
    assert held.is_held, "what runs it stays as it is"


async def test_clients_are_not_let_in_where_who_they_must_be_is_not_understood() -> None:
    https = {"name": "https", "port": 443, "protocol": "HTTPS", "tls": {"certificateRefs": [{"name": "cert"}]}}
    asked = {"frontend": {"default": {"validation": {"mode": "Future", "caCertificateRefs": []}}}}
    told = await serve(GATEWAY, listening(HTTP, https, tls=asked))
    assert told.status_of("/") is None
    status = told.engine.row(GATEWAY_STATUS, GATEWAY)
    assert status is not None
    (refused,) = [each for each in status.listeners[1].conditions if each.type == "Accepted"]
    assert (refused.status, refused.reason) == ("False", "UnsupportedValue")
    assert told.of_gateway()["Accepted"].reason == "ListenersNotValid"


async def test_a_match_with_a_field_that_is_not_known_is_refused_and_not_a_match_for_all() -> None:
    told = await serve(ROUTE, routing({**SERVED, "matches": [{"path": {"value": "/a"}, "cookies": []}]}, SERVED))
    assert (told.status_of("/a"), told.status_of("/")) == (500, None)
    assert "spec.rules[0].matches[0].cookies" in [each.path for each in told.events]


async def test_a_hostname_that_is_not_understood_leaves_no_request_of_the_others_to_wider_routes() -> None:
    told = await serve(ROUTE, routing(SERVED, hostnames=["a.test", "a*.test"]))
    assert (told.status_of("/"), told.status_of("/", "b.test")) == (500, 404)
    accepted = told.of_route()["Accepted"]
    assert (accepted.status, accepted.reason) == ("False", "UnsupportedValue")


async def test_a_field_that_is_not_known_and_narrows_nothing_is_told_and_costs_nothing() -> None:
    told = await serve(ROUTE, routing({**SERVED, "future": {}}))
    assert (told.status_of("/"), told.of_route()["Accepted"].status) == (None, "True")
    assert ("spec.rules[0].future", "warning") in [(each.path, each.severity) for each in problems_of(told.engine)]


async def test_references_of_a_rule_that_is_lost_are_looked_at() -> None:
    nowhere = {**AUTHORISED, "backendRefs": [{"name": "nowhere", "port": 80}]}
    told = await serve(ROUTE, routing(nowhere, SERVED))
    assert told.of_route()["ResolvedRefs"].reason == "BackendNotFound"


async def test_of_a_route_that_is_lost_nobody_says_that_its_references_are_resolved() -> None:
    resolved = (await serve(ROUTE, routing(SERVED, hostnames=["UPPER.test"]))).of_route()["ResolvedRefs"]
    assert (resolved.status, resolved.reason) == ("Unknown", "NotExamined")


@pytest.mark.parametrize("broken", [{**ADMIN, "hostname": "a*.test"}, {**ADMIN, "sourceRanges": []}])
async def test_a_listener_that_is_not_understood_is_told_of_in_the_status(broken: dict[str, Any]) -> None:
    told = await serve(GATEWAY, listening(broken, HTTP))
    assert (told.status_of("/"), told.is_held()) == (None, False)
    accepted = told.of_gateway()["Accepted"]
    assert (accepted.status, accepted.reason) == ("True", "ListenersNotValid")
    refused = told.of_listeners()["admin"]["Accepted"]
    assert (refused.status, refused.reason) == ("False", "UnsupportedValue")
    assert told.of_listeners()["http"]["Programmed"].status == "True"


async def test_a_listener_of_which_nobody_can_tell_what_it_is_is_left_out_and_costs_no_other() -> None:
    told = await serve(
        GATEWAY, listening({**ADMIN, "port": 0}, HTTP, {**HTTP, "name": "tcp", "port": 90, "protocol": "TCP"})
    )
    assert told.is_held() is False
    accepted = told.of_gateway()["Accepted"]
    assert (accepted.status, accepted.reason) == ("True", "ListenersNotValid")
    assert "spec.listeners[0].port" in accepted.message
    assert set(told.of_listeners()) == {"http", "tcp"}
    assert "spec.listeners[2].protocol" in {each.path for each in told.events}, "where it stands as written"


async def test_a_listener_whose_namespaces_are_not_understood_tells_routes_so() -> None:
    closed = {**HTTP, "allowedRoutes": {"namespaces": {"from": "Future"}}}
    told = await serve(GATEWAY, listening(closed))
    accepted = told.of_route()["Accepted"]
    assert (accepted.status, accepted.reason) == ("False", "NotAllowedByListeners")
    assert "Future" in accepted.message
    assert "from: Same" not in accepted.message


HTTPS = {"name": "https", "port": 443, "protocol": "HTTPS", "tls": {"certificateRefs": [{"name": "cert"}]}}


@pytest.mark.parametrize(
    ("tls", "refused"),
    [
        ({"backend": 5}, set()),
        ({"future": {}}, {"https", "other"}),
        ({"frontend": {"default": {"spiffe": {}}}}, {"https", "other"}),
        ({"frontend": {"default": {}, "perPort": [{"port": 443, "tls": {"spiffe": {}}}]}}, {"https"}),
    ],
)
async def test_tls_that_is_not_understood_refuses_those_listeners_that_it_is_for(
    tls: dict[str, Any], refused: set[str]
) -> None:
    told = await serve(GATEWAY, listening(HTTP, HTTPS, {**HTTPS, "name": "other", "port": 8443}, tls=tls))
    found = {name for name, each in told.of_listeners().items() if each["Accepted"].status == "False"}
    assert found == refused


async def test_parameters_of_a_class_that_are_not_understood_are_invalid_and_its_description_is_free() -> None:
    accepted = (await serve(CLASS, {"controllerName": OURS, "parametersRef": {"kind": 5}})).of_class()
    assert (accepted.status, accepted.reason) == ("False", "InvalidParameters")
    told = await serve(CLASS, {"controllerName": OURS, "description": "x" * 65})
    assert told.of_class().status == "True"
    assert "spec.description" in [each.path for each in problems_of(told.engine)]
