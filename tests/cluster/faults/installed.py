"""Trilithon as `trilithon install` sets it up, with a class of its own, so that others in the cluster do not matter."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from testcluster import Cluster
from testcluster.api import Object, conditions
from testcluster.audit import AuditEvent
from tests.cluster.faults.processes import processes, send
from trilithon.infrastructure.installation import Values, installation_manifests

SHARED = frozenset({"CustomResourceDefinition"})
"""What stays when an installation goes: others use it."""
CONTROLLER = "trilithon controller"
LEASE = "leases"


class Installed:
    """One installation: its replicas, what they log, who leads, what they write."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self.namespace = namespace
        self.class_name = namespace
        self.account = f"system:serviceaccount:{namespace}:trilithon"

    def pods(self) -> list[Object]:
        """Its replicas that are not about to end."""
        label = "app.kubernetes.io%2Fname%3Dtrilithon"
        found = self._cluster.get(f"/api/v1/namespaces/{self.namespace}/pods?labelSelector={label}")["items"]
        return [pod for pod in found if not pod["metadata"].get("deletionTimestamp")]

    def ready(self) -> list[Object]:
        """Those that are ready, if both are."""
        ready = [pod for pod in self.pods() if conditions(pod).get("Ready") == "True"]
        return ready if len(ready) == 2 else []

    def wait_ready(self, seconds: float = 120.0) -> list[Object]:
        """Wait until both replicas are ready."""
        return self._cluster.wait_for("both replicas to be ready", self.ready, seconds)

    def pids(self) -> list[int]:
        """The processes of all replicas."""
        return [pid for pod in self.pods() for pid in self.pids_of(pod)]

    def pids_of(self, pod: Object) -> list[int]:
        """The process of one replica."""
        return processes(self._cluster, pod, CONTROLLER)

    def kill(self) -> None:
        """End all replicas at once, without a warning; the kubelet starts them again."""
        send(self.pids(), signal.SIGKILL)

    def lease(self) -> Object:
        """The Lease."""
        lease: Object = self._cluster.get(f"/apis/coordination.k8s.io/v1/namespaces/{self.namespace}/leases/trilithon")
        return lease

    def leader(self) -> str:
        """The name of the pod that holds the Lease."""
        return str(self.lease()["spec"].get("holderIdentity") or "")

    def log(self, pod: Object) -> list[Object]:
        """What one replica logged since it was started last, as the JSON of each line."""
        text = self._cluster.kubectl("--namespace", self.namespace, "logs", pod["metadata"]["name"])
        return [msgspec.json.decode(line) for line in text.splitlines()]

    def writes(self, since: int) -> list[AuditEvent]:
        """What the replicas wrote since a mark of the audit log, except to the Lease."""
        return [
            event for event in self._cluster.audit.writes(since) if event.by == self.account and event.resource != LEASE
        ]


@contextmanager
def installed(cluster: Cluster, namespace: str, watch_namespaces: tuple[str, ...] = ()) -> Iterator[Installed]:
    """Install it into a namespace that is new, and take it away again, its class last."""
    values = Values(
        namespace=namespace,
        class_name=namespace,
        controller_name=f"faults.test/{namespace}",
        watch_namespaces=watch_namespaces,
    )
    documents: list[Object] = [dict(each) for each in installation_manifests(values)]
    cluster.apply(*documents)
    one = Installed(cluster, namespace)
    try:
        one.wait_ready()
        yield one
    finally:
        cluster.delete(*(each for each in documents if each["kind"] not in SHARED))
