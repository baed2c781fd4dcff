"""The status of a route: RouteStatus.parents and the conditions Accepted, ResolvedRefs, PartiallyInvalid."""

from __future__ import annotations

from typing import Any

import pytest

from tests.translate.world import World, broken, foreign_gateway, http_route, listener, service
from trilithon.model.gateway_mistakes import SELECTOR_MALFORMED
from trilithon.model.listener import Listener
from trilithon.model.settings import Settings
from trilithon.resources.routes import HTTPRoute
from trilithon.status.conditions import LONGEST_MESSAGE, Condition, message_of
from trilithon.status.route import rendered

HERE = {"namespace": "infra", "name": "gw"}
GOOD = {"backendRefs": [{"name": "web", "port": 80}]}
MISSING = {"backendRefs": [{"name": "missing", "port": 80}]}
BAD_REGEX = {"matches": [{"path": {"type": "RegularExpression", "value": "("}}], **GOOD}
REDIRECT = {"type": "RequestRedirect", "requestRedirect": {}}
MIRROR = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "web", "port": 80}}}
INCOMPATIBLE = {"filters": [REDIRECT, MIRROR]}
EXTENSION = {"type": "ExtensionRef", "extensionRef": {"group": "example.com", "kind": "Waf", "name": "w"}}


def conditions_of(world: World, parent: int = 0) -> dict[str, Condition]:
    status = world.status()
    assert status is not None
    return {condition.type: condition for condition in status.parents[parent].conditions}


def told(route: HTTPRoute, *listeners: Listener) -> dict[str, str]:
    """Each condition as status/reason."""
    world = World(*(listeners or (listener(),)), service("shop/web", 80), route)
    return {name: f"{found.status}/{found.reason}" for name, found in conditions_of(world).items()}


RESOLVED = {"ResolvedRefs": "True/ResolvedRefs"}
ACCEPTED = {"Accepted": "True/Accepted"}


