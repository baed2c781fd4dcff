"""The processes of a cluster: the command of each, and the files that it reads."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from testcluster import namespaces
from testcluster.audit import POLICY
from testcluster.layout import (
    DNS_ADDRESS,
    DNS_DOMAIN,
    KUBELET_BACKEND_PORT,
    KUBELET_PORT,
    NODE,
    NODE_ADDRESS,
    POD_NETWORK,
    ROOT,
    SERVER,
    SERVICE_NETWORK,
    KubeletConfig,
    Layout,
)
from testcluster.pki import ADMIN, COMPONENTS, token_of
from testcluster.versions import KUBERNETES

ETCD_PORT: Final = 2379
ETCD_PEER_PORT: Final = 2380
PROXY_HEALTH_PORT: Final = 10256
DNS_PORT: Final = 10053
"""Not 53: something under test may bind that on every address of the node."""
NICENESS: Final = -5
"""What answers for the cluster must not wait for what is tested in it, or a busy machine looks like a fault of that.
The kubelet is not part of it, because its pods inherit what it has."""


class Component(msgspec.Struct, frozen=True):
    """A process of the cluster that runs in the hub."""

    name: str
    argv: tuple[str, ...]
    niceness: int = NICENESS
    env: dict[str, str] = {}

    def parents(self, layout: Layout) -> Sequence[str]:
        """The commands put before it."""
        nice = ["nice", "-n", str(self.niceness)] if self.niceness else []
        return namespaces.inside(layout.hub, nice)


def components(layout: Layout) -> tuple[Component, ...]:
    """All of them, in the order in which they start."""
    return (
        _etcd(layout),
        _apiserver(layout),
        _controller_manager(layout),
        _proxy(layout),
        _dns(layout),
        Component("balancer", (sys.executable, "-m", "testcluster.balancer", layout.name), env=_python()),
        _kubelet_front(layout),
        Component(
            "kubelet",
            (sys.executable, "-m", "testcluster.kubelet", str(layout.kubelet_config)),
            niceness=0,
            env=_python(),
        ),
    )


def write_files(layout: Layout) -> None:
    """Write what the components read. The certificates must be there."""
    for component in COMPONENTS:
        _write(component_kubeconfig(layout, component), kubeconfig(layout, token_of(layout.pki, component)))
    _write(layout.kubeconfig, kubeconfig(layout, token_of(layout.pki, ADMIN)))
    _write(_audit_policy(layout), POLICY)
    _write(_proxy_config(layout), _proxy_configuration(layout))
    _kubelet_configuration(layout).write(layout.kubelet_config)
    _corefile(layout).write_text(_dns_configuration(layout), encoding="utf-8")
    search = " ".join(f"{prefix}{DNS_DOMAIN}" for prefix in ("svc.", ""))
    layout.resolv_conf.write_text(f"nameserver {DNS_ADDRESS}\nsearch {search}\noptions ndots:5\n", encoding="utf-8")


def kubeconfig(layout: Layout, token: str) -> dict[str, Any]:
    """A kubeconfig for whoever has the token."""
    cluster = {"server": SERVER, "certificate-authority": str(layout.pki / "ca.crt")}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": layout.name,
        "clusters": [{"name": layout.name, "cluster": cluster}],
        "users": [{"name": layout.name, "user": {"token": token}}],
        "contexts": [{"name": layout.name, "context": {"cluster": layout.name, "user": layout.name}}],
    }


def component_kubeconfig(layout: Layout, component: str) -> Path:
    """The kubeconfig of a part of the cluster."""
    return layout.state / f"{component}.kubeconfig"


def dns_objects() -> list[dict[str, Any]]:
    """The Service of the cluster's DNS, whose endpoint is a process in the hub."""
    ports = [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53, "protocol": "TCP"}]
    metadata = {"name": "kube-dns", "namespace": "kube-system"}
    labels = {"kubernetes.io/service-name": "kube-dns", "endpointslice.kubernetes.io/managed-by": "testcluster"}
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"clusterIP": str(DNS_ADDRESS), "ports": ports},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**metadata, "labels": labels},
            "addressType": "IPv4",
            "ports": [{**port, "port": DNS_PORT} for port in ports],
            "endpoints": [{"addresses": [str(NODE_ADDRESS)], "conditions": {"ready": True}}],
        },
    ]


def _etcd(layout: Layout) -> Component:
    client, peer = f"http://127.0.0.1:{ETCD_PORT}", f"http://127.0.0.1:{ETCD_PEER_PORT}"
    return Component(
        "etcd",
        (
            str(layout.bin / "etcd"),
            f"--name={NODE}",
            f"--data-dir={layout.etcd}",
            # The data ends with the cluster, so nothing needs to survive a power cut.
            "--unsafe-no-fsync",
            "--log-level=warn",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster={NODE}={peer}",
            "--quota-backend-bytes=4294967296",
        ),
    )


def _apiserver(layout: Layout) -> Component:
    pki = layout.pki
    return Component(
        "kube-apiserver",
        (
            str(layout.bin / "kube-apiserver"),
            f"--etcd-servers=http://127.0.0.1:{ETCD_PORT}",
            f"--advertise-address={NODE_ADDRESS}",
            f"--secure-port={SERVER.rpartition(':')[2]}",
            f"--tls-cert-file={pki}/apiserver.crt",
            f"--tls-private-key-file={pki}/apiserver.key",
            f"--client-ca-file={pki}/ca.crt",
            f"--token-auth-file={pki}/tokens.csv",
            "--authorization-mode=Node,RBAC",
            f"--service-account-issuer=https://kubernetes.default.svc.{DNS_DOMAIN}",
            f"--service-account-signing-key-file={pki}/service-accounts.key",
            f"--service-account-key-file={pki}/service-accounts.pub",
            f"--service-cluster-ip-range={SERVICE_NETWORK}",
            f"--kubelet-client-certificate={pki}/apiserver-kubelet.crt",
            f"--kubelet-client-key={pki}/apiserver-kubelet.key",
            f"--kubelet-certificate-authority={pki}/ca.crt",
            "--kubelet-preferred-address-types=InternalIP",
            "--allow-privileged=true",
            "--max-requests-inflight=2000",
            "--max-mutating-requests-inflight=1000",
            "--profiling=false",
            f"--audit-policy-file={_audit_policy(layout)}",
            f"--audit-log-path={layout.audit_log}",
            # Never begun anew: whoever reads it remembers places in it.
            "--audit-log-maxsize=10000",
            "--v=1",
        ),
    )


