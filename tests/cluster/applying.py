"""An applier on a real API server, fed by the real translation: what it is told, what it says, what it writes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from testcluster import Cluster
from testcluster.api import Object
from testcluster.audit import AuditEvent
from trilithon.infrastructure.manifest import GENERATED_KINDS
from trilithon.kube.client import Client
from trilithon.kube.config import find_config
from trilithon.kube.transport import Transport
from trilithon.model.infrastructure import Applied, Infrastructure
from trilithon.model.settings import Installation, Settings
from trilithon.model.tables import INFRASTRUCTURE
from trilithon.pipeline import translate
from trilithon.resources.decode import decode
from trilithon.resources.meta import Key
from trilithon.sinks.identity.authority import Authority, utc_now
from trilithon.sinks.identity.identities import Identities
from trilithon.sinks.identity.trust import new_trust
from trilithon.sinks.objects.application import Territory
from trilithon.sinks.objects.applier import Applier

GATEWAYS = "/apis/gateway.networking.k8s.io/v1/namespaces/{}/gateways"
ALL = tuple(kind.kind for kind in GENERATED_KINDS if kind.kind != "HorizontalPodAutoscaler")


def gateway_class(namespace: str, controller: str = "") -> Object:
    """A class of the namespace's own controller, or of another."""
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "GatewayClass",
        "metadata": {"name": namespace.replace("-", "")},
        "spec": {"controllerName": controller or f"test/{namespace}"},
    }


def gateway(namespace: str, *ports: int, name: str = "edge", **spec: Any) -> Object:
    """A Gateway of that class with HTTP listeners."""
    listeners = [{"name": f"at-{port}", "port": port, "protocol": "HTTP"} for port in ports or (80,)]
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"gatewayClassName": namespace.replace("-", ""), "listeners": listeners, **spec},
    }


def parameters(namespace: str, **spec: Any) -> Object:
    """Parameters, which are not stored: translation alone reads them."""
    metadata = {"name": "tuning", "namespace": namespace}
    return {"apiVersion": "trilithon.dev/v1alpha1", "kind": "GatewayParameters", "metadata": metadata, "spec": spec}


NAMED = {"parametersRef": {"group": "trilithon.dev", "kind": "GatewayParameters", "name": "tuning"}}


class Applying:
    """One applier of one namespace; the translation knows what was ``shown``, whatever is stored."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self.namespace = namespace
        self.agent = f"applier-{namespace}"
        # Pods are not started: nothing here is about them.
        self.installation = Installation(namespace=namespace, image="not-there")
        self.controller = f"test/{namespace}"
        self.applied: dict[Key, Applied | None] = {}
        self.troubles: list[str] = []
        self.leads = True
        self.applier: Applier

    @property
    def key(self) -> Key:
        """The Gateway of these tests."""
        return Key("Gateway", self.namespace, "edge")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Applying]:
        """While it works."""
        async with Transport(find_config(self._cluster.kubeconfig), self.agent) as transport:
            self.applier = Applier(
                Client(transport),
                Identities(Authority(new_trust(utc_now()))),
                lambda: self.leads,
                self.applied.__setitem__,
                Territory(self.installation, self.controller, (self.namespace,)),
                self.troubles.append,
            )
            task = asyncio.create_task(self.applier.run())
            self.applier.lead()
            try:
                yield self
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        # TLS connections part a moment after they are closed, for which nothing can be awaited (says aiohttp).
        await asyncio.sleep(0.25)

    def show(self, *documents: Object) -> Infrastructure | None:
        """Have these translated, and want what comes of the Gateway."""
        resources = [decode(document).resource for document in documents]
        settings = Settings(
            controller_name=self.controller, shared_address=False, installation=self.installation, address="0.0.0.0"
        )
        wanted = translate(resources, settings).engine.row(INFRASTRUCTURE, self.key)
        self.applier.want(self.key, wanted)
        return wanted

    def objects(self, kind: str) -> list[Object]:
        """The stored objects of a generated kind, except the namespace's own."""
        api = next(each for each in GENERATED_KINDS if each.kind == kind)
        items: list[Object] = self._cluster.get(api.path(self.namespace))["items"]
        return [each for each in items if each["metadata"]["name"] != "default"]

    def kinds(self) -> set[str]:
        """The kinds of which there is anything."""
        return {kind.kind for kind in GENERATED_KINDS if self.objects(kind.kind)}

    def writes(self, mark: int) -> list[AuditEvent]:
        """What it wrote since then."""
        return [event for event in self._cluster.audit.writes(mark) if event.user_agent == self.agent]

    def said(self, mark: int) -> list[tuple[str, str, int]]:
        """The same as verb, resource and answer."""
        return [(event.verb, event.resource, event.code) for event in self.writes(mark)]

    @property
    def unapplied(self) -> list[tuple[str, str]]:
        """What could not be applied, and why."""
        applied = self.applied.get(self.key)
        return [(each.object, each.cause) for each in applied.unapplied] if applied is not None else []


def uids(objects: list[Object]) -> list[str]:
    """The uids of objects."""
    return [each["metadata"]["uid"] for each in objects]
