"""Pods made of a shell script each, and what became of them."""

from __future__ import annotations

import subprocess
from typing import Any

from testcluster import Cluster
from testcluster.api import Object, conditions
from testcluster.layout import Layout
from testcluster.namespaces import of_cluster

FOREVER = "exec sleep infinity"


class World:
    """A namespace of a cluster."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.cluster = cluster
        self.namespace = namespace

    def apply(self, *what: Object) -> list[Object]:
        """Apply objects in the namespace."""
        return self.cluster.apply(*what, namespace=self.namespace)

    def path(self, name: str, plural: str = "pods") -> str:
        """Where an object of the core group is."""
        return f"/api/v1/namespaces/{self.namespace}/{plural}/{name}"

    def pod(self, name: str) -> Object:
        """A pod as stored."""
        pod: Object = self.cluster.get(self.path(name))
        return pod

    def phase(self, name: str) -> str:
        """Where a pod is in its life."""
        return str(self.pod(name)["status"]["phase"])

    def container(self, name: str, number: int = 0) -> Object:
        """What is said of one of a pod's containers; nothing until anything is."""
        said: list[Object] = self.pod(name)["status"].get("containerStatuses", [])
        return said[number] if said else {"state": {}, "lastState": {}, "restartCount": 0, "ready": False}

    def is_ready(self, name: str) -> bool:
        """Whether a pod is ready."""
        return conditions(self.pod(name)).get("Ready") == "True"

    def wait_ready(self, name: str, seconds: float = 30.0) -> Object:
        """Wait until a pod is ready."""
        self.cluster.wait_for(f"pod {name} to be ready", lambda: self.is_ready(name), seconds)
        return self.pod(name)

    def wait_gone(self, name: str, seconds: float = 30.0) -> None:
        """Wait until there is no such pod."""
        self.cluster.wait_for(f"pod {name} to go", lambda: self.cluster.find(self.path(name)) is None, seconds)

    def kubectl(self, *argv: str, check: bool = True, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run kubectl in the namespace."""
        command = ["kubectl", "--namespace", self.namespace, *argv]
        return self.cluster.run_in_hub(command, check=check, stdin=stdin)

    def logs(self, name: str, *options: str) -> str:
        """What a pod wrote."""
        return self.kubectl("logs", name, *options).stdout

    def inside(self, name: str, script: str, check: bool = True) -> str:
        """What a script prints that runs in a pod."""
        return self.kubectl("exec", name, "--", "sh", "-c", script, check=check).stdout

    def until(self, name: str, script: str, expected: str, seconds: float = 30.0) -> None:
        """Wait until a script in a pod prints what is expected."""
        self.cluster.wait_for(
            f"{expected!r} in {name}", lambda: self.inside(name, script, check=False).strip() == expected, seconds
        )


def container(script: str = FOREVER, name: str = "main", **fields: Any) -> Object:
    """A container that runs a shell script."""
    return {"name": name, "image": "local/any", "command": ["sh", "-c", script], **fields}


def pod(name: str, *containers: Object, grace: int = 1, **spec: Any) -> Object:
    """A pod; with no container named, one that waits for ever."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"containers": list(containers) or [container()], "terminationGracePeriodSeconds": grace, **spec},
    }


def config_map(name: str, **data: str) -> Object:
    """A ConfigMap."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def secret(name: str, **data: str) -> Object:
    """A Secret."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}


def mounted(path: str, **source: Any) -> dict[str, Any]:
    """The fields of a pod with one container that has one volume."""
    return {
        "containers": [container(volumeMounts=[{"name": "volume", "mountPath": path}])],
        "volumes": [{"name": "volume", **source}],
    }


def pod_namespaces(layout: Layout) -> set[str]:
    """The network namespaces of a cluster's pods."""
    return {name for name in of_cluster(layout) if name != layout.hub}
