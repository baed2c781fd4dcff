"""Lead while holding a Lease of coordination.k8s.io/v1: take it, renew it, give it back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct

from trilithon.kube.client import Client
from trilithon.kube.errors import ApiError, KubeError, NotUnderstood
from trilithon.kube.lease_state import DURATION_SECONDS, RETRY_SECONDS, Held, LeaseState, Take
from trilithon.kube.objects import ApiKind, Metadata, ObjectPath

LEASES = ApiKind("coordination.k8s.io", "v1", "Lease", "leases")
MANAGER = "trilithon-lease"
# Shutting down does not wait longer for an API server that may be away.
RELEASE_SECONDS = 3.0


class _Spec(Struct, rename="camel"):
    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    lease_transitions: int | None = None


class _Lease(Struct):
    metadata: Metadata
    spec: _Spec | None = None


class Leadership:
    """Whether this process leads. ``client`` should be one of its own, so that renewing never waits behind writes.

    ``changed`` is called with True and False as leading begins and ends, ``on_trouble`` with why the Lease cannot be
    read or written ("": it can again). Still, ask ``leads`` before each act: it is exact even where this process was
    stopped for a while and nothing could be called in time.
    """

    def __init__(
        self,
        client: Client,
        lease: ObjectPath,
        identity: str,
        changed: Callable[[bool], None],
        *,
        on_trouble: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._lease = lease
        self._on_trouble = on_trouble
        self._state = LeaseState(identity)
        self._changed = changed
        self._clock = clock
        self._is_told = False
        self._trouble = ""

    @property
    def leads(self) -> bool:
        """Whether we lead now."""
        return self._state.leads(self._clock())

    @property
    def holder(self) -> str:
        """Who held the Lease when it was seen last; "" for nobody."""
        return self._state.seen.holder if self._state.seen is not None else ""

    @property
    def trouble(self) -> str:
        """Why the last look at the Lease failed; "" if it did not."""
        return self._trouble

    async def run(self) -> None:
        """Take part until cancelled, then give the Lease back."""
        try:
            while True:
                before = self._trouble
                pause = await self._round()
                if self._trouble != before:
                    self._on_trouble(self._trouble)
                self._tell()
                # Leading ends in time even if the next look is late.
                if self.leads:
                    pause = min(pause, self._state.ends_in(self._clock()))
                await asyncio.sleep(max(0.0, pause))
                self._tell()
        finally:
            was_leading = self.leads
            self._state.gave_up()
            self._tell()
            if was_leading:
                with suppress(KubeError, TimeoutError):
                    async with asyncio.timeout(RELEASE_SECONDS):
                        await self._release()

    async def _round(self) -> float:
        """Look, and take the Lease if that is due; seconds until the next look."""
        patience = self._state.ends_in(self._clock()) if self.leads else 2 * RETRY_SECONDS
        try:
            # Who leads stops in time, and who does not asks again rather than wait for one slow answer.
            async with asyncio.timeout(patience):
                pause = await self._look()
        except ApiError as error:
            # On a conflict somebody else was faster: that is no trouble, and the next look says who.
            self._trouble = "" if error.status == 409 else str(error)
        except KubeError as error:
            self._trouble = str(error)
        except TimeoutError:
            self._trouble = "the API server does not answer"
        else:
            self._trouble = ""
            return pause
        return self._state.pause()

    async def _look(self) -> float:
        # Who leads knows the Lease already: the version makes the server refuse if it has changed.
        if not self.leads:
            self._state.saw(await self._read(), self._clock())
        step = self._state.next(self._clock())
        if not isinstance(step, Take):
            return step.seconds
        sent_at = self._clock()
        try:
            held = await self._write(step)
        except ApiError as error:
            if error.status in (404, 409):
                self._state.saw(await self._read(), self._clock())
            raise
        self._state.took(held, sent_at, self._clock())
        return self._state.pause()

    async def _read(self) -> Held:
        try:
            return _held(await self._client.read(self._lease))
        except ApiError as error:
            if error.status == 404:
                return Held()
            raise

    async def _write(self, step: Take) -> Held:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec: dict[str, Any] = {
            "holderIdentity": self._state.identity,
            "leaseDurationSeconds": int(DURATION_SECONDS),
            "renewTime": now,
        }
        if not step.is_renewal(self._state.identity):
            spec |= {"acquireTime": now, "leaseTransitions": step.seen.transitions + 1}
        if not step.seen.version:
            spec["leaseTransitions"] = 0
            body = {
                "apiVersion": LEASES.api_version,
                "kind": LEASES.kind,
                "metadata": {"name": self._lease.name, "namespace": self._lease.namespace},
                "spec": spec,
            }
            return _held(await self._client.create(LEASES, self._lease.namespace, body))
        return _held(await self._patch(step.seen.version, spec))

    async def _patch(self, version: str, spec: dict[str, Any]) -> bytes:
        body = {"metadata": {"resourceVersion": version}, "spec": spec}
        return await self._client.merge_patch(self._lease, body, MANAGER)

    async def _release(self) -> None:
        """Let the next one lead at once instead of when our time is over."""
        seen = self._state.seen
        if seen is not None:
            await self._patch(seen.version, {"holderIdentity": None, "leaseDurationSeconds": 1})

    def _tell(self) -> None:
        if self._is_told != (leads := self.leads):
            self._is_told = leads
            self._changed(leads)


def _held(answer: bytes) -> Held:
    try:
        lease = msgspec.json.decode(answer, type=_Lease)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise NotUnderstood("the Lease is not understood") from None
    spec = lease.spec or _Spec()
    return Held(
        spec.holder_identity or "",
        float(spec.lease_duration_seconds or DURATION_SECONDS),
        lease.metadata.resource_version,
        spec.lease_transitions or 0,
    )
