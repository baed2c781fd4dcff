"""The map: every table, in order, and what computes it.

Read this file first. Resources come in at the top; statuses and Envoy's resources come out at the bottom. Each line
says which table it makes, from which table or groups, with which function; what else a function looks at is recorded
when it reads. Controller, command line and tests all build this one engine.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from functools import partial
from typing import Any

from msgspec import Struct

from trilithon.incremental import Edit, Engine, Table
from trilithon.infrastructure.gateway import infrastructure_of
from trilithon.model.proxy import Acked, Proxy
from trilithon.model.settings import Settings
from trilithon.model.tables import (
    ADDRESSES,
    API_VERSIONS,
    APPLIED,
    ATTACHMENTS,
    BACKENDS,
    CERTIFICATES,
    CLASSES,
    CONFIG_MAPS,
    GATEWAY_ADDRESSES,
    GATEWAYS,
    GRANTS,
    HOSTS,
    IDLE,
    INFRASTRUCTURE,
    LISTENERS,
    NAMESPACES,
    OFFERS,
    OURS,
    OWN_LISTENERS,
    PARAMETERS,
    PORT_LISTENERS,
    PORTS,
    PROXIES,
    REFUSED_BACKENDS,
    ROUTES,
    RULES,
    SECRETS,
    SERVICES,
    SLICES,
    UNSERVED,
)
from trilithon.resources.meta import Key
from trilithon.status.class_ import CLASS_STATUS, class_status_of
from trilithon.status.gateway import GATEWAY_STATUS, gateway_status_of
from trilithon.status.problems import (
    CLASS_PROBLEMS,
    GATEWAY_PROBLEMS,
    ROUTE_PROBLEMS,
    class_problems_of,
    gateway_problems_of,
    route_problems_of,
)
from trilithon.status.route import ROUTE_STATUS, route_status_of
from trilithon.translate.addresses import gateway_addresses_of
from trilithon.translate.attachments import attachments_of
from trilithon.translate.certificates import GATEWAYS_BY_CERTIFICATE, certificate_of
from trilithon.translate.classes import our_gateway, unserved
from trilithon.translate.endpoints import addresses_of
from trilithon.translate.listeners import own_listeners_of
from trilithon.translate.offers import BY_LISTENER, BY_PORT, idle_of, offers_of, port_listeners_of
from trilithon.translate.ports import listeners_of
from trilithon.translate.rules import rules_of
from trilithon.xds.cluster import encode_cluster
from trilithon.xds.endpoint import encode_endpoints
from trilithon.xds.listener import encode_envoy_listener
from trilithon.xds.placement import placed_of
from trilithon.xds.refused import refused_backend
from trilithon.xds.resource import XdsResource
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
from trilithon.xds.wanted import wanted_port

# Which table an object belongs to, by its kind; routes of every kind share one.
SOURCES: Mapping[str, Table[Key, Any]] = {
    "GatewayClass": CLASSES,
    "Gateway": GATEWAYS,
    "HTTPRoute": ROUTES,
    "ReferenceGrant": GRANTS,
    "Service": SERVICES,
    "EndpointSlice": SLICES,
    "Secret": SECRETS,
    "ConfigMap": CONFIG_MAPS,
    "Namespace": NAMESPACES,
    "Backend": BACKENDS,
    "GatewayParameters": PARAMETERS,
}

# What Envoy is sent; each row is an XdsResource and each key starts with the Gateway.
PUBLISHED: tuple[Table[Any, XdsResource], ...] = (CLUSTERS, ENDPOINTS, TLS_SECRETS, ENVOY_LISTENERS, ROUTE_TABLES)


def build(settings: Settings) -> Engine:
    """A new engine with every table and no rows."""
    engine = Engine()
    for source in dict.fromkeys(SOURCES.values()):
        engine.source(source)
    for by_gateway in (HOSTS, APPLIED):
        engine.source(by_gateway)
    engine.source(PROXIES)
    engine.source(API_VERSIONS)

    # Resources to model
    engine.each(OURS, GATEWAYS, partial(our_gateway, settings))
    engine.group(CERTIFICATES, GATEWAYS_BY_CERTIFICATE, certificate_of)
    engine.each(UNSERVED, GATEWAYS, partial(unserved, settings))
    engine.each(OWN_LISTENERS, OURS, partial(own_listeners_of, settings))
    engine.each(LISTENERS, OWN_LISTENERS, partial(listeners_of, settings))
    engine.each(OFFERS, LISTENERS, offers_of)
    engine.group(IDLE, BY_LISTENER, idle_of)
    engine.group(PORT_LISTENERS, BY_PORT, port_listeners_of)
    engine.each(ATTACHMENTS, ROUTES, attachments_of)
    engine.each(RULES, ROUTES, partial(rules_of, settings))

    # Model to Envoy
    engine.each(ENCODED, RULES, encode_rules)
    engine.each(PLACED, ROUTES, placed_of)
    engine.group(VIRTUAL_HOSTS, BY_HOST, partial(encode_virtual_host, settings))
    engine.group(ROUTE_TABLES, BY_TABLE, encode_route_table)
    engine.each(ENVOY_LISTENERS, PORT_LISTENERS, partial(encode_envoy_listener, settings))
    engine.group(ADDRESSES, BY_BACKEND, partial(addresses_of, settings))
    engine.group(CLUSTERS, BY_BACKEND, encode_cluster)
    engine.each(ENDPOINTS, ADDRESSES, encode_endpoints)
    engine.group(TLS_SECRETS, BY_CERTIFICATE, encode_secret)
    engine.each(PORTS, PORT_LISTENERS, wanted_port)
    engine.group(REFUSED_BACKENDS, BY_BACKEND, refused_backend)

    # What runs the Gateways, and where they are reached
    engine.each(INFRASTRUCTURE, GATEWAYS, partial(infrastructure_of, settings))
    engine.each(GATEWAY_ADDRESSES, LISTENERS, partial(gateway_addresses_of, settings))

    # Model and Envoy's answers to status
    engine.each(CLASS_STATUS, CLASSES, partial(class_status_of, settings))
    engine.each(ROUTE_STATUS, ROUTES, partial(route_status_of, settings))
    engine.each(GATEWAY_STATUS, LISTENERS, partial(gateway_status_of, settings))

    # Everything wrong, by the object it is wrong in
    engine.each(CLASS_PROBLEMS, CLASSES, partial(class_problems_of, settings))
    engine.each(GATEWAY_PROBLEMS, GATEWAYS, partial(gateway_problems_of, settings))
    engine.each(ROUTE_PROBLEMS, ROUTES, partial(route_problems_of, settings))
    return engine


def edits(upserts: Iterable[Any], removals: Iterable[Key] = ()) -> list[Edit[Any, Any]]:
    """Edits that bring resources in and take others out."""
    coming = [Edit(SOURCES[resource.key.kind], resource.key, resource) for resource in upserts]
    return [*coming, *(Edit(SOURCES[key.kind], key, None) for key in removals)]


def acknowledged(engine: Engine) -> list[Edit[Any, Any]]:
    """Edits that say that one Envoy per Gateway took everything: what a healthy Envoy answers a moment later."""
    acked: dict[str, set[Acked]] = {}
    for key, port in engine.rows(PORTS).items():
        acked.setdefault(key.gateway.path, set()).update(*(each.everything for each in port.listeners))
    rows = {gateway: Proxy(gateway, 1, tuple(sorted(taken))) for gateway, taken in acked.items()}
    gone = [Edit(PROXIES, gateway, None) for gateway in engine.rows(PROXIES) if gateway not in rows]
    return [*gone, *(Edit(PROXIES, gateway, row) for gateway, row in rows.items())]


class Translation(Struct, frozen=True):
    """A settled engine over a set of resources."""

    engine: Engine
    settings: Settings


def translate(
    resources: Iterable[Any], settings: Settings | None = None, programmed: Container[Key] | None = None
) -> Translation:
    """Translate resources as a whole, offline; the statuses are those after a healthy Envoy took everything.

    With ``programmed`` only these Gateways have a healthy Envoy, and the others none.
    """
    settings = settings or Settings()
    engine = build(settings)
    engine.apply(edits(resources))
    healthy = acknowledged(engine)
    if programmed is not None:
        paths = {key.path for key in engine.rows(LISTENERS) if key in programmed}
        healthy = [edit for edit in healthy if edit.key in paths]
    engine.apply(healthy)
    return Translation(engine, settings)
