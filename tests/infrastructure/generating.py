"""Gateways in a cluster, and what is generated for them."""

from __future__ import annotations

from typing import Any

import msgspec

from trilithon.incremental import Edit, Engine
from trilithon.model.infrastructure import Applied, GatewayAddresses, Infrastructure, Unapplied
from trilithon.model.settings import Installation, Settings
from trilithon.model.tables import APPLIED, GATEWAY_ADDRESSES, INFRASTRUCTURE
from trilithon.pipeline import acknowledged, build, edits
from trilithon.resources.decode import decode
from trilithon.resources.meta import Key
from trilithon.resources.problem import Problem
from trilithon.status.conditions import Condition
from trilithon.status.gateway import GATEWAY_STATUS
from trilithon.status.problems import GATEWAY_PROBLEMS

API = "gateway.networking.k8s.io/v1"
SETTINGS = Settings(address="0.0.0.0", shared_address=False, private_backends=False, installation=Installation())
GATEWAY = Key("Gateway", "infra", "gw")
CLASS: dict[str, Any] = {
    "apiVersion": API,
    "kind": "GatewayClass",
    "metadata": {"name": "trilithon"},
    "spec": {"controllerName": SETTINGS.controller_name},
}
OWN = {"parametersRef": {"group": "trilithon.dev", "kind": "GatewayParameters", "name": "own"}}
OF_CLASS = {"group": "trilithon.dev", "kind": "GatewayParameters", "namespace": "system", "name": "all"}


def http(port: int = 80, name: str = "", **listener: Any) -> dict[str, Any]:
    """A listener."""
    return {"name": name or f"at-{port}", "port": port, "protocol": "HTTP", **listener}


def gateway(*listeners: dict[str, Any], name: str = "gw", **spec: Any) -> dict[str, Any]:
    """A Gateway of our class; one HTTP listener unless others are given."""
    written = {"gatewayClassName": "trilithon", "listeners": list(listeners) or [http()], **spec}
    return {"apiVersion": API, "kind": "Gateway", "metadata": {"namespace": "infra", "name": name}, "spec": written}


def gateway_class(**spec: Any) -> dict[str, Any]:
    """Our class, with more in its spec."""
    return {**CLASS, "spec": {**CLASS["spec"], **spec}}


def parameters(path: str, **spec: Any) -> dict[str, Any]:
    """GatewayParameters."""
    namespace, _, name = path.partition("/")
    metadata = {"namespace": namespace, "name": name}
    return {"apiVersion": "trilithon.dev/v1alpha1", "kind": "GatewayParameters", "metadata": metadata, "spec": spec}


def service(name: str = "gw-trilithon", *, ports: tuple[int, ...] = (80,), **changes: Any) -> dict[str, Any]:
    """A generated Service as the API server holds it.

    ``changes``: its ``type``, ``ingress``, ``cluster_ip``, ``manager``, ``installation`` and ``owner``.
    """
    spec: dict[str, Any] = {
        "type": changes.get("type", "LoadBalancer"),
        "ports": [{"name": f"tcp-{port}", "port": port} for port in ports],
    }
    if "cluster_ip" in changes:
        spec["clusterIP"] = changes["cluster_ip"]
    labels = {
        "app.kubernetes.io/managed-by": changes.get("manager", "trilithon"),
        "trilithon.dev/installation": changes.get("installation", "trilithon-system.trilithon"),
    }
    owner = {
        "apiVersion": API,
        "kind": "Gateway",
        "name": changes.get("owner", "gw"),
        "uid": "uid-of-gw",
        "controller": True,
    }
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"namespace": "infra", "name": name, "labels": labels, "ownerReferences": [owner]},
        "spec": spec,
        "status": {"loadBalancer": {"ingress": list(changes.get("ingress", ()))}},
    }


class World:
    """A settled engine in a cluster, and an Envoy that has acknowledged everything."""

    def __init__(self, *documents: dict[str, Any], settings: Settings = SETTINGS) -> None:
        self.engine: Engine = build(settings)
        self.show(*documents)

    def show(self, *documents: dict[str, Any]) -> None:
        """Have these, too."""
        decoded = [decode(document) for document in documents]
        refused = [problem for each in decoded for problem in each.problems if problem.severity == "error"]
        assert not refused, refused
        self.engine.apply(edits([each.resource for each in decoded]))
        self.engine.apply(acknowledged(self.engine))

    def drop(self, key: Key) -> None:
        """Have it no more."""
        self.engine.apply(edits((), [key]))

    def applied(self, *unapplied: Unapplied) -> None:
        """What came of applying."""
        self.engine.apply([Edit(APPLIED, GATEWAY, Applied(GATEWAY, unapplied))])

    @property
    def row(self) -> Infrastructure | None:
        """What runs the Gateway."""
        return self.engine.row(INFRASTRUCTURE, GATEWAY)

    @property
    def has_row(self) -> bool:
        """Whether anything runs the Gateway, or is held."""
        return self.row is not None

    @property
    def reached(self) -> GatewayAddresses:
        """Where it is reached."""
        found = self.engine.row(GATEWAY_ADDRESSES, GATEWAY)
        assert found is not None
        return found

    @property
    def values(self) -> list[str]:
        """Its addresses."""
        return [each.value for each in self.reached.addresses]

    @property
    def codes(self) -> list[str]:
        """What is wrong with its addresses."""
        return [each.code for each in self.reached.problems]

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Everything wrong with the Gateway."""
        found = self.engine.row(GATEWAY_PROBLEMS, GATEWAY)
        return found.items if found is not None else ()

    def condition(self, type_: str) -> Condition:
        """A condition of the Gateway."""
        status = self.engine.row(GATEWAY_STATUS, GATEWAY)
        assert status is not None
        return next(each for each in status.conditions if each.type == type_)

    def manifests(self, kind: str) -> list[dict[str, Any]]:
        """The generated objects of a kind."""
        row = self.row
        assert row is not None
        return [msgspec.json.decode(each.manifest) for each in row.objects if each.path.kind.kind == kind]

    def manifest(self, kind: str) -> dict[str, Any]:
        """The only one of a kind."""
        (found,) = self.manifests(kind)
        return found

    @property
    def pod(self) -> dict[str, Any]:
        """The template of its pods."""
        found: dict[str, Any] = self.manifest("Deployment")["spec"]["template"]
        return found
