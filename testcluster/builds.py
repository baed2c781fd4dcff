"""The table of what the test cluster builds: one line per program."""

from __future__ import annotations

from typing import Final

import msgspec

from testcluster.versions import KUBERNETES

MAJOR, MINOR, _ = KUBERNETES.removeprefix("v").split(".")
VERSION_PACKAGE: Final = "k8s.io/component-base/version"
KUBERNETES_LINK_FLAGS: Final = " ".join(
    f"-X {VERSION_PACKAGE}.{name}={value}"
    for name, value in {
        "gitVersion": KUBERNETES,
        "gitMajor": MAJOR,
        "gitMinor": MINOR,
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
    }.items()
)
"""Without them the programs call themselves v0.0.0-master, and clients take them for ancient."""


class Program(msgspec.Struct, frozen=True):
    """A program compiled from a package of one of our Go modules."""

    name: str
    module: str
    """The folder below ``testcluster/go`` with its go.mod."""
    package: str = "."
    link_flags: str = ""
    is_test: bool = False
    """Whether the package's tests are what is compiled."""


class Files(msgspec.Struct, frozen=True):
    """A folder of a Go module that one of ours requires, copied as it is."""

    name: str
    module: str
    required: str
    """The path of the required module."""
    folder: str


Build = Program | Files

CONFORMANCE: Final = "conformance"
BUILDS: Final[tuple[Build, ...]] = (
    Program("etcd", "etcd", "go.etcd.io/etcd/server/v3"),
    Program("kube-apiserver", "kube", "k8s.io/kubernetes/cmd/kube-apiserver", KUBERNETES_LINK_FLAGS),
    Program("kube-controller-manager", "kube", "k8s.io/kubernetes/cmd/kube-controller-manager", KUBERNETES_LINK_FLAGS),
    Program("kube-proxy", "kube", "k8s.io/kubernetes/cmd/kube-proxy", KUBERNETES_LINK_FLAGS),
    Program("kubectl", "kube", "k8s.io/kubernetes/cmd/kubectl", KUBERNETES_LINK_FLAGS),
    Program("coredns", "coredns"),
    Program("execd", "execd"),
    Files("gateway-api-crds", CONFORMANCE, "sigs.k8s.io/gateway-api", "config/crd"),
    Program("echo-basic", CONFORMANCE, "sigs.k8s.io/gateway-api/conformance/echo-basic"),
    Program("conformance.test", CONFORMANCE, is_test=True),
)
