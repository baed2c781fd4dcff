"""A hostname's routes in order, with those of wider hostnames behind them.

https://gateway-api.sigs.k8s.io/reference/spec/: HTTPRouteSpec.hostnames, HTTPRouteRule.matches (precedence).
"""

from __future__ import annotations

from envoy.config.route.v3.route_components_pb2 import RedirectAction, Route, VirtualHost
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.http.lua.v3.lua_pb2 import LuaPerRoute

from tests.xds.world import GATEWAY, World, listener, prefix, rule, to
from trilithon.model.listener import HostKey, ListenerKey, RouteTableKey
from trilithon.model.problem import reason_of
from trilithon.model.route_mistakes import BACKEND_PORT_NOT_FOUND
from trilithon.model.rule import Match, PathMatch, Redirect, Refuse, ValueMatch
from trilithon.resources.meta import Key
from trilithon.xds.forward import REASON_HEADER
from trilithon.xds.tables import VIRTUAL_HOSTS


def places(routes: list[Route]) -> list[str]:
    """Route, rule and match of each Envoy route: "web/0/0"."""
    return [route.name.removeprefix("HTTPRoute/shop/") for route in routes]


def host_key(hostname: str) -> HostKey:
    return HostKey(RouteTableKey(GATEWAY, 80, ""), ListenerKey(GATEWAY, GATEWAY, "http"), hostname)


def read_by(world: World, hostname: str) -> set[str]:
    """The hostnames whose routes a virtual host has looked at."""
    looks = world.engine.why(VIRTUAL_HOSTS, host_key(hostname))
    return {look.key.hostname for look in looks}


def test_routes_of_several_objects_merge_by_precedence() -> None:
    world = World()
    exact = Match(0, PathMatch("exact", "/a"))
    world.route("young", rule(to("x"), prefix("/a/b"), exact), created="2024-02-01T00:00:00Z")
    world.route("old", rule(to("x"), prefix("/a"), exact), created="2024-01-01T00:00:00Z")
    world.route("get", rule(to("x"), prefix("/a/b", method="GET")), created="2024-03-01T00:00:00Z")
    assert places(world.routes()) == ["old/0/1", "young/0/1", "get/0/0", "young/0/0", "old/0/0"]


def test_a_request_falls_from_the_narrower_hostname_to_the_wider_ones() -> None:
    world = World()
    world.route("any", rule(to("x")))
    world.route("wild", rule(to("x"), prefix("/wild")), hosts=["*.x.test"])
    world.route("exact", rule(to("x"), prefix("/exact")), hosts=["a.b.x.test"])
    world.route("sibling", rule(to("x"), prefix("/sibling")), hosts=["*.y.test"])
    assert places(world.routes("a.b.x.test")) == ["exact/0/0", "wild/0/0", "any/0/0"]
    assert places(world.routes("*.x.test")) == ["wild/0/0", "any/0/0"]


def test_behind_a_match_that_takes_everything_nothing_is_sent_or_even_read() -> None:
    world = World()
    world.route("any", rule(to("x"), prefix("/any")))
    world.route("exact", rule(to("x")), hosts=["a.test"])
    world.route("late", rule(to("x")), hosts=["a.test"])
    world.route("open", rule(to("x"), prefix("/", headers=(ValueMatch("a", "exact", "b"),))), hosts=["b.test"])
    assert places(world.routes("a.test")) == ["exact/0/0"]
    assert read_by(world, "a.test") == {"a.test"}
    assert read_by(world, "b.test") == {"b.test", "*.test", "*"}


def test_a_route_with_both_hostnames_is_there_once() -> None:
    world = World()
    world.route("both", rule(to("x"), prefix("/a")), hosts=["a.test", "*.test"])
    assert places(world.routes("a.test")) == ["both/0/0"]


def test_a_route_that_names_the_hostname_comes_before_one_that_only_covers_it() -> None:
    world = World(listener(hostname="a.x.test"))
    world.route("wide", rule(to("x"), prefix("/long/path")), hosts=["*.test"], created="2020-01-01T00:00:00Z")
    world.route("named", rule(to("x"), prefix("/")), hosts=["a.x.test"])
    world.route("wider", rule(to("x"), prefix("/long/path")))
    assert places(world.routes("a.x.test")) == ["named/0/0"]


def test_fall_through_stays_inside_the_listener() -> None:
    world = World(listener("any"), listener("wild", hostname="*.x.test"))
    world.route("any", rule(to("x")), at="any")
    world.route("wild", rule(to("x"), prefix("/wild")), hosts=["a.x.test"], at="wild")
    assert places(world.routes("a.x.test")) == ["wild/0/0"]
    assert places(world.routes("*.x.test")) == []


def test_a_route_reaches_no_hostname_of_a_more_specific_listener() -> None:
    world = World(listener("any"), listener("wild", hostname="*.x.test"))
    world.route("any", rule(to("x")), at="any", hosts=["a.x.test", "b.test"])
    assert set(world.hosts()) == {"*", "*.x.test", "b.test"}
    assert places(world.routes("*.x.test")) == []


def test_a_redirect_is_completed_for_the_listener_as_if_encoded_whole() -> None:
    world = World(listener("http"), listener("alt", 8080))
    world.route("web", rule(Redirect(302, path=None), prefix("/x")))
    whole = RedirectAction(response_code=RedirectAction.FOUND, port_redirect=8080)
    assert world.routes(table="port-8080")[0].redirect == whole
    route = world.routes()[0]
    assert route.redirect == RedirectAction(response_code=RedirectAction.FOUND)
    script = LuaPerRoute()
    route.typed_per_filter_config["envoy.filters.http.lua"].Unpack(script)
    assert script == LuaPerRoute(name="host-without-port")


def test_a_spliced_table_is_the_table_encoded_whole() -> None:
    world = World(listener("http"), listener("shop", hostname="shop.test"))
    for number in range(30):
        world.route(f"r{number}", rule(to("x"), prefix(f"/{number}")), hosts=[f"{number}.test"])
    spliced = world.table()
    whole = RouteConfiguration(name="port-80", ignore_port_in_host_matching=True)
    whole.validate_clusters.value = False
    for name, host in sorted(world.hosts().items()):
        whole.virtual_hosts.append(VirtualHost(name=name, domains=[name], routes=host.routes))
    assert spliced == whole
    assert spliced.SerializeToString(deterministic=True) == whole.SerializeToString(deterministic=True)


def test_one_route_changes_its_own_virtual_host_alone() -> None:
    world = World()
    for number in range(50):
        world.route(f"r{number}", rule(to("x")), hosts=[f"{number}.test"])
    before = dict(world.engine.rows(VIRTUAL_HOSTS))
    world.route("r7", rule(to("y")), hosts=["7.test"])
    after = world.engine.rows(VIRTUAL_HOSTS)
    assert [key.hostname for key in after if before[key] is not after[key]] == ["7.test"]


def test_a_refusal_names_the_reason_that_the_status_has() -> None:
    world = World()
    problem = BACKEND_PORT_NOT_FOUND.at(
        Key("HTTPRoute", "shop", "web"), "", backend="Service a/b", protocol="TCP", port=1, ports="2"
    )
    world.route("web", rule(Refuse(500, problem)))
    (route,) = world.routes()
    (header,) = [each.header for each in route.response_headers_to_add if each.header.key == REASON_HEADER]
    assert header.value == reason_of(problem) == "BackendNotFound"
    assert route.direct_response.body.inline_string == "BackendNotFound\n"
