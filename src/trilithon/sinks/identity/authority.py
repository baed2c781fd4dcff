"""The installation's own certificate authority, in a Secret that all replicas share.

Whoever finds no Secret makes one; who loses that race takes the winner's. From then on each replica looks at it once a
minute, takes over what changed, and moves the trust on when its time has come. A Secret that is gone is written again
as it was, so that Envoys stay connected. A Secret that cannot be read changes nothing: the last good one counts.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from trilithon.kube.backoff import Backoff
from trilithon.kube.client import Client
from trilithon.kube.errors import ApiError, KubeError
from trilithon.kube.objects import ApiKind, ObjectPath
from trilithon.sinks.identity.certification import CertificateUnusable
from trilithon.sinks.identity.trust import Trust, advanced, data_of, new_trust, trust_of

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
    """The trust as it is now: the value is replaced, never changed. There is none before it is ``known``."""

    def __init__(self, trust: Trust | None = None) -> None:
        self._trust = trust
        self._is_known = asyncio.Event()
        self._followers: list[Callable[[], None]] = []
        if trust is not None:
            self._is_known.set()

    @property
    def trust(self) -> Trust:
        """What holds now; may be asked in any thread. Raises LookupError as long as nothing is known."""
        if self._trust is None:
            raise LookupError("the authority is not known yet")
        return self._trust

    async def known(self) -> Trust:
        """What holds now, as soon as anything does."""
        await self._is_known.wait()
        return self.trust

    def change(self, trust: Trust) -> None:
        """This holds from now on."""
        self._trust = trust
        self._is_known.set()
        for follower in self._followers:
            follower()

    def follow(self, follower: Callable[[], None]) -> None:
        """Call this whenever the trust is another one."""
        self._followers.append(follower)


class StoredAuthority(Authority):
    """The authority in the Secret of a namespace. Nothing is known before ``keep`` or ``look`` found or made it.

    ``on_trouble`` hears in a sentence why it cannot be looked at, once for each reason.
    """

    def __init__(
        self, client: Client, namespace: str, on_trouble: Callable[[str], None], clock: Clock = utc_now
    ) -> None:
        super().__init__()
        self._client = client
        self._path = ObjectPath(_SECRETS, SECRET_NAME, namespace)
        self._on_trouble = on_trouble
        self._clock = clock
        self._told = ""

    async def keep(self) -> None:
        """Follow the Secret for ever."""
        backoff = Backoff(random.Random(), longest=LOOK_SECONDS)  # noqa: S311 - nothing secret is drawn
        while True:
            try:
                await self.look()
            except (KubeError, AuthorityUnusable) as error:
                self._tell(str(error))
                await asyncio.sleep(backoff.failed())
            else:
                self._tell("")
                backoff.reset()
                await asyncio.sleep(LOOK_SECONDS)

    def _tell(self, trouble: str) -> None:
        if trouble and trouble != self._told:
            self._on_trouble(trouble)
        self._told = trouble

    async def look(self) -> None:
        """Find it or make it, take over what changed, and write what is due. Raises KubeError, AuthorityUnusable."""
        last = self._trust
        secret = await _found_or_made(self._client, self._path, last or new_trust(self._clock()))
        try:
            trust = trust_of(_data(secret))
        except CertificateUnusable as error:
            remedy = "mend it, or delete it to have a new one made" if last is None else "the last good one is used on"
            raise AuthorityUnusable(f"{self._path}: {error}; {remedy}") from error
        due = advanced(trust, self._clock())
        if due is not trust and not await self._is_replaced(secret, due):
            # Another replica was faster; the next look brings what it wrote.
            return
        if last is None or data_of(due) != data_of(last):
            self.change(due)

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
