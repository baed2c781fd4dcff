"""Be a node of the cluster: registered, well, and heard of every few seconds."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime
from typing import Any, Final

from testcluster.kubelet.api import Api
from testcluster.kubelet.fields import NODE_RESOURCES
from testcluster.kubelet.status import stamp
from trilithon.kube.errors import ApiError

_LEASE_SECONDS = 40
_RENEWAL_SECONDS = 10.0
_RESOURCES: Final = {**NODE_RESOURCES, "pods": "2000"}
_WELL: Final = (
    ("MemoryPressure", "False", "KubeletHasSufficientMemory"),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure"),
    ("PIDPressure", "False", "KubeletHasSufficientPID"),
    ("Ready", "True", "KubeletReady"),
)
_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}


class Node:
    """This machine as a node."""

    def __init__(self, api: Api, name: str, address: str, port: int, version: str) -> None:
        self._api = api
        self._name = name
        self._address = address
        self._port = port
        self._version = version
        self._began = stamp(datetime.now(UTC))

    async def serve(self) -> None:
        """Register, and say for ever that the node is well: somebody may have said that it is not."""
        while True:
            try:
                await self._api.register(self._name, self._labels())
                await self._api.report_node(self._name, self._status())
                await self._renew()
            except ApiError as error:
                print(f"node {self._name}: {error}", flush=True)
                await asyncio.sleep(1)
                continue
            await asyncio.sleep(_RENEWAL_SECONDS)

    async def _renew(self) -> None:
        spec = {
            "holderIdentity": self._name,
            "leaseDurationSeconds": _LEASE_SECONDS,
            "renewTime": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
        }
        metadata = {"name": self._name, "namespace": "kube-node-lease"}
        body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
        await self._api.apply(f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{self._name}", body)

    def _labels(self) -> dict[str, str]:
        machine = os.uname().machine
        return {
            "kubernetes.io/hostname": self._name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": _ARCHITECTURES.get(machine, machine),
            "topology.kubernetes.io/region": "local",
            "topology.kubernetes.io/zone": "local-a",
        }

    def _status(self) -> dict[str, Any]:
        now, machine = stamp(datetime.now(UTC)), os.uname().machine
        return {
            "capacity": _RESOURCES,
            "allocatable": _RESOURCES,
            "addresses": [
                {"type": "InternalIP", "address": self._address},
                {"type": "Hostname", "address": self._name},
            ],
            "conditions": [
                {
                    "type": kind,
                    "status": status,
                    "reason": reason,
                    "message": "as far as a stand-in knows",
                    "lastHeartbeatTime": now,
                    "lastTransitionTime": self._began,
                }
                for kind, status, reason in _WELL
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self._port}},
            "nodeInfo": {
                "architecture": _ARCHITECTURES.get(machine, machine),
                "operatingSystem": "linux",
                "kernelVersion": os.uname().release,
                "osImage": "processes of this machine",
                "containerRuntimeVersion": "testcluster://1",
                "kubeletVersion": self._version,
                "kubeProxyVersion": "",
                "machineID": "",
                "systemUUID": "",
                "bootID": "",
            },
        }
