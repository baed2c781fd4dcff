"""Envoy listeners, their route tables and secrets: which there are, and that one change costs one of them."""

from __future__ import annotations

from typing import Any

from tests.xds.world import GATEWAY, World, listener, names, rule, tls_listener, to
from trilithon.incremental import Table
from trilithon.model.listener import Listeners
from trilithon.model.settings import Settings
from trilithon.model.tables import LISTENERS
from trilithon.xds.resource import XdsResource
from trilithon.xds.tables import ENVOY_LISTENERS, ROUTE_TABLES, TLS_SECRETS

TABLES: tuple[Table[Any, XdsResource], ...] = (ENVOY_LISTENERS, ROUTE_TABLES)


def test_one_envoy_listener_for_a_port_and_one_table_for_its_http_listeners() -> None:
    world = World(listener("a"), listener("b", hostname="b.test"), listener("c", 8080), tls_listener("d"))
    assert names(world.all(ENVOY_LISTENERS)) == ["port-443", "port-80", "port-8080"]
    assert names(world.all(ROUTE_TABLES)) == ["port-443/d", "port-80", "port-8080"]


def test_https_listeners_have_a_chain_and_a_table_each() -> None:
    world = World(tls_listener("any"), tls_listener("shop", "shop.test"), tls_listener("wild", "*.test"))
    found = world.all(ENVOY_LISTENERS)["port-443"]
    assert [list(chain.filter_chain_match.server_names) for chain in found.filter_chains] == [["shop.test"], ["*.test"]]
    assert found.default_filter_chain.name == "port-443/any"
    assert [each.name for each in found.listener_filters] == ["envoy.filters.listener.tls_inspector"]


def test_without_an_https_listener_for_every_name_there_is_no_default() -> None:
    world = World(tls_listener("shop", "shop.test"))
    assert not world.all(ENVOY_LISTENERS)["port-443"].HasField("default_filter_chain")


def test_a_listener_that_does_not_serve_keeps_its_hostname_and_has_no_routes() -> None:
    world = World(listener("good", hostname="*.test"), listener("bad", hostname="b.test", serves=False))
    world.route("web", rule(to("x")))
    assert statuses(world, "port-80") == {"*.test": [0], "b.test": [503]}
    world = World(tls_listener("good", "*.test"), listener("bad", 443, "b.test", protocol="HTTPS", serves=False))
    assert names(world.all(ROUTE_TABLES)) == ["port-443/good"]
    assert len(world.all(ENVOY_LISTENERS)["port-443"].filter_chains) == 1
    assert statuses(world, "port-443/good") == {"*.test": [], "b.test": [503]}


def test_a_port_whose_listeners_all_do_not_serve_is_not_bound() -> None:
    world = World(listener("bad", serves=False))
    assert names(world.all(ENVOY_LISTENERS)) == names(world.all(ROUTE_TABLES)) == []


def statuses(world: World, table: str) -> dict[str, list[int]]:
    """The statuses of the direct responses of each virtual host."""
    return {name: [route.direct_response.status for route in host.routes] for name, host in world.hosts(table).items()}


def test_every_listener_has_its_virtual_host_and_other_https_listeners_are_misdirected() -> None:
    world = World(tls_listener("any"), tls_listener("shop", "shop.test"))
    assert statuses(world, "port-443/any") == {"*": [], "shop.test": [421]}
    assert statuses(world, "port-443/shop") == {"*": [421], "shop.test": []}


def test_the_port_offset_moves_the_socket_and_no_name() -> None:
    world = World(listener("a"), listener("high", 60000), settings=Settings(address="::", port_offset=8000))
    found = world.all(ENVOY_LISTENERS)
    assert names(found) == ["port-80"]
    socket = found["port-80"].address.socket_address
    assert (socket.address, socket.port_value, socket.ipv4_compat) == ("::", 8080, True)


def test_secrets_are_those_that_listeners_use() -> None:
    world = World(tls_listener("a", "a.test", "one", "two"), tls_listener("b", "b.test", "two", "missing"))
    for name in ("one", "two", "unused"):
        world.secret(name, b"chain " + name.encode(), b"key")
    assert names(world.all(TLS_SECRETS)) == ["Secret/infra/one", "Secret/infra/two"]


def test_a_renewed_certificate_changes_its_secret_alone() -> None:
    world = World(tls_listener("a", "a.test", "one"))
    world.secret("one", b"old", b"key")
    before = {table: dict(world.engine.rows(table)) for table in TABLES}
    world.secret("one", b"new", b"key")
    assert world.all(TLS_SECRETS)["Secret/infra/one"].tls_certificate.certificate_chain.inline_bytes == b"new"
    assert {table: dict(world.engine.rows(table)) for table in TABLES} == before


def test_the_order_of_listeners_is_irrelevant() -> None:
    listeners = (tls_listener("b", "b.test"), tls_listener("a", "a.test"), listener("c"))
    one, other = World(*listeners), World(*reversed(listeners))
    for table in TABLES:
        assert dict(one.engine.rows(table)) == dict(other.engine.rows(table))


def test_a_listener_that_goes_takes_its_resources_along() -> None:
    world = World(listener("a"), tls_listener("b"))
    world.secret("tls", b"chain", b"key")
    world.put(LISTENERS, GATEWAY, Listeners(GATEWAY, 2, "", (listener("a"),)))
    assert names(world.all(ENVOY_LISTENERS)) == names(world.all(ROUTE_TABLES)) == ["port-80"]
    assert names(world.all(TLS_SECRETS)) == []
