"""The world that faults befall: an installation, two Gateways, 500 routes, and backends on the node."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

from testcluster import Cluster
from testcluster.api import Object, conditions
from testcluster.layout import NODE_ADDRESS
from tests.cluster.faults.asking import ask
from tests.cluster.faults.envoys import Envoy
from tests.cluster.faults.installed import Installed, installed
from tests.cluster.faults.objects import endpoints, gateway, host, route, rules, service
from tests.cluster.faults.processes import processes
from tests.cluster.traffic import Running, Steady, Target
from tests.system.client import Answer

ROUTES = 500
SPARE_ROUTES = 20
"""So many of them are served by the second Gateway, too. Tests leave these as they are: each leads to ``one``."""
BACKENDS = ("one", "two", "three")
SERVICES = {**{f"one-{number:02}": "one" for number in range(25)}, "two": "two"}
"""Every Service, and the backend that it is at first; routes lead to each of the first in turn."""
ENVOY = "envoy --config-path"
GATEWAYS = ("edge", "spare")
PATHS = {
    "routes": "/apis/gateway.networking.k8s.io/v1/namespaces/{}/httproutes",
    "gateways": "/apis/gateway.networking.k8s.io/v1/namespaces/{}/gateways",
}


class World:
    """Everything, with the means to change it and to see what became of that."""

    def __init__(self, cluster: Cluster, namespace: str, controllers: Installed, running: Running) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.controllers = controllers
        self._running = running
        self.names = [f"r-{number:03}" for number in range(ROUTES)]
        self.address = ""

    def traffic(self, rate: float = 120.0) -> Steady:
        """Steady traffic to every route of the first Gateway."""
        return self._running.traffic([Target(self.address, host(name)) for name in self.names], rate)

    # Making it.

    def build(self) -> None:
        """Make all of it and wait until it is served."""
        ports = self._running.backends.ports
        services = (each for name, backend in SERVICES.items() for each in service(name, ports[backend]))
        gateways = (gateway(name, self.controllers.class_name) for name in GATEWAYS)
        self.cluster.apply(*services, *gateways, namespace=self.namespace)
        self.create(
            route(name, f"one-{number % 25:02}", "edge", *(("spare",) if number < SPARE_ROUTES else ()))
            for number, name in enumerate(self.names)
        )
        self.cluster.wait_for("Gateways to be programmed", lambda: all(map(self._is_programmed, GATEWAYS)), 60)
        self.address = self._gateway("edge")["status"]["addresses"][0]["value"]
        self.cluster.wait_for("every route to be served", self._are_served, 60)

    def create(self, routes: Iterable[Object]) -> None:
        """Make routes, several at a time."""
        path = PATHS["routes"].format(self.namespace)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda each: self.cluster.api.call("POST", path, each), routes))

    # Changing it.

    def turn(self, name: str, service_name: str) -> None:
        """Send a route's requests to another Service."""
        path = f"{PATHS['routes'].format(self.namespace)}/{name}"
        self.cluster.api.merge(path, {"spec": {"rules": rules(service_name)}})

    def move(self, service_name: str, backend: str) -> None:
        """Have a Service be another backend."""
        ports = self._running.backends.ports
        self.cluster.apply(endpoints(service_name, ports[backend]), namespace=self.namespace)

    def remove(self, name: str) -> None:
        """Delete a route."""
        self.cluster.api.delete(f"{PATHS['routes'].format(self.namespace)}/{name}")

    def remove_gateways(self) -> None:
        """Delete the Gateways, and end their pods at once: nobody waits for what they still serve."""
        for name in GATEWAYS:
            self.cluster.api.delete(f"{PATHS['gateways'].format(self.namespace)}/{name}")
        deployments = f"/apis/apps/v1/namespaces/{self.namespace}/deployments"
        self.cluster.wait_for("their Deployments to go", lambda: not self.cluster.get(deployments)["items"])
        for pod in (pod for name in GATEWAYS for pod in self.pods(name)):
            self.cluster.api.delete(f"/api/v1/namespaces/{self.namespace}/pods/{pod['metadata']['name']}", 0)

    # Looking at it.

    def pods(self, gateway_name: str) -> list[Object]:
        """The pods of a Gateway."""
        label = f"gateway.networking.k8s.io%2Fgateway-name%3D{gateway_name}"
        found: list[Object] = self.cluster.get(f"/api/v1/namespaces/{self.namespace}/pods?labelSelector={label}")[
            "items"
        ]
        return found

    def envoy_pids(self, pod: Object) -> list[int]:
        """The process of a pod's Envoy."""
        return processes(self.cluster, pod, ENVOY)

    def envoy(self, gateway_name: str) -> Envoy:
        """The Envoy of a Gateway that has one."""
        (pod,) = self.pods(gateway_name)
        return Envoy(self.envoy_pids(pod)[0])

    def asked(self, name: str, address: str = "") -> Answer | None:
        """What a route of the first Gateway answers, or one at that address; None for no answer."""
        return ask(Target(address or self.address, host(name)))

    def backend_of(self, name: str, address: str = "") -> str:
        """Which backend a route leads to; the status where that is none."""
        answer = self.asked(name, address)
        return "" if answer is None else answer.backend or str(answer.status)

    def wait_backend(self, name: str, backend: str, seconds: float = 60.0) -> None:
        """Wait until a route leads there."""
        self.cluster.wait_for(f"{name} to lead to {backend}", lambda: self.backend_of(name) == backend, seconds)

    def observed(self, name: str) -> bool:
        """Whether every parent of a route says what it thinks of the route's last generation."""
        return _is_observed(self.cluster.get(f"{PATHS['routes'].format(self.namespace)}/{name}"))

    def wait_recovered(self) -> None:
        """Wait until all parts of the cluster act again, Envoys are connected, and statuses tell of all there is.

        Statuses alone do not say so: that an Envoy is not connected is told when it lasts.
        """
        self.cluster.settle()
        self.controllers.wait_ready()
        for name in GATEWAYS:
            self.cluster.wait_for(f"the Envoy of {name} to be connected", partial(self._is_connected, name), 90)
        self.cluster.wait_for("statuses to tell of everything", self._is_told, 90)

    def _is_connected(self, name: str) -> bool:
        pods = self.pods(name)
        pids = self.envoy_pids(pods[0]) if len(pods) == 1 else []
        return bool(pids) and Envoy(pids[0]).has_lasting_stream()

    def _is_told(self) -> bool:
        routes = self.cluster.get(PATHS["routes"].format(self.namespace))["items"]
        return all(map(_is_observed, routes)) and all(self._tells_of(name, routes) for name in GATEWAYS)

    def _tells_of(self, name: str, routes: Iterable[Object]) -> bool:
        """Whether a Gateway is programmed and has counted its routes."""
        count = sum({"name": name}.items() <= ref.items() for each in routes for ref in each["spec"]["parentRefs"])
        (listener,) = self._gateway(name)["status"]["listeners"]
        return self._is_programmed(name) and listener["attachedRoutes"] == count

    def _gateway(self, name: str) -> Object:
        found: Object = self.cluster.get(
            f"/apis/gateway.networking.k8s.io/v1/namespaces/{self.namespace}/gateways/{name}"
        )
        return found

    def _is_programmed(self, name: str) -> bool:
        return conditions(self._gateway(name)).get("Programmed") == "True"

    def _are_served(self) -> bool:
        return all(self.backend_of(name) == "one" for name in self.names)


def _is_observed(stored: Object) -> bool:
    parents = (stored.get("status") or {}).get("parents") or []
    said = [each["observedGeneration"] for parent in parents for each in parent["conditions"]]
    return bool(said) and set(said) == {stored["metadata"]["generation"]}


@contextmanager
def world(cluster: Cluster) -> Iterator[World]:
    """Make it, and take it away."""
    name = f"faults-{secrets.token_hex(3)}"
    namespace = f"{name}-apps"
    with (
        Running(str(NODE_ADDRESS), BACKENDS) as running,
        installed(cluster, name) as controllers,
        fresh_namespace(cluster, namespace),
    ):
        made = World(cluster, namespace, controllers, running)
        made.build()
        try:
            yield made
        finally:
            made.remove_gateways()


@contextmanager
def fresh_namespace(cluster: Cluster, name: str) -> Iterator[None]:
    """Make a namespace, and wait at the end until it is gone."""
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    path = f"/api/v1/namespaces/{name}"
    try:
        yield
    finally:
        cluster.api.delete(path)
        cluster.wait_for("the namespace to go", lambda: cluster.find(path) is None, 150)
