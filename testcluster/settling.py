"""Waiting until every part of a cluster acts on what the API server holds: on a Service that all must notice."""

from __future__ import annotations

import math
import secrets
import subprocess
import time
from collections.abc import Callable
from typing import Final

from testcluster import namespaces
from testcluster.api import Api, Object
from testcluster.failure import Failure
from testcluster.hub import command_in_hub
from testcluster.layout import API_PORT, NODE_ADDRESS, Layout
from testcluster.manifests import Manifests
from testcluster.processes import Processes

PATIENCE: Final = 5.0
"""Seconds that a part may take before it is started again."""


def settle(layout: Layout, api: Api, processes: Processes, seconds: float, dead: Callable[[], str] = str) -> None:
    """Make a Service and wait until the controllers, DNS, the load balancer and kube-proxy act on it; then remove it.

    After the API server was away each of them tries again in its own time, up to half a minute later; one that takes
    too long is started again. Failure names the first that did not act within so many seconds, or what ``dead`` says.
    """
    name = f"settled-{secrets.token_hex(4)}"
    objects = [_service(name), _endpoints(name)]
    manifests = Manifests(api)
    manifests.apply(objects)
    path = f"/api/v1/namespaces/default/services/{name}"
    slices = (
        f"/apis/discovery.k8s.io/v1/namespaces/default/endpointslices?labelSelector=kubernetes.io/service-name={name}"
    )

    def address() -> str | None:
        ingress = api.get(path)["status"]["loadBalancer"].get("ingress")
        return ingress[0]["ip"] if ingress else None

    checks: dict[str, Callable[[], bool]] = {
        "kube-controller-manager": lambda: len(api.get(slices)["items"]) > 1,
        "coredns": lambda: _resolves(layout, f"{name}.default.svc.cluster.local"),
        "balancer": lambda: address() is not None,
        "kube-proxy": lambda: _accepts(layout, address()),
    }
    deadline = time.monotonic() + seconds
    try:
        for part, noticed in checks.items():
            patience = time.monotonic() + PATIENCE
            while not noticed():
                if why := dead():
                    raise Failure(f"{part} does not notice a new Service: {why}")
                now = time.monotonic()
                if now > deadline:
                    raise Failure(f"{part} did not notice a new Service within {seconds:g} s")
                if now > patience:
                    processes.restart(part)
                    # One that was just started waits for nobody.
                    patience = math.inf
                time.sleep(0.05)
    finally:
        manifests.delete(objects)


def _service(name: str) -> Object:
    # Of the selector no pod is; it makes the controllers write a second, empty list of endpoints.
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"type": "LoadBalancer", "selector": {"settled": name}, "ports": [{"name": "api", "port": 443}]},
    }


def _endpoints(name: str) -> Object:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "ports": [{"name": "api", "port": API_PORT}],
        "endpoints": [{"addresses": [str(NODE_ADDRESS)], "conditions": {"ready": True}}],
    }


def _resolves(layout: Layout, name: str) -> bool:
    command = command_in_hub(layout, ["getent", "ahostsv4", name])
    return subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode == 0


def _accepts(layout: Layout, address: str | None) -> bool:
    try:
        namespaces.connect(layout.hub, (address or "", 443), 1.0).close()
    except OSError:
        return False
    return True
