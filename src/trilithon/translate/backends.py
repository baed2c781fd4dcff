"""Resolve a backend reference: a backend, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Callable

from trilithon.incremental import Read
from trilithon.model import route_mistakes as mistakes
from trilithon.model.backend import Backend, Protocol
from trilithon.model.settings import Settings
from trilithon.model.tables import BACKENDS, SERVICES
from trilithon.resources.core import Service
from trilithon.resources.meta import TRILITHON_GROUP, BackendObjectReference, Key
from trilithon.resources.problem import Problem
from trilithon.resources.routes import HTTPBackendRef
from trilithon.translate.references import permitted

BackendRef = BackendObjectReference | HTTPBackendRef
Resolved = tuple[Backend | None, Problem | None]
# What the reference of one route at this field comes to.
Resolve = Callable[[BackendRef, str], Resolved]

# What appProtocol says is spoken, in lower case. WebSocket is HTTP/1.1 with an upgrade, which every route allows.
_PROTOCOLS: dict[str, Protocol | None] = {
    "kubernetes.io/h2c": "h2c",
    "h2c": "h2c",
    "http2": "h2c",
    "grpc": "h2c",
    # All of these need TLS towards the backend, and plain text would only meet a closed connection.
    "kubernetes.io/wss": None,
    "https": None,
    "wss": None,
    "tls": None,
    "ssl": None,
    "h2": None,
    "grpcs": None,
}
# Everything else is taken for HTTP/1.1. The field carries names of many vendors, and most Services with one that is not
# known here ("http", "tcp", "http-metrics", a mesh's own) serve plain HTTP; to refuse them would break what works.
_OTHERWISE: Protocol = "http"


def backend_of(settings: Settings, read: Read, route: Key, ref: BackendRef, path: str) -> Resolved:
    """The backend a reference of a route names, or the problem because of which its requests are answered 500.

    Kind first, then consent, then existence: without consent nothing is told about the target. Last, whether the
    surroundings allow it.
    """
    resolve = _KINDS.get((ref.group, ref.kind))
    if resolve is None:
        return None, mistakes.BACKEND_KIND_UNKNOWN.at(route, path, kind=ref.kind, group=ref.group)
    target = Key(ref.kind, ref.namespace or route.namespace, ref.name)
    if not permitted(
        read,
        from_kind=route.kind,
        from_namespace=route.namespace,
        to_group=ref.group,
        to_kind=target.kind,
        to_namespace=target.namespace,
        to_name=target.name,
    ):
        return None, mistakes.REF_NOT_PERMITTED.at(
            route,
            path,
            namespace=target.namespace,
            kind=route.kind,
            from_namespace=route.namespace,
            target=target,
        )
    return resolve(settings, read, route, target, ref, path)


def described(route: Key, ref: BackendRef) -> str:
    """A reference in words, whether or not it leads anywhere: "Service shop/cart:80"."""
    port = f":{ref.port}" if ref.port is not None and ref.kind != "Backend" else ""
    return f"{ref.kind} {ref.namespace or route.namespace}/{ref.name}{port}"


def _service(_settings: Settings, read: Read, route: Key, target: Key, ref: BackendRef, path: str) -> Resolved:
    service = read.one(SERVICES, target)
    if service is None:
        return None, mistakes.BACKEND_NOT_FOUND.at(route, path, backend=target)
    # "Support for ExternalName is NOT RECOMMENDED": it could point at anything, the control plane itself included
    # (BackendObjectReference.kind).
    if service.spec.type == "ExternalName":
        return None, mistakes.BACKEND_EXTERNAL_NAME.at(route, path, backend=target)
    ports = [port for port in service.spec.ports if port.protocol == "TCP" and port.port == ref.port]
    if not ports:
        return None, mistakes.BACKEND_PORT_NOT_FOUND.at(
            route,
            f"{path}.port",
            backend=target,
            protocol="TCP",
            port=ref.port if ref.port is not None else "(none is given)",
            ports=_ports(service),
        )
    return _spoken(route, Backend(target, ports[0].port), ports[0].app_protocol, path)


def _ports(service: Service) -> str:
    return ", ".join(f"{port.port}/{port.protocol}" for port in service.spec.ports) or "none"


def _own(settings: Settings, read: Read, route: Key, target: Key, ref: BackendRef, path: str) -> Resolved:
    """A Backend's endpoints have ports of their own, so the reference's port means nothing."""
    backend = read.one(BACKENDS, target)
    if backend is None:
        return None, mistakes.BACKEND_NOT_FOUND.at(route, path, backend=target)
    names = (each.hostname.hostname for each in backend.spec.endpoints if each.hostname is not None)
    # Envoy resolves a name: it may be that of another namespace's Service, which nobody asked for a grant, or lead
    # into the proxy's own host.
    if not settings.backend_hostnames and (hostname := next(names, None)) is not None:
        return None, mistakes.BACKEND_HOSTNAME.at(route, path, backend=target, hostname=hostname)
    return _spoken(route, Backend(target, None), backend.spec.app_protocol, path)


def _spoken(route: Key, backend: Backend, app_protocol: str | None, path: str) -> Resolved:
    protocol = _PROTOCOLS.get(app_protocol.lower(), _OTHERWISE) if app_protocol else _OTHERWISE
    if protocol is None:
        return None, mistakes.BACKEND_PROTOCOL.at(route, path, backend=backend, protocol=app_protocol)
    return Backend(backend.object, backend.port, protocol), None


_KINDS: dict[tuple[str, str], Callable[[Settings, Read, Key, Key, BackendRef, str], Resolved]] = {
    ("", "Service"): _service,
    (TRILITHON_GROUP, "Backend"): _own,
}
