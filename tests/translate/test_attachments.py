"""Which listeners take a route: ParentReference, AllowedRoutes, HTTPRouteSpec.hostnames, listener isolation."""

from __future__ import annotations

from typing import Any

import pytest

from tests.translate.world import (
    GATEWAY,
    ROUTE,
    World,
    broken,
    codes,
    foreign_gateway,
    gateway_class,
    http_route,
    listener,
    namespace,
)
from trilithon.model.listener import Listener
from trilithon.model.settings import Settings
from trilithon.model.tables import ATTACHMENTS
from trilithon.resources.meta import Key

HERE = {"namespace": "infra", "name": "gw"}
SHOP_LABEL = {"matchLabels": {"team": "shop"}}


def taken_by(world: World) -> list[str]:
    return [attachment.listener.name for attachment in world.parent().attachments]


# --- Parents ----------------------------------------------------------------------------------------------------------
def test_a_parent_reference_leads_to_every_listener_of_the_gateway() -> None:
    world = World(listener("a"), listener("b", port=81), http_route())
    assert taken_by(world) == ["a", "b"]


def test_the_namespace_of_a_parent_is_the_routes_own_by_default() -> None:
    route = http_route("infra/web", parentRefs=[{"name": "gw"}])
    assert World(listener(), route).parent(route.key).gateway == GATEWAY


def test_a_parent_that_does_not_exist_is_a_warning() -> None:
    attachments = World(http_route()).attachments()
    assert attachments.parents == ()
    assert codes(attachments.problems) == ["ParentNotFound"]
    assert attachments.problems[0].severity == "warning"


def test_a_parent_of_another_controller_leaves_no_trace() -> None:
    foreign = gateway_class("other", "example.com/controller")
    attachments = World(foreign, foreign_gateway("infra/gw"), http_route()).attachments()
    assert (attachments.parents, attachments.problems) == ((), ())


def test_a_parent_that_nobody_serves_is_a_warning_until_somebody_does() -> None:
    world = World(foreign_gateway("infra/gw"), http_route())
    assert codes(world.attachments().problems) == ["ParentNotServed"]
    parameters = {"parametersRef": {"group": "example.com", "kind": "Parameters", "name": "x"}}
    world.add(gateway_class("other", Settings().controller_name, **parameters))
    (problem,) = world.attachments().problems
    assert "is not accepted" in problem.message
    world.add(gateway_class("other", "example.com/controller"))
    assert world.attachments().problems == ()


def test_a_route_attaches_when_its_gateway_appears() -> None:
    world = World(http_route())
    world.listen(listener())
    assert taken_by(world) == ["http"]


@pytest.mark.parametrize(
    "ref",
    [
        pytest.param({"group": "", "kind": "Service", "name": "web"}, id="Service"),
        pytest.param({"kind": "ListenerSet", "name": "more"}, id="ListenerSet"),
        pytest.param({"group": "example.com", "kind": "Gateway", "name": "gw"}, id="Gateway of another group"),
    ],
)
def test_a_parent_of_another_kind_is_a_warning(ref: dict[str, str]) -> None:
    attachments = World(listener(), http_route(parentRefs=[ref])).attachments()
    assert attachments.parents == ()
    assert codes(attachments.problems) == ["ParentKindUnsupported"]


def test_a_route_without_parents_is_a_warning() -> None:
    assert codes(World(http_route(parentRefs=[])).attachments().problems) == ["NoParentRefs"]


def test_each_parent_reference_is_its_own() -> None:
    refs = [{**HERE, "sectionName": "a"}, {"name": "elsewhere"}, {**HERE, "sectionName": "b"}]
    attachments = World(listener("a"), listener("b", port=81), http_route(parentRefs=refs)).attachments()
    assert [(parent.index, parent.ref.section_name) for parent in attachments.parents] == [(0, "a"), (2, "b")]


# --- Section name and port --------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("ref", "names", "problems"),
    [
        pytest.param({"sectionName": "a"}, ["a"], [], id="a section name selects one listener"),
        pytest.param({"port": 80}, ["a", "b"], [], id="a port selects all listeners on it"),
        pytest.param({"sectionName": "c", "port": 81}, ["c"], [], id="section name and port must both match"),
        pytest.param({"sectionName": "c", "port": 80}, [], ["ListenerPortNotFound"], id="port of another section"),
        pytest.param({"sectionName": "z"}, [], ["SectionNotFound"], id="a section name that no listener has"),
        pytest.param({"port": 99}, [], ["ListenerPortNotFound"], id="a port that no listener has"),
    ],
)
def test_selection(ref: dict[str, Any], names: list[str], problems: list[str]) -> None:
    world = World(
        listener("a", "a.test"), listener("b", "b.test"), listener("c", port=81), http_route(parentRefs=[HERE | ref])
    )
    assert taken_by(world) == names
    assert codes(world.parent().problems) == problems