@pytest.mark.parametrize(
    ("route", "listeners", "expected"),
    [
        pytest.param(http_route(rules=[GOOD]), [listener()], ACCEPTED | RESOLVED, id="all is well"),
        pytest.param(
            http_route(rules=[GOOD]), [listener(kinds=())],
            {"Accepted": "False/NotAllowedByListeners"} | RESOLVED, id="a kind that no listener takes",
        ),
        pytest.param(
            http_route(rules=[GOOD]), [listener(namespaces="Same")],
            {"Accepted": "False/NotAllowedByListeners"} | RESOLVED, id="a namespace that no listener takes",
        ),
        pytest.param(
            http_route(rules=[GOOD], hostnames=["a.test"]), [listener(hostname="b.test")],
            {"Accepted": "False/NoMatchingListenerHostname"} | RESOLVED, id="no hostname in common",
        ),
        pytest.param(
            http_route(rules=[GOOD], parentRefs=[{**HERE, "sectionName": "z"}]), [listener()],
            {"Accepted": "False/NoMatchingParent"} | RESOLVED, id="no such section name",
        ),
        pytest.param(
            http_route(rules=[GOOD], parentRefs=[{**HERE, "port": 99}]), [listener()],
            {"Accepted": "False/NoMatchingParent"} | RESOLVED, id="no such port",
        ),
        pytest.param(
            http_route(rules=[GOOD], hostnames=["a.test"]), [listener("x", "b.test"), listener("y", "a.test")],
            ACCEPTED | RESOLVED, id="one listener that takes the route is enough",
        ),
        pytest.param(
            http_route(rules=[MISSING]), [listener()], ACCEPTED | {"ResolvedRefs": "False/BackendNotFound"},
            id="a bad reference never makes Accepted False",
        ),
        pytest.param(
            http_route(rules=[MISSING]), [listener(kinds=())],
            {"Accepted": "False/NotAllowedByListeners", "ResolvedRefs": "False/BackendNotFound"},
            id="ResolvedRefs is told also when Accepted is False",
        ),
        pytest.param(
            http_route(rules=[{"backendRefs": [{"kind": "Nope", "group": "example.com", "name": "x"}]}]), [listener()],
            ACCEPTED | {"ResolvedRefs": "False/InvalidKind"}, id="a backend of unknown kind",
        ),
        pytest.param(
            http_route(rules=[{"backendRefs": [{"name": "web", "port": 80, "namespace": "store"}]}]), [listener()],
            ACCEPTED | {"ResolvedRefs": "False/RefNotPermitted"}, id="a backend without a grant",
        ),
        pytest.param(
            http_route(rules=[{**GOOD, "filters": [EXTENSION]}]), [listener()],
            ACCEPTED | {"ResolvedRefs": "False/InvalidKind"}, id="an extension of unknown kind leaves Accepted True",
        ),
        pytest.param(
            http_route(rules=[BAD_REGEX, GOOD]), [listener()],
            ACCEPTED | RESOLVED | {"PartiallyInvalid": "True/UnsupportedValue"},
            id="a dropped rule beside a good one: PartiallyInvalid",
        ),
        pytest.param(
            http_route(rules=[INCOMPATIBLE, GOOD]), [listener()],
            ACCEPTED | RESOLVED | {"PartiallyInvalid": "True/UnsupportedValue"},
            id="incompatible filters beside a good rule: PartiallyInvalid",
        ),
        pytest.param(
            http_route(rules=[BAD_REGEX]), [listener()], {"Accepted": "False/UnsupportedValue"} | RESOLVED,
            id="no rule left: UnsupportedValue",
        ),
        pytest.param(
            http_route(rules=[INCOMPATIBLE]), [listener()], {"Accepted": "False/IncompatibleFilters"} | RESOLVED,
            id="no rule left: IncompatibleFilters",
        ),
        pytest.param(
            http_route(rules=[BAD_REGEX, GOOD]), [listener(kinds=())],
            {"Accepted": "False/NotAllowedByListeners"} | RESOLVED,
            id="PartiallyInvalid stands only beside Accepted=True",
        ),
        pytest.param(
            http_route(rules=[{**GOOD, "filters": [EXTENSION]}, BAD_REGEX]), [listener()],
            ACCEPTED | {"ResolvedRefs": "False/InvalidKind", "PartiallyInvalid": "True/UnsupportedValue"},
            id="a rule that only lacks its extension is not dropped",
        ),
        pytest.param(
            http_route(rules=[{}]), [listener()], ACCEPTED | RESOLVED, id="a rule without backends is no mistake",
        ),
        pytest.param(
            http_route(rules=[GOOD]), [listener(serves=False, problems=broken("no certificate"))],
            ACCEPTED | RESOLVED, id="a listener that does not serve takes the route all the same",
        ),
    ],
)  # fmt: skip
def test_conditions(route: HTTPRoute, listeners: list[Listener], expected: dict[str, str]) -> None:
    assert told(route, *listeners) == expected


@pytest.mark.parametrize(
    ("world", "counted"),
    [
        pytest.param(World(listener(), http_route(rules=[MISSING])), ["http"], id="a bad backend counts"),
        pytest.param(World(listener(serves=False), http_route()), ["http"], id="a bad listener counts"),
        pytest.param(World(listener(kinds=()), http_route()), [], id="a refused route does not count"),
        pytest.param(World(listener(), http_route(rules=[BAD_REGEX])), [], id="a route with no rule left does not"),
        pytest.param(
            World(listener(), http_route(parentRefs=[HERE, {**HERE, "port": 80}])), ["http"], id="one listener once"
        ),
    ],
)
def test_the_listeners_that_count_a_route_are_those_with_accepted_true(world: World, counted: list[str]) -> None:
    status = world.status()
    assert status is not None
    assert [found.name for found in status.listeners] == counted


# --- Messages ---------------------------------------------------------------------------------------------------------
def test_messages_name_the_field() -> None:
    world = World(listener(), service("shop/web", 80), http_route(rules=[GOOD, MISSING]))
    assert conditions_of(world)["ResolvedRefs"].message == (
        "spec.rules[1].backendRefs[0]: Service shop/missing not found"
    )


def test_every_refusal_is_in_the_message() -> None:
    world = World(listener(kinds=(), namespaces="Same"), http_route())
    message = conditions_of(world)["Accepted"].message
    assert "takes no HTTPRoute" in message
    assert "takes no routes from namespace shop" in message


