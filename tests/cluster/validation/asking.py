"""Asks a real API server whether it would take an object, without keeping it."""

from __future__ import annotations

import asyncio
import io
import re
import ssl
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import aiohttp
import msgspec
import stamina
import yaml
from msgspec import Struct

from tests.cluster.validation.mutations import Case
from tests.cluster.validation.schemas import CLUSTER_SCOPED, GATEWAY_KINDS, PLURALS
from tests.cluster.validation.seeds import NAMESPACE
from tests.resources.upstream import MODULE, module_folder
from trilithon.kube.config import Config
from trilithon.kube.tls import ca_bytes, tls_context

CONCURRENCY = 16
# A busy API server takes its time.
SERVED_SECONDS = 180.0
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
# As a quoted text inside the quoted text of a header.
_UNKNOWN = re.compile(r'299 - "unknown field (.*)"')


class Verdict(Struct, frozen=True):
    """What the server said: its status code, message, the fields it blames, and the fields it does not know."""

    status: int
    message: str = ""
    fields: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def is_refused(self) -> bool:
        # An object of that name exists already: it was found valid before that was looked at.
        return self.status not in (201, 409)


class NotServedYet(Exception):
    """The API server does not serve a kind of ours yet."""


class Server:
    """A real API server with its own copies of the CRDs of both channels. An async context manager.

    The copies have groups of their own, so that the cluster's CRDs, of whatever channel, stay as they are.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._slots = asyncio.Semaphore(CONCURRENCY)
        self._session: aiohttp.ClientSession | None = None
        self._tls: ssl.SSLContext | None = None

    async def __aenter__(self) -> Self:
        credential = await self._config.credentials.current()
        self._tls = tls_context(ca_bytes(self._config.trust), credential, is_insecure=self._config.trust.is_insecure)
        headers = {"Authorization": f"Bearer {credential.token}"} if credential.token else {}
        timeout = aiohttp.ClientTimeout(total=60)
        self._session = aiohttp.ClientSession(
            headers=headers, timeout=timeout, connector=aiohttp.TCPConnector(limit=CONCURRENCY)
        )
        try:
            await asyncio.gather(*(self._install(crd) for channel in CHANNELS for crd in _copies(channel)))
        except BaseException:
            await self._session.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is None:
            return
        for channel in CHANNELS:
            for crd in _copies(channel):
                await self._send("DELETE", f"{CRDS}/{crd['metadata']['name']}")
        await self._session.close()

    async def judge(self, case: Case, *, validation: str = "Warn") -> Verdict:
        """Whether the server would create the object; ``validation`` is what it does about unknown fields."""
        document, path = _addressed(case)
        async with self._slots:
            status, body, warnings = await self._send(
                "POST", f"{path}?dryRun=All&fieldValidation={validation}", document
            )
        unknown = tuple(sorted({_unquoted(name) for warning in warnings for name in _UNKNOWN.findall(warning)}))
        if status < 300:
            return Verdict(status, unknown=unknown)
        causes = (body.get("details") or {}).get("causes") or ()
        return Verdict(status, body.get("message", ""), tuple(cause.get("field", "") for cause in causes), unknown)

    async def _install(self, crd: dict[str, Any]) -> None:
        group, plural = crd["spec"]["group"], crd["spec"]["names"]["plural"]
        async for attempt in _patiently():
            with attempt:
                await self._create(crd)
        # Served only some time after the CRD says so, and first by some of its versions.
        for version in ("v1", "v1beta1"):
            path = f"/apis/{group}/{version}"
            async for attempt in _patiently():
                with attempt:
                    status, told, _ = await self._send("GET", path)
                    if plural not in {each["name"] for each in told.get("resources") or ()}:
                        raise NotServedYet(f"{path} does not tell of {plural}: {status}")
                    status, _, _ = await self._send("GET", f"{path}/{plural}?limit=1")
                    if status != 200:
                        raise NotServedYet(f"{path}/{plural}: {status}")

    async def _create(self, crd: dict[str, Any]) -> None:
        name = crd["metadata"]["name"]
        status, body, _ = await self._send("POST", CRDS, crd)
        if status == 201:
            return
        if status != 409:
            raise RuntimeError(f"the API server refuses {name}: {body.get('message')}")
        # That of a run before, which may still be going, or gone by now.
        status, found, _ = await self._send("GET", f"{CRDS}/{name}")
        if status != 200 or "deletionTimestamp" in found["metadata"]:
            raise NotServedYet(f"{name} is being deleted")

    async def _send(self, method: str, path: str, document: object = None) -> tuple[int, Any, Sequence[str]]:
        assert self._session is not None
        body = io.BytesIO(msgspec.json.encode(_as_json(document))) if document is not None else None
        headers = {"Content-Type": "application/json"} if body is not None else {}
        async with self._session.request(
            method, self._config.server + path, data=body, headers=headers, ssl=self._tls or False
        ) as response:
            answered = await response.read()
            try:
                decoded = msgspec.json.decode(answered)
            except msgspec.DecodeError:
                decoded = {"message": answered.decode("utf-8", "replace")}
            return response.status, decoded, response.headers.getall("Warning", [])


def _patiently() -> AsyncIterator[stamina.Attempt]:
    return aiter(stamina.retry_context(on=NotServedYet, attempts=None, timeout=SERVED_SECONDS, wait_max=0.5))


def _as_json(value: Any) -> Any:
    """The document as kubectl sends what it reads from YAML: a whole number is written without a fraction."""
    if isinstance(value, dict):
        return {name: _as_json(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_as_json(part) for part in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _unquoted(text: str) -> str:
    """A field's path out of its two layers of quotes."""
    once = re.sub(r"\\(.)", r"\1", text)
    return re.sub(r"\\(.)", r"\1", once.strip('"'))


CHANNELS = ("experimental", "standard")


def _group(channel: str) -> str:
    return f"{channel}.validation.test"


def _copies(channel: str) -> list[dict[str, Any]]:
    """The CRDs of a channel under the channel's own group."""
    found = []
    for kind in GATEWAY_KINDS:
        file = module_folder(MODULE) / f"config/crd/{channel}/gateway.networking.k8s.io_{PLURALS[kind]}.yaml"
        crd = yaml.load(file.read_text(), Loader=yaml.CSafeLoader)
        spec = {**crd["spec"], "group": _group(channel)}
        found.append(
            {
                "apiVersion": crd["apiVersion"],
                "kind": crd["kind"],
                "metadata": {"name": f"{PLURALS[kind]}.{_group(channel)}"},
                "spec": spec,
            }
        )
    return found


def _addressed(case: Case) -> tuple[dict[str, Any], str]:
    """The document under the group of its channel, and where it is sent."""
    document = case.document
    group, _, version = str(document["apiVersion"]).rpartition("/")
    if case.kind in GATEWAY_KINDS:
        group = _group(case.channel)
        document = {**document, "apiVersion": f"{group}/{version}"}
    root = f"/apis/{group}/{version}" if group else f"/api/{version}"
    if case.kind in CLUSTER_SCOPED:
        return document, f"{root}/{PLURALS[case.kind]}"
    metadata = document.get("metadata")
    written = metadata.get("namespace") if isinstance(metadata, dict) else None
    namespace = written if isinstance(written, str) and written.strip(". ") else NAMESPACE
    return document, f"{root}/namespaces/{quote(namespace, safe='')}/{PLURALS[case.kind]}"
