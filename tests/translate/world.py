"""A small engine around the translation of routes, and short ways to write what goes into it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import msgspec

from trilithon.incremental import Changes, Edit, Engine, Table
from trilithon.model.attachment import Attachments, ParentAttachment
from trilithon.model.gateway_mistakes import SELECTOR_MALFORMED
from trilithon.model.listener import Listener, ListenerKey, Listeners
from trilithon.model.rule import Rule, Rules
from trilithon.model.settings import Settings
from trilithon.model.tables import (
    ATTACHMENTS,
    BACKENDS,
    CLASSES,
    GATEWAYS,
    GRANTS,
    IDLE,
    LISTENERS,
    NAMESPACES,
    OFFERS,
    PARAMETERS,
    ROUTES,
    RULES,
    SERVICES,
    UNSERVED,
)
from trilithon.resources.core import BackendResource, BackendSpec, Namespace, Service, ServiceSpec
from trilithon.resources.gateways import Gateway, GatewayClass, GatewayClassSpec, GatewaySpec
from trilithon.resources.meta import Key, LabelSelector
from trilithon.resources.policies import ReferenceGrant, ReferenceGrantSpec
from trilithon.resources.problem import Problem
from trilithon.resources.routes import HTTPRoute, HTTPRouteSpec
from trilithon.status.route import ROUTE_STATUS, RouteStatus, route_status_of
from trilithon.translate.attachments import attachments_of
from trilithon.translate.classes import unserved
from trilithon.translate.offers import BY_LISTENER, idle_of, offers_of
from trilithon.translate.rules import rules_of

GATEWAY = Key("Gateway", "infra", "gw")
ROUTE = Key("HTTPRoute", "shop", "web")

_TABLES: dict[str, Table[Key, Any]] = {
    "Gateway": GATEWAYS,
    "GatewayClass": CLASSES,
    "Listeners": LISTENERS,
    "Namespace": NAMESPACES,
    "ReferenceGrant": GRANTS,
    "Service": SERVICES,
    "Backend": BACKENDS,
    "GatewayParameters": PARAMETERS,
    "HTTPRoute": ROUTES,
}


def key(kind: str, path: str) -> Key:
    """The key of "namespace/name"."""
    namespace, _, name = path.rpartition("/")
    return Key(kind, namespace, name)


def http_route(path: str = "shop/web", /, *, created: str = "", generation: int = 1, **spec: object) -> HTTPRoute:
    """An HTTPRoute with a spec as in YAML; attached to the Gateway of these tests unless it says otherwise."""
    spec = {"parentRefs": [{"namespace": "infra", "name": "gw"}], **spec}
    return HTTPRoute(key("HTTPRoute", path), generation, created, msgspec.convert(spec, HTTPRouteSpec))


def service(path: str, *ports: dict[str, object] | int, **spec: object) -> Service:
    """A Service; a port is a number or as in YAML."""
    written = [{"port": port} if isinstance(port, int) else port for port in ports]
    return Service(key("Service", path), 1, "", msgspec.convert({"ports": written, **spec}, ServiceSpec))


def backend(path: str, **spec: object) -> BackendResource:
    """A Backend with one endpoint."""
    endpoints = [{"ip": {"address": "10.0.0.1", "port": 80}}]
    return BackendResource(key("Backend", path), 1, "", msgspec.convert({"endpoints": endpoints, **spec}, BackendSpec))


def grant(path: str, came_from: list[dict[str, str]], to: list[dict[str, str]]) -> ReferenceGrant:
    """A ReferenceGrant."""
    spec = msgspec.convert({"from": came_from, "to": to}, ReferenceGrantSpec)
    return ReferenceGrant(key("ReferenceGrant", path), 1, "", spec)


def namespace(name: str, **labels: str) -> Namespace:
    """A Namespace."""
    return Namespace(Key("Namespace", "", name), 1, "", tuple(labels.items()))


def gateway_class(name: str, controller: str, **spec: object) -> GatewayClass:
    """A GatewayClass."""
    written = msgspec.convert({"controllerName": controller, **spec}, GatewayClassSpec)
    return GatewayClass(Key("GatewayClass", "", name), 1, "", written)


def foreign_gateway(path: str) -> Gateway:
    """A Gateway of the class "other", that has no listeners row."""
    listener = {"name": "http", "port": 80, "protocol": "HTTP"}
    spec = msgspec.convert({"gatewayClassName": "other", "listeners": [listener]}, GatewaySpec)
    return Gateway(key("Gateway", path), 1, "", spec)


def listener(name: str = "http", hostname: str = "*", port: int = 80, **fields: Any) -> Listener:
    """A listener that takes every HTTPRoute, unless it says otherwise."""
    given: dict[str, Any] = {
        "protocol": "HTTP",
        "kinds": ("HTTPRoute",),
        "namespaces": "All",
        "selector": None,
        "certificates": (),
        "problems": (),
        "serves": True,
        **fields,
    }
    if isinstance(given["selector"], dict):
        given["selector"] = msgspec.convert(given["selector"], LabelSelector)
    return Listener(key=ListenerKey(GATEWAY, GATEWAY, name), index=0, port=port, hostname=hostname, **given)


def broken(why: str) -> tuple[Problem, ...]:
    """A listener's problem, whatever it is."""
    return (SELECTOR_MALFORMED.at(GATEWAY, "spec.listeners[0]", what=why),)


