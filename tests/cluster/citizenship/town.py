"""The town in which a controller shows its manners: an installation, a Gateway, a few routes, and the audit log."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from testcluster import Cluster
from testcluster.api import Object, conditions
from testcluster.audit import AuditEvent
from tests.cluster.faults.installed import Installed, installed
from tests.cluster.faults.objects import gateway, route, rules, service

GATEWAY_API = "/apis/gateway.networking.k8s.io/v1"
ROUTES = ("one", "two", "three")
SETTLED_SECONDS = 3.0
"""For so long nothing of ours must have been written; longer than any pause between two writes of one object."""


class Town:
    """Everything, with the means to change it and to see who wrote what."""

    def __init__(self, cluster: Cluster, namespace: str, controllers: Installed) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.controllers = controllers

    def path(self, plural: str, name: str = "") -> str:
        """The path of a Gateway API object of the town, or of all of a kind."""
        collection = f"{GATEWAY_API}/namespaces/{self.namespace}/{plural}"
        return f"{collection}/{name}" if name else collection

    @property
    def class_path(self) -> str:
        """The path of the GatewayClass."""
        return f"{GATEWAY_API}/gatewayclasses/{self.controllers.class_name}"

    def build(self) -> None:
        """Make all of it, and wait until nothing is left to be said."""
        cluster = self.cluster
        cluster.apply(gateway("edge", self.controllers.class_name), *service("web", 9), namespace=self.namespace)
        cluster.apply(*(route(name, "web", "edge") for name in ROUTES), namespace=self.namespace)
        cluster.wait_for("the Gateway to be programmed", self.is_programmed, 60)
        cluster.wait_for("statuses of all routes", lambda: all(map(self.is_observed, ROUTES)))
        self.wait_quiet()

    def is_programmed(self) -> bool:
        """Whether the Gateway is."""
        return conditions(self.cluster.get(self.path("gateways", "edge"))).get("Programmed") == "True"

    def is_observed(self, name: str) -> bool:
        """Whether a route's status speaks of its last generation."""
        found = self.cluster.get(self.path("httproutes", name))
        parents = (found.get("status") or {}).get("parents") or []
        said = {each["observedGeneration"] for parent in parents for each in parent["conditions"]}
        return said == {found["metadata"]["generation"]}

    def writes(self, mark: int) -> list[AuditEvent]:
        """What the controller wrote since a mark, except to its Lease."""
        return self.controllers.writes(mark)

    def count(self, mark: int) -> Counter[tuple[str, str]]:
        """How often it wrote each object, or its status, since a mark: successfully or not."""
        return Counter((event.resource, event.name) for event in self.writes(mark))

    def wait_quiet(self, seconds: float = 120.0) -> None:
        """Wait until it has written nothing for a while."""
        state = (self.cluster.audit.mark(), time.monotonic())

        def is_quiet() -> bool:
            nonlocal state
            mark, since = state
            if self.writes(mark):
                state = (self.cluster.audit.mark(), time.monotonic())
            return time.monotonic() - since > SETTLED_SECONDS

        self.cluster.wait_for("the controller to be quiet", is_quiet, seconds)

    def retouch(self, name: str, service_name: str = "web") -> None:
        """Change the spec of a route."""
        path = self.path("httproutes", name)
        hostname = f"{secrets.token_hex(3)}.test"
        self.cluster.api.merge(path, {"spec": {"hostnames": [hostname], "rules": rules(service_name)}})

    def versions(self) -> dict[str, str]:
        """The resource version of everything that the controller writes a status of."""
        found: list[Object] = [self.cluster.get(self.class_path)]
        for plural in ("gateways", "httproutes"):
            found += self.cluster.get(self.path(plural))["items"]
        return {each["metadata"]["name"]: each["metadata"]["resourceVersion"] for each in found}


@contextmanager
def town(cluster: Cluster) -> Iterator[Town]:
    """Make it, and take it away."""
    name = f"citizen-{secrets.token_hex(3)}"
    with installed(cluster, name) as controllers, namespace_of(cluster, f"{name}-town") as namespace:
        made = Town(cluster, namespace, controllers)
        made.build()
        yield made


@contextmanager
def namespace_of(cluster: Cluster, name: str) -> Iterator[str]:
    """A namespace, and its end with everything in it."""
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    path = f"/api/v1/namespaces/{name}"
    try:
        yield name
    finally:
        cluster.api.delete(path)
        cluster.wait_for("the namespace to go", lambda: _is_gone(cluster, path), 150)


def _is_gone(cluster: Cluster, path: str) -> bool:
    """Whether a namespace is. Nobody waits for what its pods still serve, whichever take the place of others."""
    for pod in cluster.get(f"{path}/pods")["items"]:
        cluster.api.delete(f"{path}/pods/{pod['metadata']['name']}", 0)
    return cluster.find(path) is None
