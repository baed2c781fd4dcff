"""The controllers that are compared: how each is installed, which processes it has, and as whom it writes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

from bench import traefik
from bench.cluster.objects import GATEWAY, NAMESPACE
from testcluster import Cluster, namespaces
from testcluster.conformance.implementation import Implementation, Say, wait_claims
from testcluster.conformance.traefik import CONTROLLER as TRAEFIK_CONTROLLER
from testcluster.conformance.traefik import Traefik, manifests, program
from testcluster.conformance.trilithon import Trilithon
from trilithon.model.settings import CONTROLLER_NAME


class Contender(ABC):
    """A controller with its proxies, in a cluster."""

    name: str
    controller_name: str
    """Whose entries in the statuses of routes are its own."""
    implementation: Implementation

    @property
    def account(self) -> str:
        """The user that it is to the API server."""
        return f"system:serviceaccount:{self.implementation.namespace}:{self.implementation.namespace.split('-')[0]}"

    @abstractmethod
    def install(self, cluster: Cluster, say: Say) -> None:
        """Install it; returns when it has accepted its GatewayClass."""

    def remove(self, cluster: Cluster) -> None:
        """Take it away."""
        self.implementation.remove(cluster)

    def control_pids(self, cluster: Cluster) -> list[int]:
        """The processes that watch and decide, of all replicas; the whole where that is one with the proxy."""
        return _pids(cluster, f"/api/v1/namespaces/{self.implementation.namespace}/pods")

    def proxy_pids(self, cluster: Cluster) -> list[int]:
        """The processes of the pods that only pass requests on."""
        label = f"gateway.networking.k8s.io%2Fgateway-name%3D{GATEWAY}"
        return _pids(cluster, f"/api/v1/namespaces/{NAMESPACE}/pods?labelSelector={label}")


class OurTrilithon(Contender):
    """What ``trilithon install`` prints: two replicas, and an Envoy for the Gateway."""

    name = "Trilithon"
    controller_name = CONTROLLER_NAME

    def __init__(self) -> None:
        self.implementation = Trilithon()

    def install(self, cluster: Cluster, say: Say) -> None:
        self.implementation.install(cluster, say)
        wait_claims(cluster, self.implementation)


class ItsTraefik(Contender):
    """Traefik as one Deployment of one replica; ``throttle`` is a duration in its words, "" leaves its default."""

    controller_name = TRAEFIK_CONTROLLER

    def __init__(self, throttle: str = "") -> None:
        self.name = f"Traefik, throttle {throttle}" if throttle else "Traefik"
        self._throttle = throttle
        self.implementation = Traefik(traefik.VERSION)

    def install(self, cluster: Cluster, say: Say) -> None:
        name = self.implementation.namespace
        documents = manifests(program(traefik.VERSION, say), name, traefik.VERSION)
        cluster.apply(*(throttled(documents, self._throttle) if self._throttle else documents))
        wait_claims(cluster, self.implementation)


def throttled(documents: Iterable[Mapping[str, Any]], throttle: str) -> list[dict[str, Any]]:
    """The same objects, with the interval between two configurations in the arguments of every Deployment."""
    changed = []
    for document in documents:
        if document["kind"] != "Deployment":
            changed.append(dict(document))
            continue
        template = document["spec"]["template"]
        containers = [
            {**each, "args": [*each["args"], f"--providers.providersthrottleduration={throttle}"]}
            for each in template["spec"]["containers"]
        ]
        pod = {**template, "spec": {**template["spec"], "containers": containers}}
        changed.append({**document, "spec": {**document["spec"], "template": pod}})
    return changed


def _pids(cluster: Cluster, path: str) -> list[int]:
    pids: list[int] = []
    for pod in cluster.get(path)["items"]:
        digits = pod["metadata"]["uid"].replace("-", "")
        namespace = f"{cluster.layout.pod_prefix}{digits[:8]}{digits[-4:]}"
        if namespaces.exists(namespace):
            pids += namespaces.processes(namespace)
    return pids