def _controller_manager(layout: Layout) -> Component:
    pki, config = layout.pki, component_kubeconfig(layout, "kube-controller-manager")
    return Component(
        "kube-controller-manager",
        (
            str(layout.bin / "kube-controller-manager"),
            f"--kubeconfig={config}",
            f"--authentication-kubeconfig={config}",
            f"--authorization-kubeconfig={config}",
            f"--service-account-private-key-file={pki}/service-accounts.key",
            f"--root-ca-file={pki}/ca.crt",
            f"--cluster-signing-cert-file={pki}/ca.crt",
            f"--cluster-signing-key-file={pki}/ca.key",
            "--use-service-account-credentials=false",
            "--leader-elect=false",
            "--allocate-node-cidrs=false",
            "--bind-address=127.0.0.1",
            # A node that cannot renew its lease while a test disturbs the API server is not dead; after its usual 50
            # seconds all pods would be taken out of their Services.
            "--node-monitor-grace-period=1h",
            # Its own limit of 20 a second would make every test wait.
            "--kube-api-qps=1000",
            "--kube-api-burst=2000",
            "--concurrent-namespace-syncs=20",
            "--profiling=false",
            "--v=1",
        ),
    )


def _proxy(layout: Layout) -> Component:
    return Component("kube-proxy", (str(layout.bin / "kube-proxy"), f"--config={_proxy_config(layout)}", "--v=1"))


def _proxy_configuration(layout: Layout) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "hostnameOverride": NODE,
        "bindAddress": str(NODE_ADDRESS),
        "clientConnection": {
            "kubeconfig": str(component_kubeconfig(layout, "kube-proxy")),
            "qps": 500,
            "burst": 1000,
        },
        "detectLocalMode": "ClusterCIDR",
        "clusterCIDR": str(POD_NETWORK),
        "healthzBindAddress": f"127.0.0.1:{PROXY_HEALTH_PORT}",
        "metricsBindAddress": "127.0.0.1:10249",
        "nodePortAddresses": ["primary"],
        # Those limits are the whole machine's.
        "conntrack": {"maxPerCore": 0},
        # Its own second between two changes would make every test wait.
        "nftables": {"minSyncPeriod": "20ms", "syncPeriod": "30s"},
    }


def _dns(layout: Layout) -> Component:
    return Component("coredns", (str(layout.bin / "coredns"), "-conf", str(_corefile(layout))))


def _dns_configuration(layout: Layout) -> str:
    # Other names are refused at once: the hub leads nowhere, and a resolver that waits costs its client ten seconds.
    return f"""\
{DNS_DOMAIN}:{DNS_PORT} in-addr.arpa:{DNS_PORT} ip6.arpa:{DNS_PORT} {{
    bind {NODE_ADDRESS}
    errors
    loadbalance
    kubernetes {DNS_DOMAIN} in-addr.arpa ip6.arpa {{
        kubeconfig {component_kubeconfig(layout, "coredns")} {layout.name}
        pods insecure
        ttl 5
    }}
}}
"""


def _kubelet_front(layout: Layout) -> Component:
    pki = layout.pki
    return Component(
        "execd",
        (
            str(layout.bin / "execd"),
            f"-listen={NODE_ADDRESS}:{KUBELET_PORT}",
            f"-backend=http://127.0.0.1:{KUBELET_BACKEND_PORT}",
            f"-ca={pki}/ca.crt",
            f"-cert={pki}/kubelet.crt",
            f"-key={pki}/kubelet.key",
        ),
        # What it executes for kubectl inherits its niceness.
        niceness=0,
    )


def _kubelet_configuration(layout: Layout) -> KubeletConfig:
    return KubeletConfig(
        server=SERVER,
        token=token_of(layout.pki, "kubelet"),
        ca=layout.pki / "ca.crt",
        certificate=layout.pki / "kubelet.crt",
        key=layout.pki / "kubelet.key",
        node=NODE,
        node_address=str(NODE_ADDRESS),
        pod_network=str(POD_NETWORK),
        dns=str(DNS_ADDRESS),
        domain=DNS_DOMAIN,
        hub=layout.hub,
        pod_prefix=layout.pod_prefix,
        pods=layout.pods,
        images=ROOT / "testcluster" / "images.toml",
        variables={"bin": str(layout.bin), "root": str(ROOT), "python": sys.executable},
        backend_port=KUBELET_BACKEND_PORT,
        version=KUBERNETES,
    )


def _python() -> dict[str, str]:
    return {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


def _audit_policy(layout: Layout) -> Path:
    return layout.state / "audit-policy.json"


def _proxy_config(layout: Layout) -> Path:
    return layout.state / "kube-proxy.json"


def _corefile(layout: Layout) -> Path:
    return layout.state / "Corefile"


def _write(path: Path, content: object) -> None:
    fresh = path.with_name(f".{path.name}")
    fresh.write_bytes(msgspec.json.format(msgspec.json.encode(content)))
    fresh.rename(path)
