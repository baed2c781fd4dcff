"""The state of everything at a glance: Gateways, listeners, routes, problems, Envoys."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from trilithon.incremental import Engine
from trilithon.model.listener import Listener
from trilithon.model.problem import reason_of
from trilithon.model.settings import Settings
from trilithon.model.tables import LISTENERS, PROXIES
from trilithon.resources.meta import Key
from trilithon.resources.problem import Problem
from trilithon.status.conditions import Condition
from trilithon.status.gateway import GATEWAY_STATUS
from trilithon.status.route import ROUTE_STATUS

STANDARD_PORTS = {"HTTP": 80, "HTTPS": 443}


class ConditionView(Struct, frozen=True):
    """One condition."""

    type: str
    status: str
    reason: str
    message: str


class ListenerView(Struct, frozen=True):
    """One listener; ``url`` is where a client reaches it, "" when it does not serve, or has no address."""

    name: str
    protocol: str
    port: int
    hostname: str
    url: str
    attached_routes: int
    conditions: tuple[ConditionView, ...]


class EnvoyView(Struct, frozen=True):
    """The Envoys of one Gateway: how many are connected, how many resources they should have and have acknowledged."""

    connected: int
    wanted: int
    acknowledged: int
    rejected: tuple[str, ...]


class GatewayView(Struct, frozen=True):
    """One Gateway of ours."""

    name: str
    conditions: tuple[ConditionView, ...]
    listeners: tuple[ListenerView, ...]
    envoy: EnvoyView | None = None


class ParentView(Struct, frozen=True):
    """One parent of a route."""

    gateway: str
    section: str | None
    conditions: tuple[ConditionView, ...]


class RouteView(Struct, frozen=True):
    """One route."""

    kind: str
    name: str
    parents: tuple[ParentView, ...]


class ProblemView(Struct, frozen=True):
    """One problem; file and line where the object came from a file."""

    severity: str
    code: str
    object: str | None
    path: str
    message: str
    hint: str = ""
    file: str | None = None
    line: int | None = None


class Overview(Struct, frozen=True):
    """Everything; ``paths`` is what the live process serves, empty offline."""

    gateways: tuple[GatewayView, ...]
    routes: tuple[RouteView, ...]
    problems: tuple[ProblemView, ...]
    paths: tuple[str, ...] = ()
    pid: int | None = None


def url_of(settings: Settings, listener: Listener, address: str) -> str:
    """Where a client reaches a listener of a Gateway at this address: its hostname, of a wildcard one that it covers.

    No other name would do: what asks for an address asks for no hostname at all.
    """
    scheme = "https" if listener.protocol == "HTTPS" else "http"
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - nothing is bound here
    host = listener.hostname
    if host == "*":
        host = everywhere.get(address, f"[{address}]" if ":" in address else address)
    elif host.startswith("*."):
        host = f"anything{host[1:]}"
    port = settings.bound_port(listener.port)
    return f"{scheme}://{host}" + ("/" if port == STANDARD_PORTS[listener.protocol] else f":{port}/")


def gateway_views(engine: Engine, settings: Settings) -> tuple[GatewayView, ...]:
    """Every Gateway of ours, by name."""
    views = (gateway_view(engine, settings, key) for key in sorted(engine.rows(LISTENERS)))
    return tuple(view for view in views if view is not None)


def gateway_view(engine: Engine, settings: Settings, key: Key, envoy: EnvoyView | None = None) -> GatewayView | None:
    """One Gateway; None where it is gone, or not ours."""
    listeners, status = engine.row(LISTENERS, key), engine.row(GATEWAY_STATUS, key)
    if listeners is None or status is None:
        return None
    address = status.addresses[0].value if status.addresses else ""
    items = tuple(
        ListenerView(
            name=item.key.name,
            protocol=item.protocol,
            port=item.port,
            hostname=item.hostname,
            url=url_of(settings, item, address) if item.serves and address else "",
            attached_routes=entry.attached_routes,
            conditions=_conditions(entry.conditions),
        )
        for item, entry in zip(listeners.items, status.listeners, strict=True)
    )
    return GatewayView(key.path, _conditions(status.conditions), items, envoy)


def route_views(engine: Engine) -> tuple[RouteView, ...]:
    """Every route with a parent of ours, by kind and name."""
    views = (route_view(engine, key) for key in sorted(engine.rows(ROUTE_STATUS)))
    return tuple(view for view in views if view is not None)


def route_view(engine: Engine, key: Key) -> RouteView | None:
    """One route; None where it is gone, or has no parent of ours."""
    status = engine.row(ROUTE_STATUS, key)
    if status is None:
        return None
    return RouteView(
        kind=key.kind,
        name=key.path,
        parents=tuple(
            ParentView(
                gateway=f"{parent.ref.namespace or key.namespace}/{parent.ref.name}",
                section=parent.ref.section_name,
                conditions=_conditions(parent.conditions),
            )
            for parent in status.parents
        ),
    )


def problem_view(problem: Problem, file: str | None, line: int | None) -> ProblemView:
    """A problem with where it stands; where no object could be read and no file is known, that is its own place."""
    place = problem.place if file is None else ""
    return ProblemView(
        severity=problem.severity,
        code=reason_of(problem),
        object=str(problem.key) if problem.key is not None else place or None,
        path=problem.path,
        message=problem.message,
        hint=problem.hint,
        file=file,
        line=line,
    )


def connected(engine: Engine, gateway: str) -> int:
    """How many Envoys of a Gateway are connected."""
    proxy = engine.row(PROXIES, gateway)
    return proxy.connected if proxy is not None else 0


def _conditions(conditions: Iterable[Condition]) -> tuple[ConditionView, ...]:
    return tuple(ConditionView(each.type, each.status, each.reason, each.message) for each in conditions)
