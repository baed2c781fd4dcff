"""The objects that a measurement makes: a Gateway, Services with endpoints outside of the cluster, and routes to them.

Route number i serves one host and leads to a Service; Services with even numbers answer with one body, those with odd
numbers with the other.
"""

from __future__ import annotations

from typing import Any, Final

from bench.contender import host

GROUP: Final = "gateway.networking.k8s.io/v1"
NAMESPACE: Final = "bench"
GATEWAY: Final = "edge"
PORT: Final = 80
ROUTES_PATH: Final = f"/apis/{GROUP}/namespaces/{NAMESPACE}/httproutes"
SLICES_PATH: Final = f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices"
STEADY: Final = "steady"
"""A route, and the Service of its own that it leads to; nothing of them ever changes."""
STEADY_HOST: Final = "steady.example.com"

Object = dict[str, Any]


def services_for(routes: int) -> int:
    """As many Services as routes share: a tenth, and an even number."""
    return max(2, routes // 20 * 2)


def service_name(service: int) -> str:
    """The name of a numbered Service."""
    return f"s{service:04d}"


def route_name(route: int) -> str:
    """The name of a numbered route."""
    return f"r{route:05d}"


def gateway(class_name: str) -> Object:
    """One listener for every host."""
    listener = {"name": "http", "port": PORT, "protocol": "HTTP"}
    spec = {"gatewayClassName": class_name, "listeners": [listener]}
    return {"apiVersion": GROUP, "kind": "Gateway", "metadata": _metadata(GATEWAY), "spec": spec}


def service(name: str) -> Object:
    """A Service without a selector: its endpoints are what ``endpoints`` says."""
    spec = {"ports": [{"name": "http", "port": PORT}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": _metadata(name), "spec": spec}


def endpoints(name: str, address: str, port: int) -> Object:
    """The only endpoint of a Service."""
    labels = {"kubernetes.io/service-name": name, "endpointslice.kubernetes.io/managed-by": "bench"}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {**_metadata(name), "labels": labels},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": port}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
    }


def route(number: int, service_number: int) -> Object:
    """A route for a host of its own."""
    return named_route(route_name(number), host(number), service_name(service_number))


def named_route(name: str, hostname: str, to_service: str) -> Object:
    """A route of this name, from a host to a Service."""
    spec = {"parentRefs": [{"name": GATEWAY}], "hostnames": [hostname], "rules": rules(to_service)}
    return {"apiVersion": GROUP, "kind": "HTTPRoute", "metadata": _metadata(name), "spec": spec}


def rules(to_service: str) -> list[Object]:
    """Everything goes to a Service."""
    return [{"backendRefs": [{"name": to_service, "port": PORT}]}]


def _metadata(name: str) -> Object:
    return {"name": name, "namespace": NAMESPACE}
