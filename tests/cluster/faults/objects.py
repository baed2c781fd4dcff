"""The objects of the world that faults befall: Gateways, routes, and Services whose endpoints are on the node."""

from __future__ import annotations

from testcluster.api import Object
from testcluster.layout import NODE_ADDRESS

GATEWAY_API = "gateway.networking.k8s.io/v1"


def gateway(name: str, class_name: str, port: int = 80) -> Object:
    """One HTTP listener for every hostname."""
    listeners = [{"name": "http", "port": port, "protocol": "HTTP"}]
    return {
        "apiVersion": GATEWAY_API,
        "kind": "Gateway",
        "metadata": {"name": name},
        "spec": {"gatewayClassName": class_name, "listeners": listeners},
    }


def route(name: str, service: str, *gateways: str) -> Object:
    """Everything for a hostname of the route's own goes to a Service."""
    return {
        "apiVersion": GATEWAY_API,
        "kind": "HTTPRoute",
        "metadata": {"name": name},
        "spec": {
            "parentRefs": [{"name": gateway} for gateway in gateways],
            "hostnames": [host(name)],
            "rules": rules(service),
        },
    }


def rules(service: str) -> list[Object]:
    """The rules of a route that sends everything to a Service."""
    return [{"backendRefs": [{"name": service, "port": 80}]}]


def host(route_name: str) -> str:
    """The hostname of a route."""
    return f"{route_name}.test"


def service(name: str, port: int) -> list[Object]:
    """A Service whose only endpoint is a port of the node."""
    spec = {"ports": [{"name": "http", "port": 80}]}
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec},
        endpoints(name, port),
    ]


def endpoints(service_name: str, port: int) -> Object:
    """The endpoints of such a Service."""
    labels = {"kubernetes.io/service-name": service_name, "endpointslice.kubernetes.io/managed-by": "test"}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": service_name, "labels": labels},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": port}],
        "endpoints": [{"addresses": [str(NODE_ADDRESS)], "conditions": {"ready": True}}],
    }
