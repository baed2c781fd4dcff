"""Trilithon as it is installed into any cluster, or as one process of the node."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from testcluster.cluster import Cluster
from testcluster.conformance.implementation import Implementation, Say, remove_class, remove_namespace
from testcluster.failure import Failure
from testcluster.manifests import parse
from trilithon import __version__

PROCESS: Final = "trilithon"
"""What the process of the node is called among the cluster's."""
CONTROLLER_NAME: Final = "trilithon.dev/processes"
"""As what that process serves: the name of installations is not for processes of a machine."""
PROGRAM: Final = (sys.executable, "-m", "trilithon")
MODES: Final = ("deployments", "processes")
"""What runs the Envoys: a Deployment for each Gateway, or processes of the node."""


class Trilithon(Implementation):
    """This checkout's Trilithon."""

    name = "Trilithon"
    version = __version__
    namespace = "trilithon-system"
    gateway_class = "trilithon"
    organization = "trilithon"
    url = "https://trilithon.dev"
    contact = "https://trilithon.dev"

    def __init__(self, mode: str = MODES[0]) -> None:
        self._mode = mode
        self.has_account = mode == MODES[0]

    @property
    def label(self) -> str:
        return "trilithon" if self._mode == MODES[0] else f"trilithon-{self._mode}"

    def install(self, cluster: Cluster, say: Say) -> None:
        if self._mode == MODES[0]:
            cluster.apply(*self._manifests())
            return
        gateway_class = {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "GatewayClass",
            "metadata": {"name": self.gateway_class},
            "spec": {"controllerName": CONTROLLER_NAME},
        }
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}}
        cluster.apply(namespace, gateway_class)
        cluster.spawn(
            PROCESS,
            [
                *(*PROGRAM, "controller", "--infrastructure", "processes"),
                *("--controller-name", CONTROLLER_NAME, "--own-namespace", self.namespace),
            ],
        )

    def remove(self, cluster: Cluster) -> None:
        remove_class(cluster, self.gateway_class)
        cluster.processes.forget(PROCESS)
        cluster.processes.log(PROCESS).unlink(missing_ok=True)
        remove_namespace(cluster, self.namespace)

    def logs(self, cluster: Cluster) -> Iterator[tuple[str, str]]:
        if self._mode == MODES[0]:
            yield from super().logs(cluster)
        else:
            yield PROCESS, cluster.processes.log(PROCESS).read_text(encoding="utf-8", errors="replace")

    def _manifests(self) -> list[dict[str, object]]:
        """What ``trilithon install`` prints."""
        command = [*PROGRAM, "install", "--namespace", self.namespace]
        answer = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
        if answer.returncode:
            raise Failure(f"trilithon install failed:\n{answer.stderr.strip()}")
        return list(parse(answer.stdout))