def test_a_missing_section_names_those_there_are() -> None:
    world = World(listener("a"), listener("b", port=81), http_route(parentRefs=[{**HERE, "sectionName": "z"}]))
    (problem,) = world.parent().problems
    assert (problem.path, problem.hint) == ("spec.parentRefs[0].sectionName", "its listeners are: a, b")


# --- What a listener allows -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("item", "problems"),
    [
        pytest.param(listener(kinds=("GRPCRoute",)), ["RouteKindNotAllowed"], id="a kind that is not allowed"),
        pytest.param(listener(kinds=()), ["RouteKindNotAllowed"], id="a listener of an unknown protocol takes nothing"),
        pytest.param(listener(namespaces="Same"), ["NamespaceNotAllowed"], id="Same: another namespace is refused"),
        pytest.param(
            listener(namespaces="Selector", selector=SHOP_LABEL), [], id="Selector: a namespace with the label"
        ),
        pytest.param(
            listener(namespaces="Selector", selector={"matchLabels": {"team": "ops"}}), ["NamespaceNotAllowed"],
            id="Selector: a namespace without the label",
        ),
        pytest.param(
            listener(namespaces="Selector"), ["NamespaceNotAllowed"], id="Selector without a selector selects nothing"
        ),
        pytest.param(
            listener(namespaces="Selector", selector={"matchExpressions": [{"key": "team", "operator": "Like"}]}),
            ["NamespaceNotAllowed"], id="a malformed selector selects nothing",
        ),
        pytest.param(
            listener(namespaces="Selector", selector={}), [], id="an empty selector selects every namespace"
        ),
        pytest.param(
            listener(namespaces="Selector", selector={"matchLabels": {"kubernetes.io/metadata.name": "shop"}}), [],
            id="every namespace has its name as a label",
        ),
        pytest.param(listener(hostname="other.test"), ["NoCommonHostname"], id="no hostname in common"),
        pytest.param(
            listener(hostname="other.test", kinds=("GRPCRoute",), namespaces="Same"),
            ["RouteKindNotAllowed", "NamespaceNotAllowed", "NoCommonHostname"],
            id="every refusal is told, in the order kind, namespace, hostname",
        ),
    ],
)  # fmt: skip
def test_checks(item: Listener, problems: list[str]) -> None:
    world = World(item, namespace("shop", team="shop"), http_route(hostnames=["shop.test"]))
    assert codes(world.parent().problems) == problems
    assert taken_by(world) == ([] if problems else ["http"])


def test_same_takes_a_route_of_the_gateways_namespace() -> None:
    route = http_route("infra/web")
    assert World(listener(namespaces="Same"), route).parent(route.key).problems == ()


def test_a_changed_label_of_the_namespace_counts_at_once() -> None:
    world = World(listener(namespaces="Selector", selector=SHOP_LABEL), http_route())
    assert taken_by(world) == []
    world.add(namespace("shop", team="shop"))
    assert taken_by(world) == ["http"]
    world.remove(Key("Namespace", "", "shop"))
    assert taken_by(world) == []


def test_one_listener_that_takes_the_route_is_enough() -> None:
    world = World(listener("a", "a.test"), listener("b", "b.test"), http_route(hostnames=["b.test"]))
    assert taken_by(world) == ["b"]
    assert codes(world.parent().problems) == ["NoCommonHostname"]


def test_the_listener_that_came_closest_names_the_reason() -> None:
    """A TCP listener beside is no reason to say that the kind of the route is not allowed."""
    world = World(
        listener("tcp", port=90, protocol="TCP", kinds=()),
        listener("web", "other.test"),
        http_route(hostnames=["shop.test"]),
    )
    assert codes(world.parent().problems) == ["NoCommonHostname", "RouteKindNotAllowed"]


def test_a_listener_that_does_not_serve_takes_the_route_with_a_note() -> None:
    world = World(listener(serves=False, problems=broken("no certificate")), http_route())
    assert taken_by(world) == ["http"]
    (note,) = world.parent().notes
    assert note.code == "ListenerNotServing"
    assert "no certificate" in note.message


# --- Hostnames and isolation ------------------------------------------------------------------------------------------
def served(world: World) -> dict[str, tuple[str, ...]]:
    return {attachment.listener.name: attachment.served for attachment in world.parent().attachments}


