"""Where a cluster of a given name keeps its things: files, network namespaces, addresses."""

from __future__ import annotations

import os
import re
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Final

import msgspec

ROOT: Final = Path(__file__).resolve().parents[1]
"""The repository."""

DEFAULT_NAME: Final = "trilithon"
NODE: Final = "node"
"""The name of the cluster's only node."""

NODE_ADDRESS: Final = IPv4Address("10.254.0.1")
POD_NETWORK: Final = IPv4Network("10.254.0.0/16")
"""Pods' addresses; those of its first 256 are the node's."""
SERVICE_NETWORK: Final = IPv4Network("10.96.0.0/16")
DNS_ADDRESS: Final = IPv4Address("10.96.0.10")
"""The ClusterIP of the cluster's DNS."""
BALANCER_NETWORK: Final = IPv4Network("10.97.0.0/16")
"""The pool that Services of type LoadBalancer get their addresses from."""
DNS_DOMAIN: Final = "cluster.local"

API_PORT: Final = 16443
"""Not 6443: the conformance suite has a listener there, and a gateway may bind every address of the node."""
KUBELET_PORT: Final = 10250
KUBELET_BACKEND_PORT: Final = 10251
"""Where the kubelet's stand-in listens for what its front, which speaks ``exec``, hands on; on the loopback."""
SERVER: Final = f"https://{NODE_ADDRESS}:{API_PORT}"

NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,30}")


class Layout(msgspec.Struct, frozen=True):
    """The places of one cluster. Clusters of different names share nothing, and may be up at once."""

    name: str
    root: Path = ROOT

    @classmethod
    def of(cls, name: str | None = None) -> Layout:
        """The layout of the named cluster, else of $TESTCLUSTER, else of the default one. ValueError for a bad name."""
        chosen = name or os.environ.get("TESTCLUSTER") or DEFAULT_NAME
        if not NAME.fullmatch(chosen):
            raise ValueError(f"{chosen!r} is no name for a cluster: it must be like {DEFAULT_NAME} or a-2")
        return cls(chosen)

    @property
    def hub(self) -> str:
        """The network namespace of the node. No cluster's name has a dot, so no two clusters' names meet."""
        return f"{self.name}.hub"

    @property
    def pod_prefix(self) -> str:
        """What the network namespaces of its pods begin with; twelve hexadecimal digits of the pod's uid follow."""
        return f"{self.name}."

    def owns(self, namespace: str) -> bool:
        """Whether a network namespace of that name is this cluster's."""
        return namespace == self.hub or re.fullmatch(re.escape(self.pod_prefix) + "[0-9a-f]{12}", namespace) is not None

    @property
    def state(self) -> Path:
        """Everything the cluster writes."""
        return self.root / ".made" / "cluster" / self.name

    @property
    def bin(self) -> Path:
        """Links to the programs it runs; first on the PATH of what runs in the hub."""
        return self.state / "bin"

    @property
    def logs(self) -> Path:
        """One file per process."""
        return self.state / "logs"

    @property
    def pki(self) -> Path:
        """Certificates and keys."""
        return self.state / "pki"

    @property
    def etcd(self) -> Path:
        """etcd's data."""
        return self.state / "etcd"

    @property
    def pods(self) -> Path:
        """A folder per running pod."""
        return self.state / "pods"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's way in; its address is reachable from the hub and from pods."""
        return self.state / "kubeconfig"

    @property
    def audit_log(self) -> Path:
        """What was asked of the API server, one JSON object a line."""
        return self.state / "audit.log"

    @property
    def resolv_conf(self) -> Path:
        """/etc/resolv.conf of what runs in the hub."""
        return self.state / "resolv.conf"

    @property
    def kubelet_config(self) -> Path:
        """The kubelet's ``KubeletConfig``, as JSON."""
        return self.state / "kubelet.json"


class KubeletConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What the kubelet's stand-in is told: ``python -m testcluster.kubelet FILE``, run inside the hub."""

    server: str
    token: str
    ca: Path
    certificate: Path
    """The kubelet's own, for its port."""
    key: Path
    node: str
    node_address: str
    pod_network: str
    """Pods get addresses of it from x.y.1.1 on: the first 256 are the node's."""
    dns: str
    domain: str
    hub: str
    """The network namespace of the node."""
    pod_prefix: str
    pods: Path
    images: Path
    """The table of images (``images.toml``)."""
    variables: dict[str, str]
    """What ``{name}`` stands for in that table: bin, root, python."""
    backend_port: int
    version: str
    """What the node says its kubelet's version is."""

    @classmethod
    def read(cls, path: Path) -> KubeletConfig:
        """The content of a file that ``write`` wrote."""
        return msgspec.json.decode(path.read_bytes(), type=cls, dec_hook=lambda kind, text: kind(text))

    def write(self, path: Path) -> None:
        """Write it, for ``read``."""
        path.write_bytes(msgspec.json.format(msgspec.json.encode(self, enc_hook=str)))
