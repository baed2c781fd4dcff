"""Find out which kinds an API server serves, and in which versions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

import msgspec
from msgspec import Struct

from trilithon.kube.errors import ApiError, NotUnderstood
from trilithon.kube.objects import ApiKind
from trilithon.kube.transport import Request, Transport

# Several watches ask for the same group at the same moment: they share one answer. Shorter than any wait after a
# failure, so that whoever was told that a kind is gone gets an answer from after that.
SHARED_SECONDS = 0.2


class _GroupVersion(Struct):
    version: str


class _Group(Struct):
    versions: tuple[_GroupVersion, ...] = ()


class _CoreVersions(Struct):
    versions: tuple[str, ...]


class _Resource(Struct, rename="camel"):
    name: str
    kind: str
    namespaced: bool = False
    verbs: tuple[str, ...] = ()


class _Resources(Struct):
    resources: tuple[_Resource, ...]


class KindWanted(Struct, frozen=True, gc=False):
    """A kind to be watched: in the first of ``versions`` that the server has."""

    group: str
    kind: str
    versions: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.kind}.{self.group}" if self.group else self.kind


class KindMissing(Struct, frozen=True, gc=False):
    """A kind that the server does not serve, or not in any version wanted; ``served`` are the versions it has."""

    wanted: KindWanted
    served: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not self.served:
            return f"the API server does not serve {self.wanted}"
        wanted = " or ".join(self.wanted.versions)
        return f"the API server serves {self.wanted} as {', '.join(self.served)}, which is not {wanted}"


Answer = TypeVar("Answer")


class Discovery:
    """What the API server serves, asked anew whenever it was not asked just now. ``clock`` gives seconds."""

    def __init__(self, transport: Transport, clock: Callable[[], float] = time.monotonic) -> None:
        self.transport = transport
        self._clock = clock
        self._asked: dict[str, tuple[float, asyncio.Task[bytes]]] = {}

    async def versions(self, group: str) -> tuple[str, ...]:
        """The versions of one group, the server's preferred one first; none if it is not served.

        Raises KubeError, as every method here.
        """
        if not group:
            return _decoded(await self._get("/api"), _CoreVersions).versions
        try:
            answer = await self._get(f"/apis/{group}")
        except ApiError as error:
            if error.status == 404:
                return ()
            raise
        return tuple(each.version for each in _decoded(answer, _Group).versions)

    async def kinds(self, group: str, version: str) -> tuple[ApiKind, ...]:
        """The kinds of one version of a group that can be listed and watched; none if it is not served."""
        try:
            answer = await self._get(f"/apis/{group}/{version}" if group else f"/api/{version}")
        except ApiError as error:
            if error.status == 404:
                return ()
            raise
        resources = _decoded(answer, _Resources).resources
        return tuple(
            ApiKind(
                group,
                version,
                resource.kind,
                resource.name,
                resource.namespaced,
                tuple(
                    other.name.partition("/")[2] for other in resources if other.name.startswith(f"{resource.name}/")
                ),
            )
            for resource in resources
            if "/" not in resource.name and {"list", "watch"} <= set(resource.verbs)
        )

    async def find(self, wanted: KindWanted) -> ApiKind | KindMissing:
        """The kind in the best version that is served."""
        versions = await self.versions(wanted.group)
        # Versions of one group differ in their kinds.
        for version in (each for each in wanted.versions if each in versions):
            for kind in await self.kinds(wanted.group, version):
                if kind.kind == wanted.kind:
                    return kind
        others = [version for version in versions if version not in wanted.versions]
        served = [v for v in others if any(kind.kind == wanted.kind for kind in await self.kinds(wanted.group, v))]
        return KindMissing(wanted, tuple(served))

    async def _get(self, path: str) -> bytes:
        now = self._clock()
        asked_at, asking = self._asked.get(path, (float("-inf"), None))
        if asking is None or asking.cancelled() or (asking.done() and now - asked_at >= SHARED_SECONDS):
            asking = asyncio.create_task(self.transport.fetch(Request(path=path)))
            # Even if nobody waits any more when it fails.
            asking.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._asked[path] = (now, asking)
        # Whoever stops waiting does not stop the others.
        return await asyncio.shield(asking)


def _decoded(answer: bytes, expected: type[Answer]) -> Answer:
    try:
        return msgspec.json.decode(answer, type=expected)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise NotUnderstood("the API server's account of what it serves is not understood") from None
