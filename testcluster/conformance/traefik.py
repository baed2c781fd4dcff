"""Traefik, another implementation, whose published results show whether the cluster is right."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from testcluster.cache import cache_folder
from testcluster.cluster import Cluster
from testcluster.conformance.implementation import Implementation, Published, Say, remove_class, remove_namespace
from testcluster.failure import Failure
from tools.traefik import NotInstalled, installed

CONTROLLER: Final = "traefik.io/gateway-controller"
PING_PORT: Final = 9000
PORTS: Final = (
    *(80, 443, 8080, 8090, 5300),
    *(6443, 7443, 8443, 8883),
    *(9300, 9301, 9302, 9310, 9311, 9312, 9313, 9320, 9321),
)
"""Every port that a listener of the suite has for a protocol over TCP: Traefik opens them when it starts or never."""
ROUTES: Final = ("httproutes", "grpcroutes", "tcproutes", "tlsroutes")
PUBLISHED: Final = {
    "3.7.10": {
        "GATEWAY-HTTP": Published(core=36, core_skipped=1, extended=26),
        "GATEWAY-GRPC": Published(core=15, core_skipped=0, extended=0),
        "GATEWAY-TLS": Published(core=20, core_skipped=0, extended=4),
    }
}
"""By version: its report for Gateway API v1.6, the experimental channel."""


class Traefik(Implementation):
    """Traefik as a Deployment with rights of its own, behind a Service of type LoadBalancer."""

    name = "Traefik"
    namespace = "traefik"
    gateway_class = "traefik"
    # All its Gateways share one address and one table of routes, so what another Gateway has answers here too.
    left_out = ("HTTPRouteMultipleGateways",)
    organization = "traefik"
    url = "https://traefik.io"
    contact = "https://github.com/traefik/traefik/issues"

    def __init__(self, version: str) -> None:
        self.version = version
        self.published = PUBLISHED.get(version, {})

    @property
    def label(self) -> str:
        return f"traefik-{self.version}"

    def install(self, cluster: Cluster, say: Say) -> None:
        cluster.apply(*manifests(program(self.version, say), self.namespace, self.version))

    def remove(self, cluster: Cluster) -> None:
        remove_namespace(cluster, self.namespace)
        for kind in ("clusterroles", "clusterrolebindings"):
            cluster.api.delete(f"/apis/rbac.authorization.k8s.io/v1/{kind}/{self.namespace}")
        remove_class(cluster, self.gateway_class)


def program(version: str, say: Say) -> Path:
    """Traefik's program, installed into the cache if it is not there; Failure when it cannot be had."""
    try:
        return installed(version, cache_folder(), say)
    except NotInstalled as error:
        raise Failure(str(error)) from None


def manifests(binary: Path, name: str, version: str) -> list[dict[str, Any]]:
    """All that runs Traefik in a namespace of this name."""
    metadata = {"name": name, "namespace": name}
    account = {"kind": "ServiceAccount", "name": name, "namespace": name}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
    ports = [{"name": f"p{port}", "port": port, "targetPort": port} for port in PORTS]
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        _rbac("ClusterRole", name, rules=_rules()),
        _rbac("ClusterRoleBinding", name, roleRef=role, subjects=[account]),
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "GatewayClass",
            "metadata": {"name": name},
            "spec": {"controllerName": CONTROLLER},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"type": "LoadBalancer", "selector": {"app": name}, "ports": ports},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": metadata,
            "spec": {
                "selector": {"matchLabels": {"app": name}},
                "template": {"metadata": {"labels": {"app": name}}, "spec": _pod(binary, name, version)},
            },
        },
    ]


def _pod(binary: Path, name: str, version: str) -> dict[str, Any]:
    arguments = [
        "--global.checknewversion=false",
        "--global.sendanonymoususage=false",
        "--ping=true",
        "--providers.kubernetesgateway.experimentalchannel=true",
        f"--providers.kubernetesgateway.statusaddress.service.name={name}",
        f"--providers.kubernetesgateway.statusaddress.service.namespace={name}",
        f"--entrypoints.traefik.address=:{PING_PORT}",
        *(f"--entrypoints.p{port}.address=:{port}" for port in PORTS),
    ]
    container = {
        "name": name,
        "image": f"traefik/traefik:v{version}",
        "command": [str(binary)],
        "args": arguments,
        "readinessProbe": {"httpGet": {"path": "/ping", "port": PING_PORT}},
    }
    return {"serviceAccountName": name, "terminationGracePeriodSeconds": 1, "containers": [container]}


def _rules() -> list[dict[str, list[str]]]:
    group = "gateway.networking.k8s.io"
    read, others = ["get", "list", "watch"], ["gatewayclasses", "gateways", "referencegrants", "backendtlspolicies"]
    with_status = [*ROUTES, "gatewayclasses", "gateways", "backendtlspolicies"]
    core = ["namespaces", "services", "secrets", "configmaps", "nodes", "pods"]
    return [
        {"apiGroups": [""], "resources": core, "verbs": read},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
        {"apiGroups": [group], "resources": [*ROUTES, *others], "verbs": read},
        {"apiGroups": [group], "resources": [f"{kind}/status" for kind in with_status], "verbs": ["update"]},
    ]


def _rbac(kind: str, name: str, **content: object) -> dict[str, Any]:
    return {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": name}, **content}
