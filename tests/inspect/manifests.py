"""Objects as short text, read as the files of a user are."""

from __future__ import annotations

from typing import Any

from trilithon.model.settings import CONTROLLER_NAME
from trilithon.pipeline import Translation, translate
from trilithon.resources.decode import decode_all
from trilithon.sources.folder.yaml_documents import Unreadable, parse, split

GATEWAY_API = "apiVersion: gateway.networking.k8s.io/v1"

CLASS = f"""
{GATEWAY_API}
kind: GatewayClass
metadata: {{name: trilithon}}
spec: {{controllerName: {CONTROLLER_NAME}}}
"""


def gateway(name: str = "gw", namespace: str = "infra", listener: str = "") -> str:
    """A Gateway with one listener, open to all namespaces unless the listener says otherwise."""
    listener = listener or "allowedRoutes: {namespaces: {from: All}}"
    return f"""
{GATEWAY_API}
kind: Gateway
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  gatewayClassName: trilithon
  listeners: [{{name: http, port: 8080, protocol: HTTP, {listener}}}]
"""


def route(
    backend: str = "", *, path: str = "web", parent: str = "name: gw, namespace: infra", hostnames: str = "[]"
) -> str:
    """A route of namespace shop with one rule."""
    refs = f"[{{{backend}}}]" if backend else "[]"
    return f"""
{GATEWAY_API}
kind: HTTPRoute
metadata: {{name: {path}, namespace: shop}}
spec:
  parentRefs: [{{{parent}}}]
  hostnames: {hostnames}
  rules: [{{backendRefs: {refs}}}]
"""


def service(name: str, namespace: str = "shop") -> str:
    """A Service with port 80."""
    return f"""
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{ports: [{{port: 80}}]}}
"""


def grant(namespace: str, to: str) -> str:
    """Consent of a namespace to HTTPRoutes of namespace shop."""
    return f"""
{GATEWAY_API}
kind: ReferenceGrant
metadata: {{name: consent, namespace: {namespace}}}
spec:
  from: [{{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: shop}}]
  to: [{{{to}}}]
"""


def translated(*texts: str) -> Translation:
    """The class, and these objects, translated."""
    found: list[Any] = []
    for text in (CLASS, *texts):
        for document in split(text.encode()):
            parsed = parse(document)
            assert not isinstance(parsed, Unreadable), parsed
            for decoded in decode_all(parsed.value):
                assert decoded.resource is not None, decoded.problems
                found.append(decoded.resource)
    return translate(found)
