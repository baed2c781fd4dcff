"""A small engine around the encoding, and short ways to write the model rows that go into it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.config.listener.v3.listener_pb2 import Listener as EnvoyListener
from envoy.config.route.v3.route_components_pb2 import Route, VirtualHost
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret as EnvoySecret
from google.protobuf.message import Message
from msgspec.structs import replace

from trilithon.incremental import Edit, Engine, Table
from trilithon.model.backend import Backend
from trilithon.model.listener import Listener, ListenerKey, Listeners
from trilithon.model.route_mistakes import BACKEND_NOT_FOUND
from trilithon.model.rule import Action, Filters, Forward, Match, PathMatch, Rule, Rules, Share
from trilithon.model.settings import Settings
from trilithon.model.tables import (
    ADDRESSES,
    ATTACHMENTS,
    BACKENDS,
    GATEWAYS,
    HOSTS,
    IDLE,
    LISTENERS,
    NAMESPACES,
    OFFERS,
    PORT_LISTENERS,
    ROUTES,
    RULES,
    SECRETS,
    SERVICES,
    SLICES,
    UNSERVED,
)
from trilithon.resources.core import BackendEndpoint, BackendResource, BackendSpec, Bytes, IPEndpoint, Secret
from trilithon.resources.meta import Key, ParentReference
from trilithon.resources.routes import HTTPRoute, HTTPRouteSpec
from trilithon.translate.attachments import attachments_of
from trilithon.translate.endpoints import addresses_of
from trilithon.translate.offers import BY_LISTENER, BY_PORT, idle_of, offers_of, port_listeners_of
from trilithon.xds.cluster import encode_cluster
from trilithon.xds.endpoint import encode_endpoints
from trilithon.xds.listener import encode_envoy_listener
from trilithon.xds.placement import placed_of
from trilithon.xds.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET, XdsResource
from trilithon.xds.route import encode_rules
from trilithon.xds.route_table import encode_route_table
from trilithon.xds.secret import encode_secret
from trilithon.xds.tables import (
    BY_BACKEND,
    BY_CERTIFICATE,
    BY_HOST,
    BY_TABLE,
    CLUSTERS,
    ENCODED,
    ENDPOINTS,
    ENVOY_LISTENERS,
    PLACED,
    ROUTE_TABLES,
    TLS_SECRETS,
    VIRTUAL_HOSTS,
)
from trilithon.xds.virtual_host import encode_virtual_host

GATEWAY = Key("Gateway", "infra", "gw")
TYPES: dict[str, type[Message]] = {
    CLUSTER: Cluster,
    ENDPOINT: ClusterLoadAssignment,
    LISTENER: EnvoyListener,
    ROUTE: RouteConfiguration,
    SECRET: EnvoySecret,
}
ALL = PathMatch("prefix", "/")
Hosts = Iterable[str]


class World:
    """Model rows on their way into an engine, and Envoy's messages out of it."""

    def __init__(self, *listeners: Listener, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.engine = _engine(self.settings)
        self.put(LISTENERS, GATEWAY, Listeners(GATEWAY, 1, "", listeners or (listener(),)))

    def put(self, table: Table[Any, Any], key: Any, row: Any) -> None:
        """Set one row of a source table."""
        self.engine.apply([Edit(table, key, row)])
        assert not self.engine.faults, dict(self.engine.faults)

    def route(self, name: str, *rules: Rule, hosts: Hosts = (), at: str | None = None, created: str = "") -> None:
        """A route with these rules and hostnames, attached to all listeners or to one."""
        key = Key("HTTPRoute", "shop", name)
        ref = ParentReference(namespace=GATEWAY.namespace, name=GATEWAY.name, section_name=at)
        self.put(RULES, key, Rules(key, created, tuple(rules)))
        self.put(ROUTES, key, HTTPRoute(key, 1, created, HTTPRouteSpec(parent_refs=(ref,), hostnames=tuple(hosts))))

    def backend(self, name: str, port: int, address: str = "127.0.0.1") -> None:
        """A Backend object with one endpoint."""
        self.backend_object(name, BackendEndpoint(ip=IPEndpoint(address=address, port=port)))

    def backend_object(self, name: str, *endpoints: BackendEndpoint) -> None:
        """A Backend object with these endpoints."""
        key = backend(name).object
        self.put(BACKENDS, key, BackendResource(key, 1, "", BackendSpec(endpoints=endpoints)))

    def secret(self, name: str, certificate: bytes, key: bytes) -> None:
        """A TLS Secret."""
        at = Key("Secret", "infra", name)
        data = (("tls.crt", Bytes(certificate)), ("tls.key", Bytes(key)))
        self.put(SECRETS, at, Secret(at, 1, "", "kubernetes.io/tls", data))

    def all(self, table: Table[Any, XdsResource]) -> dict[str, Any]:
        """The messages of a table by the name of the resource."""
        return {row.name: decoded(row) for row in self.engine.rows(table).values()}

    def table(self, name: str = "port-80") -> RouteConfiguration:
        """One route table."""
        found: RouteConfiguration = self.all(ROUTE_TABLES)[name]
        return found

    def hosts(self, table: str = "port-80") -> dict[str, VirtualHost]:
        """The virtual hosts of a route table by their only domain."""
        return {host.domains[0]: host for host in self.table(table).virtual_hosts}

    def routes(self, host: str = "*", table: str = "port-80") -> list[Route]:
        """The Envoy routes of one virtual host."""
        return list(self.hosts(table)[host].routes)


def decoded(resource: XdsResource) -> Message:
    """The message of a resource."""
    message = TYPES[resource.type_url]()
    message.ParseFromString(b"".join(resource.chunks))
    return message


def _engine(settings: Settings) -> Engine:
    engine = Engine()
    for table in (GATEWAYS, HOSTS, LISTENERS, NAMESPACES, ROUTES, RULES, SERVICES, SLICES, SECRETS, BACKENDS):
        engine.source(table)
    engine.each(OFFERS, LISTENERS, offers_of)
    engine.group(IDLE, BY_LISTENER, idle_of)
    engine.group(PORT_LISTENERS, BY_PORT, port_listeners_of)
    engine.source(UNSERVED)
    engine.each(ATTACHMENTS, ROUTES, attachments_of)
    engine.each(ENCODED, RULES, encode_rules)
    engine.each(PLACED, ROUTES, placed_of)
    engine.group(VIRTUAL_HOSTS, BY_HOST, partial(encode_virtual_host, settings))
    engine.group(ROUTE_TABLES, BY_TABLE, encode_route_table)
    engine.each(ENVOY_LISTENERS, PORT_LISTENERS, partial(encode_envoy_listener, settings))
    engine.group(ADDRESSES, BY_BACKEND, partial(addresses_of, settings))
    engine.group(CLUSTERS, BY_BACKEND, encode_cluster)
    engine.each(ENDPOINTS, ADDRESSES, encode_endpoints)
    engine.group(TLS_SECRETS, BY_CERTIFICATE, encode_secret)
    return engine


def listener(name: str = "http", port: int = 80, hostname: str = "*", **changes: Any) -> Listener:
    """An HTTP listener that serves."""
    facts: dict[str, Any] = {"index": 0, "protocol": "HTTP", "certificates": (), "serves": True} | changes
    return Listener(
        key=ListenerKey(GATEWAY, GATEWAY, name),
        port=port,
        hostname=hostname,
        kinds=("HTTPRoute",),
        namespaces="All",
        selector=None,
        problems=(),
        **facts,
    )


def tls_listener(name: str, hostname: str = "*", *secrets: str, port: int = 443) -> Listener:
    """An HTTPS listener that serves, with the Secrets of these names."""
    certificates = tuple(Key("Secret", "infra", secret) for secret in secrets or ("tls",))
    return listener(name, port, hostname, protocol="HTTPS", certificates=certificates)


def backend(name: str, protocol: str = "http") -> Backend:
    """What a reference to a Backend object resolves to."""
    return Backend(Key("Backend", "shop", name), None, protocol)  # type: ignore[arg-type]


def service(name: str, port: int = 80, protocol: str = "http") -> Backend:
    """What a reference to a Service resolves to."""
    return Backend(Key("Service", "shop", name), port, protocol)  # type: ignore[arg-type]


def to(*names: str) -> Forward:
    """Forward to Backend objects in equal shares."""
    return Forward(tuple(Share(index, 1, backend(name)) for index, name in enumerate(names)))


def invalid(index: int, weight: int = 1) -> Share:
    """A share whose Service is missing."""
    problem = BACKEND_NOT_FOUND.at(
        Key("HTTPRoute", "shop", "web"), f"spec.rules[0].backendRefs[{index}]", backend="Service shop/gone"
    )
    return Share(index, weight, None, problem)


def prefix(value: str, **conditions: Any) -> Match:
    """A match on a path prefix."""
    return Match(0, PathMatch("prefix", value), **conditions)


def rule(action: Action, *matches: Match, index: int = 0, filters: Filters | None = None, **more: Any) -> Rule:
    """A rule that matches everything, or what is given."""
    numbered = tuple(
        Match(number, each.path, each.method, each.headers, each.query) for number, each in enumerate(matches)
    )
    if isinstance(action, Forward) and (more.get("retry") or more.get("attempt_timeout")):
        action = Forward(tuple(map(_tried_again_by_route, action.shares)))
    return Rule(index, "", numbered or (Match(0, ALL),), filters or Filters(), action, **more)


def _tried_again_by_route(share: Share) -> Share:
    return share if share.backend is None else replace(share, backend=replace(share.backend, retries="by route"))


def headers_of(options: Iterable[Any]) -> list[tuple[str, str]]:
    """Header options as pairs."""
    return [(option.header.key, option.header.value) for option in options]


def names(rows: Mapping[str, object]) -> list[str]:
    """The names, sorted."""
    return sorted(rows)
