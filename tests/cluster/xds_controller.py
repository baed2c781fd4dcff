"""A controller of which only the xDS port is there, on the node, and pods of a Gateway's Envoy that find it by name."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from testcluster import Cluster
from testcluster.api import Object, conditions
from testcluster.layout import NODE_ADDRESS
from tests.system.harness import free_port
from trilithon.infrastructure.manifest import Plan
from trilithon.infrastructure.pods import workload
from trilithon.infrastructure.service import services
from trilithon.kube.client import Client
from trilithon.kube.config import find_config
from trilithon.kube.transport import Transport
from trilithon.model.settings import Installation
from trilithon.resources.gateways import Gateway, GatewaySpec
from trilithon.resources.meta import Key
from trilithon.resources.parameters import GatewayParametersSpec
from trilithon.sinks.delivery.grpc_server import XdsServer
from trilithon.sinks.identity.authority import Authority
from trilithon.sinks.identity.identities import Identities
from trilithon.sinks.identity.xds_security import Security, names_of
from trilithon.xds.resource import XdsResource


@asynccontextmanager
async def connected(cluster: Cluster) -> AsyncIterator[Client]:
    """The administrator."""
    async with Transport(find_config(cluster.kubeconfig)) as transport:
        yield Client(transport)


class Edge:
    """One Gateway of a namespace: its generated objects, its identity, its pods."""

    def __init__(self, cluster: Cluster, namespace: str, xds_port: int) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.key = Key("Gateway", namespace, "edge")
        self.installation = Installation(namespace, "controller", "trilithon", f"controller.{namespace}.svc", xds_port)
        spec = GatewaySpec(gateway_class_name="trilithon", listeners=())
        self._plan = Plan(Gateway(self.key, 1, "", spec), self.installation, GatewayParametersSpec(), ((80, "TCP"),))
        self.name = self._plan.name

    async def deploy(self, identity: Mapping[str, bytes]) -> None:
        """Apply what makes its pods, and a Service by which they find the node."""
        objects: list[Object] = [*_controller_service(self.installation)]
        for made in (*services(self._plan), *workload(self._plan)):
            manifest: Object = msgspec.json.decode(made.manifest)
            objects.append({**manifest, **_data(identity)} if made.is_identity else manifest)
        await asyncio.to_thread(self.cluster.apply, *objects, namespace=self.namespace)

    async def address(self) -> str:
        """The address of its Service for the world."""
        path = f"/api/v1/namespaces/{self.namespace}/services/{self.name}"

        def given() -> str | None:
            ingress = self.cluster.get(path)["status"].get("loadBalancer", {}).get("ingress")
            return str(ingress[0]["ip"]) if ingress else None

        return await asyncio.to_thread(self.cluster.wait_for, "the Service's address", given)

    async def replace_pods(self) -> None:
        """Have other pods take over, and wait until that is done."""
        apps = ("--namespace", self.namespace, f"deployment/{self.name}")
        await asyncio.to_thread(self.cluster.kubectl, "rollout", "restart", *apps)
        await asyncio.to_thread(self.cluster.kubectl, "rollout", "status", "--timeout=110s", *apps, timeout=120)

    async def remove(self) -> None:
        """End its pods at once: a namespace with pods that may take their time goes only after that time."""
        apps = f"/apis/apps/v1/namespaces/{self.namespace}/deployments/{self.name}"
        await asyncio.to_thread(self.cluster.api.delete, apps)
        for pod in await asyncio.to_thread(self.pods):
            path = f"/api/v1/namespaces/{self.namespace}/pods/{pod['metadata']['name']}"
            await asyncio.to_thread(self.cluster.api.delete, path, 0)

    async def renew(self, identity: Mapping[str, bytes] | None) -> None:
        """Give its pods another identity."""
        assert identity is not None
        path = f"/api/v1/namespaces/{self.namespace}/secrets/{self.name}"
        await asyncio.to_thread(
            self.cluster.api.call, "PATCH", path, _data(identity), content_type="application/merge-patch+json"
        )

    async def ready(self) -> Object:
        """Its only pod, when it is ready."""
        return await asyncio.to_thread(self.cluster.wait_for, "the pod to be ready", self.ready_pod, 60)

    def ready_pod(self) -> Object | None:
        """The only pod that is ready, if one is."""
        ready = [pod for pod in self.pods() if conditions(pod).get("Ready") == "True"]
        return ready[0] if len(ready) == 1 else None

    def pods(self) -> list[Object]:
        """Its pods."""
        label = "gateway.networking.k8s.io%2Fgateway-name%3Dedge"
        found: list[Object] = self.cluster.get(f"/api/v1/namespaces/{self.namespace}/pods?labelSelector={label}")[
            "items"
        ]
        return found


@asynccontextmanager
async def made(cluster: Cluster, namespace: str) -> AsyncIterator[Edge]:
    """A Gateway without pods; what ``deploy`` makes goes in the end."""
    edge = Edge(cluster, namespace, free_port())
    try:
        yield edge
    finally:
        await edge.remove()


class Replica:
    """A controller's xDS port on the node."""

    def __init__(self, edge: Edge, authority: Authority, resources: Iterable[XdsResource]) -> None:
        self.applied = 0
        self.server = XdsServer(
            f"{NODE_ADDRESS}:{edge.installation.xds_port}",
            on_proxy=lambda _: None,
            on_applied=self._on_applied,
            security=Security(authority, names_of(edge.installation)),
        )
        self.server.publish(edge.key.path, resources, (), 1)

    def _on_applied(self, _gateway: str, revision: int, _seconds: float) -> None:
        self.applied = revision

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Replica]:
        """The port while it is open."""
        await self.server.start()
        try:
            yield self
        finally:
            await self.server.stop()


async def issued(authority: Authority, edge: Edge) -> Mapping[str, bytes]:
    """The identity of the Gateway."""
    identity = await Identities(authority).issue(edge.key, None)
    assert identity is not None
    return identity


def _data(identity: Mapping[str, bytes]) -> dict[str, Any]:
    return {"data": {name: base64.b64encode(value).decode() for name, value in identity.items()}}


def _controller_service(installation: Installation) -> Iterable[Object]:
    """A Service without pods: its only endpoint is the node, where the test runs."""
    port = {"name": "xds", "port": installation.xds_port, "protocol": "TCP"}
    metadata = {"name": installation.name}
    yield {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": [port]}}
    labels = {"kubernetes.io/service-name": installation.name, "endpointslice.kubernetes.io/managed-by": "test"}
    yield {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {**metadata, "labels": labels},
        "addressType": "IPv4",
        "ports": [port],
        "endpoints": [{"addresses": [str(NODE_ADDRESS)], "conditions": {"ready": True}}],
    }
