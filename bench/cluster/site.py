"""One contender in the cluster with so many routes: everything made, changed and asked while it is measured."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bench.backend import Backends
from bench.client import Client
from bench.cluster import objects
from bench.cluster.contender import Contender
from bench.cluster.objects import NAMESPACE, PORT, ROUTES_PATH, SLICES_PATH, STEADY
from bench.cluster.requests import Connection, create_all
from bench.contender import host
from bench.figures import Fault
from bench.programs import say
from testcluster import Cluster

READY_SECONDS = 120.0
GONE_SECONDS = 300.0
# Between two looks whether something is served.
POLL_SECONDS = 0.001


class Site:
    """A contender's Gateway, with Services, a steady route, and the routes made so far."""

    def __init__(self, cluster: Cluster, contender: Contender, backends: Backends, size: int) -> None:
        self.cluster = cluster
        self.contender = contender
        self.size = size
        self.routes: dict[int, int] = {}
        """The Service of each route that there is."""
        self.address = ""
        self._backends = backends
        self._services = objects.services_for(size)
        # Which of the two backends a Service leads to.
        self._leads_to = {service: service % 2 for service in range(self._services)}

    # Making it

    def build(self) -> None:
        """Make everything but the routes, and wait until the steady route is served."""
        self.cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        self.cluster.apply(objects.gateway(self.contender.implementation.gateway_class))
        names = [objects.service_name(service) for service in range(self._services)]
        services = f"/api/v1/namespaces/{NAMESPACE}/services"
        create_all(self.cluster, ((services, objects.service(name)) for name in (*names, STEADY)))
        slices = [(name, self._port(service)) for service, name in enumerate(names)]
        slices.append((STEADY, self._backends.ports[0]))
        create_all(
            self.cluster,
            ((SLICES_PATH, objects.endpoints(name, self._backends.address, port)) for name, port in slices),
        )
        create_all(self.cluster, [(ROUTES_PATH, objects.named_route(STEADY, objects.STEADY_HOST, STEADY))])
        self.address = self.cluster.wait_for("an address of the Gateway", self._found_address, READY_SECONDS)
        client = self.client()
        self.cluster.wait_for(
            f"{self.contender.name} to serve", lambda: client.get(objects.STEADY_HOST).status == 200, READY_SECONDS
        )
        client.close()

    def client(self) -> Client:
        """A client of the Gateway."""
        return Client(PORT, self.address)

    def create_routes(self) -> tuple[float, float]:
        """Create all the routes; the moment (time.perf_counter) of the last answer, and the seconds they took."""
        self.routes = {route: route % self._services for route in range(self.size)}
        return create_all(self.cluster, ((ROUTES_PATH, objects.route(*each)) for each in self.routes.items()))

    # Changing it: each returns the moment of the request and the route to look at; the answer is to be taken then.

    def begin_edit(self, connection: Connection, route: int) -> float:
        """Send a route to another Service, which answers otherwise."""
        service = self.routes[route]
        wanted = 1 - self._leads_to[service]
        other = next(
            each
            for step in range(1, self._services)
            for each in [(service + step) % self._services]
            if self._leads_to[each] == wanted
        )
        self.routes[route] = other
        patch = {"spec": {"rules": objects.rules(objects.service_name(other))}}
        return connection.begin_patch(f"{ROUTES_PATH}/{objects.route_name(route)}", patch)

    def begin_add(self, connection: Connection) -> tuple[int, float]:
        """A new route: its number, and the moment."""
        route = max(self.routes) + 1
        self.routes[route] = route % self._services
        return route, connection.begin("POST", ROUTES_PATH, objects.route(route, self.routes[route]))

    def begin_move(self, connection: Connection, route: int) -> float:
        """Move the Service of a route, with all its other routes, to the other backend."""
        service = self.routes[route]
        self._leads_to[service] ^= 1
        patch = {"ports": [{"name": "http", "port": self._port(service)}]}
        return connection.begin_patch(f"{SLICES_PATH}/{objects.service_name(service)}", patch)

    # Asking it

    def body(self, route: int) -> bytes:
        """What the route's host is to answer now."""
        return self._backends.BODIES[self._leads_to[self.routes[route]]]

    def serves(self, client: Client, route: int) -> bool:
        """Whether it does."""
        return client.get(host(route)).body == self.body(route)

    def wait_served(self, client: Client, route: int, seconds: float) -> float:
        """The moment (time.perf_counter) at which the route is served as it is; Fault after so many seconds."""
        deadline = time.perf_counter() + seconds
        while not self.serves(client, route):
            if time.perf_counter() > deadline:
                raise Fault(f"{self.contender.name}: {host(route)} is not served as it should be after {seconds:g} s")
            time.sleep(POLL_SECONDS)
        return time.perf_counter()

    def unanswered(self) -> int:
        """How many routes have no status of this contender that says they are accepted."""
        stored = self.cluster.api.call("GET", ROUTES_PATH, timeout=60)["items"]
        return sum(1 for route in stored if not self._is_accepted(route))

    def _is_accepted(self, route: dict[str, Any]) -> bool:
        return any(
            (condition["type"], condition["status"]) == ("Accepted", "True")
            for parent in (route.get("status") or {}).get("parents") or ()
            if parent["controllerName"] == self.contender.controller_name
            for condition in parent["conditions"]
        )

    def _port(self, service: int) -> int:
        return self._backends.ports[self._leads_to[service]]

    def _found_address(self) -> str | None:
        path = f"/apis/{objects.GROUP}/namespaces/{NAMESPACE}/gateways/{objects.GATEWAY}"
        addresses = (self.cluster.get(path).get("status") or {}).get("addresses") or ()
        return addresses[0]["value"] if addresses else None


@contextmanager
def site(cluster: Cluster, contender: Contender, backends: Backends, size: int) -> Iterator[Site]:
    """Install a contender and make everything but the routes; all of it goes afterwards."""
    say(f"{size:,} routes: {contender.name}: installing")
    try:
        contender.install(cluster, say)
        made = Site(cluster, contender, backends, size)
        made.build()
        yield made
    finally:
        clear(cluster, contender)


def clear(cluster: Cluster, contender: Contender) -> None:
    """Take away what is there of a contender and of a measurement."""
    cluster.api.delete(f"/apis/{objects.GROUP}/namespaces/{NAMESPACE}/gateways/{objects.GATEWAY}")
    path = f"/api/v1/namespaces/{NAMESPACE}"
    cluster.api.delete(path)
    # Nobody waits for what proxies still serve.
    cluster.api.call("DELETE", f"{path}/pods?gracePeriodSeconds=0", timeout=60)
    contender.remove(cluster)
    cluster.wait_for(f"the end of the namespace {NAMESPACE}", lambda: cluster.find(path) is None, GONE_SECONDS)
