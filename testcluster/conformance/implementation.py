"""What the suite can be run against: how it gets into the cluster, and how it is known there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from testcluster.api import conditions
from testcluster.cluster import Cluster
from testcluster.failure import Failure

CLASSES: Final = "/apis/gateway.networking.k8s.io/v1/gatewayclasses"
READY_SECONDS: Final = 120.0
GONE_SECONDS: Final = 60.0
LET_GO_SECONDS: Final = 5.0
"""How long an implementation has to take its finalizer off a GatewayClass."""

Say = Callable[[str], None]


class Published(msgspec.Struct, frozen=True):
    """What an implementation published about itself for a profile: tests passed and skipped."""

    core: int
    core_skipped: int
    extended: int


class Implementation(ABC):
    """An implementation of the Gateway API."""

    name: str
    """What people call it."""
    version: str
    namespace: str
    """Where it runs; it goes with all that is in it."""
    gateway_class: str
    has_account: bool = True
    """Whether it has service accounts with rights of their own, and not those of an administrator."""
    left_out: tuple[str, ...] = ()
    """Tests that its maintainers leave out."""
    published: Mapping[str, Published] = {}
    """By profile, what they published."""
    organization: str
    url: str
    contact: str

    @property
    @abstractmethod
    def label(self) -> str:
        """What its results are filed under."""

    @abstractmethod
    def install(self, cluster: Cluster, say: Say) -> None:
        """Get it into the cluster. Failure says why it cannot be."""

    @abstractmethod
    def remove(self, cluster: Cluster) -> None:
        """Take it out of the cluster, if it is there."""

    @property
    def report_fields(self) -> dict[str, str]:
        """What the suite's report says about it."""
        return {
            "organization": self.organization,
            "project": self.name.lower(),
            "url": self.url,
            "version": f"v{self.version}",
            "contact": self.contact,
        }

    def logs(self, cluster: Cluster) -> Iterator[tuple[str, str]]:
        """A name and the text of each log that it wrote."""
        base = f"/api/v1/namespaces/{self.namespace}/pods"
        for pod in cluster.get(base)["items"]:
            name = pod["metadata"]["name"]
            status, text = cluster.api.request("GET", f"{base}/{name}/log", timeout=30)
            if status == 200:
                yield name, text.decode(errors="replace")


def wait_claims(cluster: Cluster, implementation: Implementation) -> tuple[str, ...]:
    """Wait until the GatewayClass is accepted and says what is supported: the suite asks once, and fails if it is not.

    Failure shows what of the implementation is not ready.
    """

    def claims() -> tuple[str, ...]:
        found = cluster.find(f"{CLASSES}/{implementation.gateway_class}")
        if found is None or conditions(found).get("Accepted") != "True":
            return ()
        return tuple(sorted(feature["name"] for feature in found["status"].get("supportedFeatures") or ()))

    try:
        return cluster.wait_for(
            f"GatewayClass {implementation.gateway_class}, accepted and with its features", claims, READY_SECONDS
        )
    except Failure as failure:
        raise Failure(f"{failure}\n{_troubles(cluster, implementation)}") from None


def remove_namespace(cluster: Cluster, name: str) -> None:
    """Delete a namespace with all that is in it and wait until it is gone."""
    path = f"/api/v1/namespaces/{name}"
    if cluster.api.delete(path):
        cluster.wait_for(f"the end of the namespace {name}", lambda: cluster.find(path) is None, GONE_SECONDS)


def remove_class(cluster: Cluster, name: str) -> None:
    """Delete a GatewayClass and wait until it is gone, though nobody may be there any more to let go of it."""
    path = f"{CLASSES}/{name}"
    if not cluster.api.delete(path):
        return
    what = f"the end of the GatewayClass {name}"
    try:
        cluster.wait_for(what, lambda: cluster.find(path) is None, LET_GO_SECONDS)
    except Failure:
        cluster.api.merge(path, {"metadata": {"finalizers": None}})
        cluster.wait_for(what, lambda: cluster.find(path) is None, GONE_SECONDS)


def _troubles(cluster: Cluster, implementation: Implementation) -> str:
    pods = cluster.get(f"/api/v1/namespaces/{implementation.namespace}/pods")["items"]
    unready = [pod["metadata"]["name"] for pod in pods if conditions(pod).get("Ready") != "True"]
    parts = [f"Pods that are not ready: {', '.join(unready)}." if unready else f"{len(pods)} pods are ready."]
    for name, text in implementation.logs(cluster):
        parts.append("\n".join([f"The end of the log of {name}:", *text.splitlines()[-15:]]))
    return "\n".join(parts)


def write_logs(cluster: Cluster, implementation: Implementation, folder: Path) -> None:
    """Keep an implementation's logs beside a run's output."""
    for name, text in implementation.logs(cluster):
        (folder / f"{name}.log").write_text(text, encoding="utf-8")