def test_partially_invalid_begins_with_dropped_rule() -> None:
    world = World(listener(), service("shop/web", 80), http_route(rules=[GOOD, BAD_REGEX]))
    message = conditions_of(world)["PartiallyInvalid"].message
    assert message.startswith("Dropped Rule spec.rules[1].matches[0].path.value: ")


def test_accepted_names_the_listeners_and_those_that_do_not_serve() -> None:
    world = World(
        listener("a", "a.test"), listener("b", "b.test", serves=False, problems=broken("it hurts")), http_route()
    )
    message = conditions_of(world)["Accepted"].message
    assert message.startswith("Attached to listeners a, b; ")
    assert "listener b does not serve" in message
    assert "it hurts" in message


def test_a_message_is_never_longer_than_the_api_server_takes() -> None:
    problems = [SELECTOR_MALFORMED.at(None, f"spec.listeners[{n}]", what="x" * 5_000) for n in range(9)]  # type: ignore[arg-type]
    assert len(message_of(problems)) == LONGEST_MESSAGE


# --- Parents ----------------------------------------------------------------------------------------------------------
def test_no_status_for_parents_that_are_not_ours() -> None:
    assert World(foreign_gateway("infra/gw"), http_route()).status() is None
    assert World(http_route()).status() is None
    assert World(http_route(parentRefs=[])).status() is None


def test_one_entry_per_reference_to_a_gateway_of_ours() -> None:
    refs = [{**HERE, "sectionName": "a"}, {"name": "elsewhere"}, {**HERE, "sectionName": "z"}]
    world = World(listener("a"), http_route(parentRefs=refs))
    assert conditions_of(world, 0)["Accepted"].status == "True"
    assert conditions_of(world, 1)["Accepted"].reason == "NoMatchingParent"
    status = world.status()
    assert status is not None
    assert len(status.parents) == 2


def test_conditions_speak_of_the_generation_they_saw() -> None:
    world = World(listener(), http_route(generation=7))
    assert {condition.observed_generation for condition in conditions_of(world).values()} == {7}
    world.add(http_route(generation=8))
    assert {condition.observed_generation for condition in conditions_of(world).values()} == {8}


@pytest.mark.parametrize(
    ("written", "copied"),
    [
        pytest.param(HERE, HERE, id="group and kind are the defaults"),
        pytest.param(
            {**HERE, "sectionName": "http", "port": 80}, {**HERE, "sectionName": "http", "port": 80}, id="all"
        ),
        pytest.param({"group": "gateway.networking.k8s.io", "kind": "Gateway", **HERE}, HERE, id="as they are written"),
    ],
)
def test_the_parent_reference_is_copied_as_written(written: dict[str, Any], copied: dict[str, Any]) -> None:
    status = World(listener(), http_route(parentRefs=[written])).status()
    assert status is not None
    shown: Any = rendered(status)
    (parent,) = shown["parents"]
    assert parent["parentRef"] == {"group": "gateway.networking.k8s.io", "kind": "Gateway", **copied}


def test_a_namespace_that_was_not_written_is_not_copied() -> None:
    route = http_route("infra/web", parentRefs=[{"name": "gw"}])
    status = World(listener(), route).status(route.key)
    assert status is not None
    assert rendered(status) == {
        "parents": [
            {
                "parentRef": {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "gw"},
                "controllerName": "trilithon.dev/gateway-controller",
                "conditions": [
                    {
                        "type": "Accepted",
                        "status": "True",
                        "reason": "Accepted",
                        "message": "Attached to listener http",
                        "observedGeneration": 1,
                    },
                    {
                        "type": "ResolvedRefs",
                        "status": "True",
                        "reason": "ResolvedRefs",
                        "message": "All references are resolved",
                        "observedGeneration": 1,
                    },
                ],
            }
        ]
    }


def test_the_entry_bears_the_name_of_the_controller() -> None:
    world = World(listener(), http_route(), settings=Settings(controller_name="example.com/mine"))
    status = world.status()
    assert status is not None
    assert status.controller_name == "example.com/mine"
