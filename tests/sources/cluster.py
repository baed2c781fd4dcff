"""A small API server on a real socket: every kind the pipeline takes, streaming lists, selectors, and any mood."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

import msgspec
from aiohttp import web

Object = dict[str, Any]
# Plural, namespace and name.
Place = tuple[str, str, str]
Mood = Callable[[web.Request], web.StreamResponse | None]

GATEWAY = "gateway.networking.k8s.io"
# plural -> (group, version, kind, is_namespaced)
KINDS: dict[str, tuple[str, str, str, bool]] = {
    "customresourcedefinitions": ("apiextensions.k8s.io", "v1", "CustomResourceDefinition", False),
    "namespaces": ("", "v1", "Namespace", False),
    "services": ("", "v1", "Service", True),
    "secrets": ("", "v1", "Secret", True),
    "configmaps": ("", "v1", "ConfigMap", True),
    "endpointslices": ("discovery.k8s.io", "v1", "EndpointSlice", True),
    "gatewayclasses": (GATEWAY, "v1", "GatewayClass", False),
    "gateways": (GATEWAY, "v1", "Gateway", True),
    "httproutes": (GATEWAY, "v1", "HTTPRoute", True),
    "referencegrants": (GATEWAY, "v1", "ReferenceGrant", True),
}


class Copy(NamedTuple):
    """What was held once."""

    version: int
    objects: dict[tuple[str, str, str], Object]


class Cluster:
    """What it holds, and its history. ``moods`` are asked in order for each request: an answer of theirs, or None."""

    def __init__(self) -> None:
        self.kinds = dict(KINDS)
        self.moods: list[Mood] = []
        self.requests: list[web.Request] = []
        self.address = ""
        self._objects: dict[tuple[str, str, str], Object] = {}
        self._history: list[tuple[int, str, str, Object, Object | None]] = []
        self._version = 100
        # Histories that begin before this are not told any more.
        self._compacted = 0
        self._changed = asyncio.Condition()
        self._streams: list[tuple[str, asyncio.Transport]] = []

    async def put(
        self, plural: str, name: str, namespace: str = "", *, labels: Object | None = None, **top: Any
    ) -> None:
        """Create an object, or replace it; the generation counts changes of its spec."""
        group, version, kind, _ = self.kinds.get(plural) or KINDS[plural]
        place = (plural, namespace, name)
        before = self._objects.get(place)
        generation = before["metadata"]["generation"] + (before.get("spec") != top.get("spec")) if before else 1
        metadata = {
            "name": name,
            **({"namespace": namespace} if namespace else {}),
            "uid": before["metadata"]["uid"] if before else f"uid-{self._version}",
            "generation": generation,
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": labels or {},
            "annotations": top.pop("annotations", {}),
            "managedFields": [{"manager": "tests", "fieldsV1": {"f:spec": {}}}],
        }
        api_version = f"{group}/{version}" if group else version
        await self._record(place, {"apiVersion": api_version, "kind": kind, "metadata": metadata, **top}, before)

    async def delete(self, plural: str, name: str, namespace: str = "") -> None:
        """Delete an object."""
        place = (plural, namespace, name)
        await self._record(place, None, self._objects[place])

    async def vanish(self, *places: Place) -> dict[Place, Object]:
        """Let objects be gone without an event, and lists be the only way to notice; returns them."""
        gone = {place: self._objects.pop(place) for place in places}
        self._version += 1
        self._compacted = self._version
        await self.cut()
        return gone

    def appear(self, objects: dict[Place, Object]) -> None:
        """Let objects be there as if they always had been: nobody is told."""
        self._objects.update(objects)

    async def rewind(self, *places: Place) -> None:
        """Be a server whose history has gone back to before it had these objects."""
        for place in places:
            del self._objects[place]
        self._version, self._history = 1, []
        await self.cut()

    async def change(self, change: Callable[[], object]) -> None:
        """Change the moods or the kinds, and let open streams look."""
        async with self._changed:
            change()
            self._changed.notify_all()

    async def cut(self, plural: str = "") -> None:
        """Reset all streams, or those of one kind."""
        async with self._changed:
            cut = [each for each in self._streams if plural in ("", each[0])]
            self._streams = [each for each in self._streams if each not in cut]
            for _, stream in cut:
                stream.abort()
            self._changed.notify_all()

    def copy(self) -> Copy:
        """The data as they are now."""
        return Copy(self._version, dict(self._objects))

    async def restore(self, copy: Copy, noticed_by: str = "") -> None:
        """End, and begin again with a copy of the data from before; or stay up, and have only one kind notice."""
        self._version, self._objects, self._history = copy.version, dict(copy.objects), []
        await self.cut(noticed_by)

    def listed(self, plural: str) -> int:
        """How often a kind was listed so far."""
        return sum(
            request.path.endswith(f"/{plural}") and "sendInitialEvents" in request.query for request in self.requests
        )

    async def _record(self, place: tuple[str, str, str], now: Object | None, before: Object | None) -> None:
        async with self._changed:
            self._version += 1
            held = now if now is not None else {**(before or {})}
            held["metadata"] = {**held["metadata"], "resourceVersion": str(self._version)}
            if now is not None:
                self._objects[place] = now
            else:
                del self._objects[place]
            kind = "DELETED" if now is None else "MODIFIED" if before else "ADDED"
            self._history.append((self._version, place[0], kind, held, before))
            self._changed.notify_all()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Cluster]:
        """The server while it runs."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()

    def asked(self, plural: str) -> list[str]:
        """The paths asked for so far of single objects of a kind."""
        return [request.path for request in self.requests if request.path.rpartition("/")[0].endswith(plural)]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        for mood in self.moods:
            answer = mood(request)
            if answer is not None:
                return answer
        parts = request.path.strip("/").split("/")
        root, parts = ("", parts[1:]) if parts[0] == "api" else ("/".join(parts[1:2]), parts[2:])
        if len(parts) < 2:
            return self._discovery(root, parts)
        namespace = parts[2] if parts[1] == "namespaces" and len(parts) > 3 else ""
        rest = parts[3:] if namespace else parts[1:]
        if rest[0] not in self.kinds:
            return refusal(404, "NotFound")
        if len(rest) > 1:
            found = self._objects.get((rest[0], namespace, rest[1]))
            return _json(found) if found else refusal(404, "NotFound")
        if "watch" in request.query:
            return await self._watch(request, rest[0], namespace)
        items = [_form(each, request) for each in self._matching(request, rest[0], namespace)]
        return _json(
            {
                "kind": f"{self.kinds[rest[0]][2]}List",
                "metadata": {"resourceVersion": str(self._version)},
                "items": items,
            }
        )

    def _discovery(self, group: str, version: list[str]) -> web.Response:
        mine = {plural: kind for plural, kind in self.kinds.items() if kind[0] == group}
        if version:
            resources: list[Object] = []
            for plural, (_, _, kind, is_namespaced) in mine.items():
                resources.append(
                    {"name": plural, "kind": kind, "namespaced": is_namespaced, "verbs": ["list", "watch"]}
                )
                resources.append({"name": f"{plural}/status", "kind": kind, "namespaced": is_namespaced})
            return _json({"resources": resources}) if mine else refusal(404, "NotFound")
        if not group:
            return _json({"versions": ["v1"]})
        versions = [{"version": version} for version in sorted({kind[1] for kind in mine.values()})]
        return _json({"name": group, "versions": versions}) if mine else refusal(404, "NotFound")

    def _matching(self, request: web.Request, plural: str, namespace: str) -> list[Object]:
        return [
            each
            for place, each in self._objects.items()
            if place[0] == plural and namespace in ("", place[1]) and _is_selected(each, request)
        ]

    async def _watch(self, request: web.Request, plural: str, namespace: str) -> web.StreamResponse:
        if "sendInitialEvents" not in request.query and int(request.query["resourceVersion"]) < self._compacted:
            return refusal(410, "Expired")
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        assert request.transport is not None
        self._streams.append((plural, request.transport))
        with suppress(ConnectionError):
            at = int(request.query.get("resourceVersion", "0"))
            if "sendInitialEvents" in request.query:
                at = self._version
                for each in self._matching(request, plural, namespace):
                    await response.write(_line("ADDED", _form(each, request)))
                mark = {"resourceVersion": str(at), "annotations": {"k8s.io/initial-events-end": "true"}}
                await response.write(_line("BOOKMARK", {"metadata": mark}))
            while plural in self.kinds:
                async with self._changed:
                    following = [entry for entry in self._history if entry[0] > at and entry[1] == plural]
                    if not following:
                        await self._changed.wait()
                        continue
                for version, _, kind, held, before in following:
                    at = version
                    if namespace in ("", held["metadata"].get("namespace", "")):
                        await _tell(response, request, kind, held, before)
        return response


