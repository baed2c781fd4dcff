"""A controller that is a process of the node, its Envoys with it, and reaches the API server through a proxy."""

from __future__ import annotations

import http.client
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from testcluster import Cluster
from testcluster.api import Object, conditions
from testcluster.layout import NODE_ADDRESS
from tests.cluster.fault_proxy import FaultProxy
from tests.cluster.faults.asking import ask
from tests.cluster.faults.objects import GATEWAY_API, endpoints, gateway, host, route, rules, service
from tests.cluster.traffic import Running, Steady, Target
from tests.system.harness import free_port

# Its address is its own.
PORT = 80
ROUTES = 30
BACKENDS = ("one", "two", "three")
END_SECONDS = 40.0


class Local:
    """Gateway, routes and Services of a namespace, and the controller of their class; a context manager."""

    def __init__(self, cluster: Cluster, namespace: str, proxy: FaultProxy, folder: Path) -> None:
        self.cluster = cluster
        self.proxy = proxy
        self._namespace = namespace
        self._folder = folder
        self._log = folder / "log"
        self._health = free_port()
        self._running = Running(str(NODE_ADDRESS), BACKENDS)
        self.names = [f"r-{number:02}" for number in range(ROUTES)]

    def __enter__(self) -> Self:
        self._running.__enter__()
        ports = self._running.backends.ports
        services = (each for name in ("one", "two") for each in service(name, ports[name]))
        routes = (route(name, "one", "edge") for name in self.names)
        self.cluster.apply(
            _class(self._namespace),
            gateway("edge", self._namespace, PORT),
            *services,
            *routes,
            namespace=self._namespace,
        )
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            error.add_note(self._log.read_text()[-4000:])
            # An Envoy that cannot bind does not say who can.
            command = ["ss", "-tanpH", f"sport = :{PORT}"]
            error.add_note(subprocess.run(command, capture_output=True, text=True, check=False).stdout)
        self.proxy.heal()
        self.cluster.api.delete(f"/apis/{GATEWAY_API}/namespaces/{self._namespace}/gateways/edge")
        # Its finalizer goes with the last Gateway.
        path = f"/apis/{GATEWAY_API}/gatewayclasses/{self._namespace}"
        self.cluster.api.delete(path)
        try:
            self.cluster.wait_for("the class to go", lambda: self.cluster.find(path) is None)
        finally:
            self._process.terminate()
            try:
                self._process.wait(END_SECONDS)
            finally:
                self._process.kill()
                self._running.__exit__(None, None, None)

    # Looking at it.

    def wait_served(self) -> None:
        """Wait until every route is served."""
        self.cluster.wait_for("the Gateway to be programmed", self.is_programmed, 60)
        self.cluster.wait_for("every route", lambda: all(self.backend_of(name) == "one" for name in self.names))

    def is_programmed(self) -> bool:
        """Whether the Gateway's status says so."""
        return conditions(self.gateway()).get("Programmed") == "True"

    def is_ready(self) -> bool:
        """Whether the controller says that it is ready."""
        with closing(http.client.HTTPConnection("127.0.0.1", self._health, timeout=5)) as connection:
            try:
                connection.request("GET", "/readyz")
                return connection.getresponse().status == http.client.OK
            except OSError:
                return False

    def traffic(self, without: Sequence[str] = ()) -> Steady:
        """Steady traffic to every route but those."""
        return self._running.traffic([self._target(name) for name in self.names if name not in without])

    def backend_of(self, name: str) -> str:
        """Which backend a route leads to; the status where that is none."""
        answer = ask(self._target(name))
        return "" if answer is None else answer.backend or str(answer.status)

    def wait_backend(self, name: str, backend: str) -> None:
        """Wait until a route leads there."""
        self.cluster.wait_for(f"{name} to lead to {backend}", lambda: self.backend_of(name) == backend)

    def mark(self) -> int:
        """A place in the log: its end, now."""
        return self._log.stat().st_size

    def logged(self, event: str, text: str, mark: int) -> int:
        """How many lines of that event with that text were logged after a mark."""
        lines = self._log.read_bytes()[mark:].splitlines()
        found = (msgspec.json.decode(line) for line in lines if line.startswith(b"{") and line.endswith(b"}"))
        return sum(line["event"] == event and text in str(line) for line in found)

    def is_well(self, mark: int) -> bool:
        """Whether no kind is held, gone or unwatched of those that were after a mark."""
        codes = ("VanishedHeld", "KindGone", "KindNotWatched")
        return all(self.logged("problem", code, mark) == self.logged("healed", code, mark) for code in codes)

    def gateway(self) -> Object:
        """The Gateway as it is stored."""
        found: Object = self.cluster.get(f"/apis/{GATEWAY_API}/namespaces/{self._namespace}/gateways/edge")
        return found

    def _target(self, name: str) -> Target:
        return Target(self.gateway()["status"]["addresses"][0]["value"], host(name), PORT)

    # Changing it.

    def turn(self, name: str, service_name: str) -> None:
        """Send a route's requests to another Service."""
        self.cluster.api.merge(self._route(name), {"spec": {"rules": rules(service_name)}})

    def remove(self, name: str) -> None:
        """Delete a route."""
        self.cluster.api.delete(self._route(name))

    def move(self, service_name: str, backend: str) -> None:
        """Have a Service be another backend."""
        port = self._running.backends.ports[backend]
        self.cluster.apply(endpoints(service_name, port), namespace=self._namespace)

    def _route(self, name: str) -> str:
        return f"/apis/{GATEWAY_API}/namespaces/{self._namespace}/httproutes/{name}"

    def _command(self) -> list[str]:
        kubeconfig = self.proxy.kubeconfig(self._folder / "kubeconfig")
        options = {
            "--kubeconfig": str(kubeconfig),
            "--infrastructure": "processes",
            "--controller-name": f"faults.test/{self._namespace}",
            "--own-namespace": self._namespace,
            "--health": f"127.0.0.1:{self._health}",
            "--log-format": "json",
        }
        chosen = (word for pair in options.items() for word in pair)
        return [sys.executable, "-m", "trilithon", "controller", *chosen]


def _class(name: str) -> Object:
    return {
        "apiVersion": GATEWAY_API,
        "kind": "GatewayClass",
        "metadata": {"name": name},
        "spec": {"controllerName": f"faults.test/{name}"},
    }
