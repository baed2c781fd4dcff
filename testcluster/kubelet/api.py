"""What the stand-in kubelet asks of the API server, and tells it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple
from urllib.parse import quote

import msgspec
from msgspec import Struct

from testcluster.kubelet.objects import Pod
from testcluster.kubelet.payload import data_of
from testcluster.kubelet.volume_spec import TokenFile
from trilithon.kube.backoff import Backoff
from trilithon.kube.errors import ApiError, KubeError, Unreachable
from trilithon.kube.transport import JSON, Request, Transport

_STRATEGIC_MERGE = "application/strategic-merge-patch+json"
_APPLY = "application/apply-patch+yaml"
_PLURALS = {"ConfigMap": "configmaps", "Secret": "secrets"}


class Reference(NamedTuple):
    """A ConfigMap or Secret that a pod uses."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


class Token(Struct, frozen=True):
    """A service account's token, and until when it is good."""

    token: str
    expiration_timestamp: datetime = msgspec.field(name="expirationTimestamp")


class _TokenAnswer(Struct, frozen=True):
    status: Token


class _ServiceSpec(Struct, frozen=True):
    cluster_ip: str = msgspec.field(name="clusterIP", default="")


class _Service(Struct, frozen=True):
    spec: _ServiceSpec


class Api:
    """Requests to the API server that wait for it as long as it takes: a pod does not fail because its server does.

    What the server refuses for good raises ApiError.
    """

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self._service = ""

    async def data(self, reference: Reference) -> dict[str, bytes] | None:
        """The entries of a ConfigMap or Secret, as stored now; None if there is none."""
        namespace, plural = quote(reference.namespace, safe=""), _PLURALS[reference.kind]
        written = await self._read(f"/api/v1/namespaces/{namespace}/{plural}/{quote(reference.name, safe='')}")
        return None if written is None else data_of(written)

    async def token(self, pod: Pod, wanted: TokenFile) -> Token:
        """A new token of the pod's service account, bound to the pod."""
        spec: dict[str, object] = {
            "expirationSeconds": wanted.expiration_seconds,
            "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": pod.metadata.name, "uid": pod.uid},
            "audiences": [wanted.audience] if wanted.audience else None,
        }
        account = quote(pod.spec.service_account_name or "default", safe="")
        answer = await self._send(
            "POST",
            f"/api/v1/namespaces/{pod.metadata.namespace}/serviceaccounts/{account}/token",
            {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec},
        )
        return msgspec.json.decode(answer, type=_TokenAnswer).status

    async def service_address(self) -> str:
        """The address of the Service ``kubernetes``; "" while there is none."""
        if not self._service:
            written = await self._read("/api/v1/namespaces/default/services/kubernetes")
            if written is not None:
                self._service = msgspec.json.decode(written, type=_Service).spec.cluster_ip
        return self._service

    async def report(self, pod: Pod, status: Mapping[str, object]) -> None:
        """Write the pod's status; of its conditions only those named."""
        # The uid makes the server refuse if this is another pod of the same name by now.
        body = {"metadata": {"uid": pod.uid}, "status": status}
        await self._send("PATCH", f"{_path(pod)}/status", body, _STRATEGIC_MERGE)

    async def remove(self, pod: Pod) -> None:
        """Say that nothing of a deleted pod is left, which takes it from the API."""
        body = {"gracePeriodSeconds": 0, "preconditions": {"uid": pod.uid}}
        try:
            await self._send("DELETE", _path(pod), body)
        except ApiError as error:
            # Gone already, or another pod of that name.
            if error.status not in (404, 409):
                raise

    async def bind(self, pod: Pod, node: str) -> None:
        """Give a pod its node."""
        metadata = {"name": pod.metadata.name, "namespace": pod.metadata.namespace, "uid": pod.uid}
        target = {"apiVersion": "v1", "kind": "Node", "name": node}
        body = {"apiVersion": "v1", "kind": "Binding", "metadata": metadata, "target": target}
        try:
            await self._send("POST", f"{_path(pod)}/binding", body)
        except ApiError as error:
            if error.status not in (404, 409):
                raise

    async def register(self, name: str, labels: Mapping[str, str]) -> None:
        """Make the node known."""
        body = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}
        await self.apply(f"/api/v1/nodes/{name}", body)

    async def report_node(self, name: str, status: Mapping[str, object]) -> None:
        """Write the node's status."""
        await self._send("PATCH", f"/api/v1/nodes/{name}/status", {"status": status}, _STRATEGIC_MERGE)

    async def apply(self, path: str, body: object) -> None:
        """Server-side apply."""
        query = (("fieldManager", "kubelet"), ("force", "true"))
        await self._send("PATCH", path, body, _APPLY, query)

    async def record(self, pod: Pod, reason: str, message: str, *, is_warning: bool) -> None:
        """Write an Event about a pod, once: it is only for people. Raises KubeError."""
        metadata = pod.metadata
        now = f"{datetime.now().astimezone().isoformat(timespec='seconds')}"
        about = {
            "apiVersion": "v1",
            "kind": "Pod",
            "namespace": metadata.namespace,
            "name": metadata.name,
            "uid": pod.uid,
        }
        body = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{metadata.name}.", "namespace": metadata.namespace},
            "involvedObject": about,
            "reason": reason,
            "message": message[:1000],
            "type": "Warning" if is_warning else "Normal",
            "source": {"component": "kubelet"},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        await self.transport.fetch(
            Request(
                method="POST", path=f"/api/v1/namespaces/{metadata.namespace}/events", body=msgspec.json.encode(body)
            )
        )

    async def _read(self, path: str) -> bytes | None:
        try:
            return await self._send("GET", path)
        except ApiError as error:
            if error.status != 404:
                raise
            return None

    async def _send(
        self,
        method: str,
        path: str,
        body: object = None,
        content_type: str = JSON,
        query: tuple[tuple[str, str], ...] = (),
    ) -> bytes:
        encoded = None if body is None else msgspec.json.encode(body)
        request = Request(method=method, path=path, query=query, body=encoded, content_type=content_type)
        backoff = Backoff(random.Random())  # noqa: S311 - nothing secret is drawn
        while True:
            try:
                return await self.transport.fetch(request)
            except KubeError as error:
                if not _is_passing(error):
                    raise
                await asyncio.sleep(
                    min(2.0, backoff.failed(error.retry_after if isinstance(error, ApiError) else None))
                )


def _is_passing(error: KubeError) -> bool:
    """Whether the same request may succeed later."""
    return isinstance(error, Unreachable) or (
        isinstance(error, ApiError) and (error.status >= 500 or error.is_for_later)
    )


def _path(pod: Pod) -> str:
    return f"/api/v1/namespaces/{pod.metadata.namespace}/pods/{quote(pod.metadata.name, safe='')}"
