"""Join virtual hosts into a route table, and settle what requests get that no route may have."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from envoy.config.route.v3.route_pb2 import RouteConfiguration

from trilithon.incremental import Read
from trilithon.model.listener import PortKey, PortListener, RouteTableKey
from trilithon.model.tables import PORT_LISTENERS
from trilithon.translate.isolation import owner
from trilithon.xds.names import route_table_name
from trilithon.xds.resource import ROUTE, XdsResource
from trilithon.xds.tables import HOSTS_BY_TABLE
from trilithon.xds.virtual_host import empty_host, misdirected_host, refused_host
from trilithon.xds.wire import digest


def encode_route_table(read: Read, table: RouteTableKey) -> XdsResource:
    """The route table of a port's HTTP listeners, or of one HTTPS listener.

    Every listener's hostname has its virtual host, routes or not: a request belongs to the most specific listener for
    its Host, and gets 404 there rather than a route of another, or 503 where its listener does not serve. On HTTPS the
    listener was chosen by SNI, so a Host that belongs to another listener of the port is answered 421 ("misdirected",
    Gateway.spec.listeners, HTTP/2 connection coalescing); a Host that belongs to none, 404.
    """
    port = read.one(PORT_LISTENERS, PortKey(table.gateway, table.port))
    on_port = port.items if port is not None else ()
    keys = {listener.key for listener in on_port if listener.serves and listener.table == table}
    hosts = {row.host.hostname: row.chunk for row in read.group(HOSTS_BY_TABLE, table) if row.host.listener in keys}
    for hostname in {listener.hostname for listener in on_port}.difference(hosts):
        hosts[hostname] = _answer(owner(on_port, hostname), hostname, table)
    chunks = tuple(chunk for _, chunk in sorted(hosts.items()))
    name = route_table_name(table)
    return XdsResource.of(ROUTE, name, (_header(name), *chunks), shape=shape_of_tables(on_port))


def _answer(listener: PortListener | None, hostname: str, table: RouteTableKey) -> bytes:
    """What requests for a listener's hostname get in a route table that has no routes for it."""
    if listener is None or not listener.serves:
        return refused_host(hostname)
    return empty_host(hostname) if listener.table == table else misdirected_host(hostname)


def shape_of_tables(listeners: Iterable[PortListener]) -> str:
    """The shape of the route tables of a port with these listeners: all that they say of routes, and no route.

    Not the bytes that follow from it alone: whom a listener lets in shows in the routes only, and an Envoy that has
    not heard of it serves routes that may not be there any more.
    """
    said = sorted(
        (each.key, each.protocol, each.hostname, each.kinds, each.namespaces, _encoded(each.selector), each.serves)
        for each in listeners
    )
    return digest((_encoded(said),))


def _encoded(value: object) -> bytes:
    return msgspec.msgpack.encode(value, order="deterministic")


def _header(name: str) -> bytes:
    table = RouteConfiguration(
        name=name,
        # "ports in the Host header are ignored" (HTTPRouteSpec.hostnames).
        ignore_port_in_host_matching=True,
    )
    # A share without a valid backend names a cluster that never exists, on purpose; and a route must not be refused
    # because its cluster comes a moment later.
    table.validate_clusters.value = False
    return table.SerializeToString(deterministic=True)
