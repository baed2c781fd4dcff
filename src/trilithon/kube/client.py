"""Read and write objects of an API server, as bytes: a bounded number at a time, tried again where that is safe."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import msgspec
import stamina

from trilithon.kube.errors import ApiError, Unreachable
from trilithon.kube.lists import PAGE_OBJECTS, Page, page_of
from trilithon.kube.objects import ApiKind, ObjectPath
from trilithon.kube.transport import Request, Transport

# Enough to keep an API server busy, few enough to leave room for others.
CONCURRENCY = 16
ATTEMPTS = 6
RETRY_SECONDS = 45.0
# A server that asks for more patience than this is told of to the caller, who knows what can wait.
LONGEST_RETRY_AFTER = 30.0

_NO_OPTIONS: Mapping[str, str] = {}


class Client:
    """Requests over a transport, at most ``concurrency`` at once, each tried ``attempts`` times where that is safe.

    Clients over one transport share its connections and credentials, and each has its own bound: what must not wait
    behind others, such as renewing a lease, uses a client of its own.
    """

    def __init__(self, transport: Transport, concurrency: int = CONCURRENCY, attempts: int = ATTEMPTS) -> None:
        self.transport = transport
        self._attempts = attempts
        self._slots = asyncio.Semaphore(concurrency)
        # It would log each retry in a form of its own; what failed for good is raised, and told by whoever asked.
        stamina.instrumentation.set_on_retry_hooks(())

    async def get(self, path: str) -> bytes:
        """What is at a path. Raises KubeError, as every method here."""
        return await self._send(Request(path=path), _is_temporary)

    async def read(self, object_path: ObjectPath, subresource: str = "") -> bytes:
        """One object."""
        return await self.get(object_path.path(subresource))

    async def pages(
        self, kind: ApiKind, namespace: str = "", options: Mapping[str, str] = _NO_OPTIONS
    ) -> AsyncIterator[Page]:
        """All objects of a kind, page by page; a list that expires meanwhile raises ApiError ``is_expired``."""
        query = {"limit": str(PAGE_OBJECTS), **options}
        while True:
            request = Request(path=kind.path(namespace), query=tuple(query.items()))
            page = page_of(await self._send(request, _is_temporary))
            yield page
            if not page.next_page:
                return
            query["continue"] = page.next_page

    async def create(
        self, kind: ApiKind, namespace: str, body: object, options: Mapping[str, str] = _NO_OPTIONS
    ) -> bytes:
        """Make an object that does not exist yet; the answer is the object as stored."""
        request = Request(method="POST", path=kind.path(namespace), query=tuple(options.items()), body=_encoded(body))
        return await self._send(request, _is_not_done)

    async def replace(self, object_path: ObjectPath, body: object, subresource: str = "") -> bytes:
        """Replace an object; a ``resourceVersion`` in it makes the server refuse (409) if it is not the latest."""
        request = Request(method="PUT", path=object_path.path(subresource), body=_encoded(body))
        return await self._send(request, _is_not_done)

    async def apply(
        self,
        object_path: ObjectPath,
        body: object,
        manager: str,
        subresource: str = "",
        options: Mapping[str, str] = _NO_OPTIONS,
    ) -> bytes:
        """Server-side apply: these fields are ours, whoever had them before."""
        request = Request(
            method="PATCH",
            path=object_path.path(subresource),
            query=(("fieldManager", manager), ("force", "true"), *options.items()),
            body=_encoded(body),
            content_type="application/apply-patch+yaml",
        )
        return await self._send(request, _is_temporary)

    async def merge_patch(self, object_path: ObjectPath, body: object, manager: str, subresource: str = "") -> bytes:
        """Merge fields into an object, for example into its ``status``.

        A ``metadata.resourceVersion`` in the body makes the server refuse (409) if it is not the latest.
        """
        request = Request(
            method="PATCH",
            path=object_path.path(subresource),
            query=(("fieldManager", manager),),
            body=_encoded(body),
            content_type="application/merge-patch+json",
        )
        # Not after an answer was lost: with a resource version the second attempt would be a conflict with ourselves.
        return await self._send(request, _is_not_done)

    async def delete(self, object_path: ObjectPath, options: Mapping[str, Any] | None = None) -> bytes:
        """Delete an object; ``options`` are those of DeleteOptions, such as ``preconditions``; a 404 raises too."""
        body = _encoded({"apiVersion": "v1", "kind": "DeleteOptions", **(options or {})})
        request = Request(method="DELETE", path=object_path.path(), body=body)
        return await self._send(request, _is_temporary)

    async def _send(self, request: Request, is_retried: Callable[[Exception], bool | float]) -> bytes:
        if self._attempts == 1:
            # To prepare for other attempts would take as long as all else of a small request.
            async with self._slots:
                return await self.transport.fetch(request)
        async for attempt in stamina.retry_context(on=is_retried, attempts=self._attempts, timeout=RETRY_SECONDS):
            with attempt:
                # Whoever waits for the next attempt holds no slot.
                async with self._slots:
                    return await self.transport.fetch(request)
        raise AssertionError("the last attempt returns or raises")


def _is_not_done(error: Exception) -> bool | float:
    """Whether the server certainly did nothing, so that the same request is right; or in how many seconds."""
    if isinstance(error, ApiError) and error.is_for_later:
        if error.retry_after is None:
            return True
        return error.retry_after if error.retry_after <= LONGEST_RETRY_AFTER else False
    return isinstance(error, Unreachable) and error.is_unsent


def _is_temporary(error: Exception) -> bool | float:
    """The same for requests that may be done twice."""
    if isinstance(error, ApiError) and error.status in (500, 502, 503, 504) and error.retry_after is None:
        return True
    return isinstance(error, Unreachable) or _is_not_done(error)


def _encoded(body: object) -> bytes:
    return body if isinstance(body, bytes) else msgspec.json.encode(body)
