"""The versions of everything the test cluster is made of.

Go modules name theirs in ``testcluster/go/*/go.mod`` too, where the go command reads them; a test compares the two.
"""

from __future__ import annotations

from typing import Final

GO_AT_LEAST: Final = (1, 26)
"""The oldest Go toolchain that compiles these modules."""

KUBERNETES: Final = "v1.36.1"
KUBERNETES_STAGING: Final = "v0.36.1"
"""The version of the modules that Kubernetes is made of."""
ETCD: Final = "v3.6.16"
COREDNS: Final = "v1.14.7"
GATEWAY_API: Final = "v1.6.1"
"""The resource definitions and the conformance suite."""
CRI_STREAMING: Final = "v0.36.1"
"""What the kubelet's stand-in speaks ``kubectl exec`` with."""

TRAEFIK: Final = ("3.7.10", "3.7.15")
"""Packages of another implementation, which show that the cluster is right: the first has published its results."""

MODULES: Final = {
    "k8s.io/kubernetes": KUBERNETES,
    "k8s.io/cri-streaming": CRI_STREAMING,
    "go.etcd.io/etcd/server/v3": ETCD,
    "github.com/coredns/coredns": COREDNS,
    "sigs.k8s.io/gateway-api": GATEWAY_API,
    "sigs.k8s.io/gateway-api/conformance": GATEWAY_API,
}
"""The version of each Go module that a program is built from."""