def test_a_route_serves_only_the_intersection() -> None:
    world = World(listener(hostname="*.example.com"), http_route(hostnames=["foo.example.com", "foo.org"]))
    assert served(world) == {"http": ("foo.example.com",)}


def test_a_hostname_wider_than_the_listeners_is_remembered() -> None:
    """It gives way to a route that names the hostname: most characters in a matching hostname."""
    world = World(listener(hostname="foo.example.com"), http_route(hostnames=["*.example.com"]))
    (attachment,) = world.parent().attachments
    assert attachment.hostnames == ("foo.example.com",)
    assert attachment.claim("foo.example.com") == "*.example.com"


@pytest.mark.parametrize(
    ("listeners", "expected"),
    [
        pytest.param(
            [listener("any"), listener("wild", "*.example.com"), listener("exact", "a.example.com")],
            {"any": ("other.test",), "wild": ("b.example.com", "*.c.example.com"), "exact": ("a.example.com",)},
            id="each hostname belongs to the most specific listener of the port",
        ),
        pytest.param(
            [listener("any"), listener("wild", "*.example.com", port=81)],
            {
                "any": ("a.example.com", "b.example.com", "other.test", "*.c.example.com"),
                "wild": ("a.example.com", "b.example.com", "*.c.example.com"),
            },
            id="ports are apart",
        ),
        pytest.param(
            [
                listener("any", port=443, protocol="HTTPS"),
                listener("wild", "*.example.com", port=443, protocol="HTTPS"),
            ],
            {"any": ("other.test",), "wild": ("a.example.com", "b.example.com", "*.c.example.com")},
            id="HTTPS listeners compete by SNI",
        ),
        pytest.param(
            [listener("any"), listener("wild", "*.example.com", serves=False)],
            {"any": ("other.test",), "wild": ("a.example.com", "b.example.com", "*.c.example.com")},
            id="a listener that does not serve keeps its hostnames",
        ),
        pytest.param(
            [listener("any"), listener("narrow", "x.c.example.com")],
            {
                "any": ("a.example.com", "b.example.com", "other.test", "*.c.example.com"),
                "narrow": ("x.c.example.com",),
            },
            id="a wildcard is not taken by a listener inside it",
        ),
    ],
)
def test_isolation(listeners: list[Listener], expected: dict[str, tuple[str, ...]]) -> None:
    route = http_route(hostnames=["a.example.com", "b.example.com", "*.c.example.com", "other.test"])
    assert served(World(*listeners, route)) == expected


def test_a_hostname_asked_for_in_vain_is_a_note() -> None:
    """The reference names the wide listener, and the narrow one owns the hostname."""
    wide, narrow = listener("wide"), listener("narrow", "*.example.com")
    route = http_route(parentRefs=[{**HERE, "sectionName": "wide"}], hostnames=["a.example.com"])
    assert codes(World(wide, narrow, route).parent().notes) == ["HostnameShadowed"]
    reaching_both = http_route(hostnames=["a.example.com"])
    assert World(wide, narrow, reaching_both).parent().notes == ()


def test_a_hostname_of_a_listener_that_does_not_serve_is_asked_for_in_vain() -> None:
    listeners = [listener("wide"), listener("narrow", "*.example.com", serves=False, problems=broken("no certificate"))]
    route = http_route(parentRefs=[{**HERE, "sectionName": "wide"}], hostnames=["a.example.com"])
    (note,) = World(*listeners, route).parent().notes
    assert note.code == "HostnameNotServed"
    assert "no certificate" in note.message


def test_a_listener_that_stops_serving_wakes_the_routes_that_it_took_and_no_other() -> None:
    both = [http_route(f"shop/{name}", parentRefs=[{**HERE, "sectionName": name}]) for name in ("a", "b")]
    world = World(listener("a"), listener("b", port=443, protocol="HTTPS"), *both)
    ill = listener("b", port=443, protocol="HTTPS", serves=False, problems=broken("no certificate"))
    changes = world.listen(listener("a"), ill)
    assert changes.recomputed_in["attachments"] == 1
    assert list(changes.of(ATTACHMENTS)) == [Key("HTTPRoute", "shop", "b")]


def test_a_route_depends_on_no_gateway_but_those_it_names() -> None:
    world = World(listener(), http_route(parentRefs=[{"name": "elsewhere"}]))
    assert {str(look.key) for look in world.engine.why(ATTACHMENTS, ROUTE)} == {"Gateway shop/elsewhere"}
