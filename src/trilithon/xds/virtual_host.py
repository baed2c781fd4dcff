"""Merge the routes of one hostname, in the spec's order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from envoy.config.route.v3.route_components_pb2 import VirtualHost

from trilithon.incremental import Read
from trilithon.model.listener import HostKey, PortKey, RouteTableKey
from trilithon.model.route_mistakes import LISTENER_NOT_SERVING
from trilithon.model.settings import Settings
from trilithon.model.tables import PORT_LISTENERS
from trilithon.resources.meta import Key
from trilithon.translate.hostnames import specificity, wider
from trilithon.xds.forward import fill_reason
from trilithon.xds.redirect import closed
from trilithon.xds.route import entries
from trilithon.xds.tables import BY_HOST, EncodedHost, EncodedMatch, Placed
from trilithon.xds.wire import delimited

# RouteConfiguration.virtual_hosts
_VIRTUAL_HOSTS = 2
_MISDIRECTED = 421
_UNAVAILABLE = 503


def encode_virtual_host(settings: Settings, read: Read, host: HostKey) -> EncodedHost:
    """A hostname's routes, and behind them those of the wider hostnames of the same listener.

    A request that no rule of the narrower hostname matches falls to the wider ones: the spec orders rules by hostname,
    it does not end the search there.
    """

    def listens(port: int) -> bool:
        return read.one(PORT_LISTENERS, PortKey(host.table.gateway, port)) is not None

    routes = b"".join([_routes(settings, match, host.table, listens) for match in _matches(read, host)])
    head = VirtualHost(name=host.hostname, domains=[host.hostname])
    return EncodedHost(host, as_entry(head, routes))


def empty_host(hostname: str) -> bytes:
    """A virtual host that answers 404, so that no wider one gets the requests."""
    return as_entry(VirtualHost(name=hostname, domains=[hostname]))


def misdirected_host(hostname: str) -> bytes:
    """A virtual host that answers 421: the client has to come back on another connection (RFC 9110, 15.5.20)."""
    host = VirtualHost(name=hostname, domains=[hostname])
    route = host.routes.add()
    route.match.prefix = "/"
    route.direct_response.status = _MISDIRECTED
    return as_entry(host)


def refused_host(hostname: str) -> bytes:
    """A virtual host that answers 503: its listener does not serve, and no wider one gets the requests."""
    host = VirtualHost(name=hostname, domains=[hostname])
    route = host.routes.add()
    route.match.prefix = "/"
    fill_reason(route, _UNAVAILABLE, LISTENER_NOT_SERVING.code)
    return as_entry(host)


def as_entry(host: VirtualHost, routes: bytes = b"") -> bytes:
    """A virtual host, with encoded routes behind its own, as an entry of a route table's list."""
    return delimited(_VIRTUAL_HOSTS, host.SerializeToString(deterministic=True) + routes)


def _matches(read: Read, host: HostKey) -> Iterator[EncodedMatch]:
    """All matches in order, up to one that takes every request: behind it nothing can be reached or need be read."""
    seen: set[Key] = set()
    for hostname in (host.hostname, *wider(host.hostname)):
        at = host._replace(hostname=hostname)
        for match in _in_order(read.group(BY_HOST, at), at, seen):
            yield match
            if match.takes_all:
                return


def _in_order(rows: Iterable[Placed], host: HostKey, seen: set[Key]) -> list[EncodedMatch]:
    # The route's own hostname comes before all else in the precedence: "*.example.com" on the listener "a.example.com"
    # gives way to a route that says "a.example.com" (HTTPRouteSpec.hostnames).
    found = []
    for row in rows:
        route = row.encoded.route
        # A route's matches once more, for its wider hostname, could not be reached.
        if route in seen:
            continue
        seen.add(route)
        claim = next(place.claim for place in row.places if place.host == host)
        found += [(specificity(claim), match.rank, match) for match in row.encoded.matches]
    found.sort(key=lambda entry: entry[:2])
    return [match for _, _, match in found]


def _routes(settings: Settings, match: EncodedMatch, table: RouteTableKey, listens: Callable[[int], bool]) -> bytes:
    if match.redirect is None:
        return match.routes
    return match.routes + entries(closed(settings, match.redirects, match.redirect, table, listens))