class World:
    """A settled engine over these listeners (of one Gateway) and resources."""

    def __init__(self, *rows: Any, settings: Settings | None = None) -> None:
        self.engine = Engine()
        for table in _TABLES.values():
            self.engine.source(table)
        self.engine.each(UNSERVED, GATEWAYS, partial(unserved, Settings()))
        self.engine.each(OFFERS, LISTENERS, offers_of)
        self.engine.group(IDLE, BY_LISTENER, idle_of)
        self.engine.each(ATTACHMENTS, ROUTES, attachments_of)
        self.engine.each(RULES, ROUTES, partial(rules_of, settings or Settings()))
        self.engine.each(ROUTE_STATUS, ROUTES, partial(route_status_of, settings or Settings()))
        listeners = tuple(row for row in rows if isinstance(row, Listener))
        self.add(*(row for row in rows if not isinstance(row, Listener)))
        if listeners:
            self.listen(*listeners)

    def listen(self, *listeners: Listener) -> Changes:
        """Give the Gateway these listeners and no others."""
        return self._apply([Edit(LISTENERS, GATEWAY, Listeners(GATEWAY, 1, "", listeners))])

    def add(self, *resources: Any) -> None:
        """Create or replace resources."""
        self._apply([Edit(_TABLES[resource.key.kind], resource.key, resource) for resource in resources])

    def remove(self, *keys: Key) -> None:
        """Delete resources."""
        self._apply([Edit(_TABLES[gone.kind], gone, None) for gone in keys])

    def _apply(self, edits: Iterable[Edit[Any, Any]]) -> Changes:
        changes = self.engine.apply(list(edits))
        assert not self.engine.faults
        assert self.engine.audit() == ()
        return changes

    def attachments(self, route: Key = ROUTE) -> Attachments:
        """The attachments row of a route."""
        row = self.engine.row(ATTACHMENTS, route)
        assert row is not None
        return row

    def parent(self, route: Key = ROUTE) -> ParentAttachment:
        """The only parent of a route."""
        (parent,) = self.attachments(route).parents
        return parent

    def rules(self, route: Key = ROUTE) -> Rules:
        """The rules row of a route."""
        row = self.engine.row(RULES, route)
        assert row is not None
        return row

    def rule(self, index: int = 0) -> Rule:
        """One rule of the route."""
        return self.rules().items[index]

    def status(self, route: Key = ROUTE) -> RouteStatus | None:
        """The status row of a route."""
        return self.engine.row(ROUTE_STATUS, route)


def codes(problems: Iterable[Problem]) -> list[str]:
    """The codes of problems, in order."""
    return [problem.code for problem in problems]
