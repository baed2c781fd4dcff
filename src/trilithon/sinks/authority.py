"""The installation's own certificate authority, in a Secret that all replicas share.

Whoever finds no Secret makes one; who loses that race takes the winner's. From then on each replica looks at it once a
minute, takes over what changed, and moves the trust on when its time has come. A Secret that is gone is written again
as it was, so that Envoys stay connected. A Secret that cannot be read changes nothing: the last good one counts.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from trilithon.kube.client import Client
from trilithon.kube.errors import ApiError, KubeError
from trilithon.kube.objects import ApiKind, ObjectPath
from trilithon.sinks.certification import CertificateUnusable
from trilithon.sinks.trust import Trust, advanced, data_of, new_trust, trust_of

SECRET_NAME = "trilithon-xds-ca"  # noqa: S105 - the name of an object, no secret
LOOK_SECONDS = 60.0

_SECRETS = ApiKind("", "v1", "Secret", "secrets")
_TYPE = "kubernetes.io/tls"
_LABELS = {"app.kubernetes.io/managed-by": "trilithon"}

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The time."""
    return datetime.now(UTC)


class AuthorityUnusable(Exception):
    """The Secret with the authority cannot be used; the message says why and what helps, never what it holds."""


class Authority:
    """The trust as it is now: ``trust`` is replaced, never changed."""

    def __init__(self, trust: Trust) -> None:
        self.trust = trust


class StoredAuthority(Authority):
    """An authority in a Secret; made by ``load``. ``on_trouble`` hears in a sentence why it could not be looked at."""

    def __init__(
        self, client: Client, path: ObjectPath, trust: Trust, clock: Clock, on_trouble: Callable[[str], None]
    ) -> None:
        super().__init__(trust)
        self._client = client
        self._path = path
        self._clock = clock
        self._on_trouble = on_trouble

    @classmethod
    async def load(
        cls, client: Client, namespace: str, on_trouble: Callable[[str], None], clock: Clock = utc_now
    ) -> StoredAuthority:
        """The authority of this namespace, made if there is none. Raises KubeError, AuthorityUnusable."""
        path = ObjectPath(_SECRETS, SECRET_NAME, namespace)
        trust = new_trust(clock())
        secret = await _found_or_made(client, path, trust)
        try:
            trust = trust_of(_data(secret))
        except CertificateUnusable as error:
            raise AuthorityUnusable(f"{path}: {error}; mend it, or delete it to have a new one made") from error
        return cls(client, path, trust, clock, on_trouble)

    async def keep(self) -> None:
        """Follow the Secret for ever."""
        while True:
            try:
                await self.look()
            except (KubeError, AuthorityUnusable) as error:
                self._on_trouble(str(error))
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Take over what changed, and write what is due. Raises KubeError, AuthorityUnusable."""
        secret = await _found_or_made(self._client, self._path, self.trust)
        try:
            trust = trust_of(_data(secret))
        except CertificateUnusable as error:
            raise AuthorityUnusable(f"{self._path}: {error}; the last good one is used on") from error
        due = advanced(trust, self._clock())
        if due is not trust and not await self._is_replaced(secret, due):
            # Another replica was faster; the next look brings what it wrote.
            return
        if data_of(due) != data_of(self.trust):
            self.trust = due

    async def _is_replaced(self, secret: dict[str, Any], trust: Trust) -> bool:
        """Write the trust over exactly this version; False when that is not the latest."""
        try:
            await self._client.replace(self._path, {**secret, "data": _encoded(data_of(trust))})
        except ApiError as error:
            if error.status in (404, 409):
                return False
            raise
        return True


async def _found_or_made(client: Client, path: ObjectPath, trust: Trust) -> dict[str, Any]:
    """The Secret as it is stored: found, or made with this trust, or found after all."""
    while True:
        try:
            return _decoded(await client.read(path))
        except ApiError as error:
            if error.status != 404:
                raise
        metadata = {"name": path.name, "namespace": path.namespace, "labels": _LABELS}
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": _TYPE}
        try:
            return _decoded(await client.create(path.kind, path.namespace, {**body, "data": _encoded(data_of(trust))}))
        except ApiError as error:
            if error.status != 409:
                raise


def _decoded(body: bytes) -> dict[str, Any]:
    decoded: dict[str, Any] = msgspec.json.decode(body)
    return decoded


def _data(secret: Mapping[str, Any]) -> dict[str, bytes]:
    try:
        return {name: base64.b64decode(value, validate=True) for name, value in (secret.get("data") or {}).items()}
    except (binascii.Error, TypeError, ValueError) as error:
        raise CertificateUnusable("an entry is not base64") from error


def _encoded(data: Mapping[str, bytes]) -> dict[str, str]:
    return {name: base64.b64encode(value).decode() for name, value in data.items()}
