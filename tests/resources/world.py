"""Small documents to start from, and what decoding them says."""

from __future__ import annotations

from typing import Any

from trilithon.resources.decode import decode

Document = dict[str, Any]
TLS = {"certificateRefs": [{"name": "cert"}]}
HTTP = {"name": "http", "port": 80, "protocol": "HTTP"}
HTTPS = {"name": "https", "port": 443, "protocol": "HTTPS", "tls": TLS}
WEB = {"name": "web", "port": 80}
PREFIX = {"path": {"type": "PathPrefix", "value": "/a"}}


def document(kind: str, api_version: str = "gateway.networking.k8s.io/v1", **fields: Any) -> Document:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": "a"}, **fields}


def gateway(*listeners: Document, **spec: Any) -> Document:
    return document("Gateway", spec={"gatewayClassName": "t", "listeners": list(listeners or (HTTP,)), **spec})


def route(**spec: Any) -> Document:
    return document("HTTPRoute", spec=spec)


def rule(**fields: Any) -> Document:
    return route(rules=[fields])


def filtered(kind: str, **settings: Any) -> Document:
    return {"type": kind, **settings}


def by_filter(*filters: Document, **fields: Any) -> Document:
    return rule(filters=list(filters), **fields)


def match(**fields: Any) -> Document:
    return rule(matches=[fields])


def path(kind: str, value: str) -> Document:
    return match(path={"type": kind, "value": value})


def core(kind: str, **fields: Any) -> Document:
    return document(kind, "v1", **fields)


def service(*ports: Document, **spec: Any) -> Document:
    return core("Service", spec={**({"ports": list(ports)} if ports else {}), **spec})


def slice_of(address_type: str, *addresses: str, **fields: Any) -> Document:
    endpoints = [{"addresses": [address]} for address in addresses]
    body = {"addressType": address_type, "endpoints": endpoints, "ports": [{"port": 80}], **fields}
    return document("EndpointSlice", "discovery.k8s.io/v1", **body)


def backend(*endpoints: Document) -> Document:
    return document("Backend", "trilithon.dev/v1alpha1", spec={"endpoints": list(endpoints)})


def errors(written: object) -> list[tuple[str, str]]:
    """(code, path) of every error; none means that there is a resource."""
    decoded = decode(written)
    found = [(problem.code, problem.path) for problem in decoded.problems if problem.severity == "error"]
    assert (decoded.resource is None) == bool(found), decoded
    return found


def warnings(written: object) -> list[tuple[str, str, str]]:
    """(code, path, hint) of every warning."""
    found = decode(written).problems
    return [(problem.code, problem.path, problem.hint) for problem in found if problem.severity == "warning"]


def message(written: object) -> str:
    """The one message there is, with its hint in brackets."""
    (problem,) = decode(written).problems
    return f"{problem.message} ({problem.hint})" if problem.hint else problem.message