async def _tell(
    response: web.StreamResponse, request: web.Request, kind: str, held: Object, before: Object | None
) -> None:
    """Objects that stop being selected are deleted, as far as the watcher is concerned."""
    was, is_ = before is not None and _is_selected(before, request), kind != "DELETED" and _is_selected(held, request)
    said = {(False, True): "ADDED", (True, True): "MODIFIED", (True, False): "DELETED"}.get((was, is_))
    if said is not None:
        await response.write(_line(said, _form(held, request)))


def _is_selected(each: Object, request: web.Request) -> bool:
    labels = each["metadata"].get("labels", {})
    wanted = [part.partition("=") for part in request.query.get("labelSelector", "").split(",") if part]
    name = request.query.get("fieldSelector", "").removeprefix("metadata.name=")
    return all(labels.get(key) == value for key, _, value in wanted) and name in ("", each["metadata"]["name"])


def _form(each: Object, request: web.Request) -> Object:
    return {"metadata": each["metadata"]} if "PartialObjectMetadata" in request.headers["Accept"] else each


def _line(kind: str, held: Object) -> bytes:
    return msgspec.json.encode({"type": kind, "object": held}) + b"\n"


def _json(body: Object) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), content_type="application/json")


def refusal(status: int, reason: str) -> web.Response:
    """What an API server answers when it refuses."""
    body = {"kind": "Status", "code": status, "reason": reason, "message": f"refused: {reason}"}
    return web.Response(status=status, body=msgspec.json.encode(body), content_type="application/json")
