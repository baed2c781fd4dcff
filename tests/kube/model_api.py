"""A model of what an API server keeps of one kind: objects, versions, and a history that is compacted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

GROUP, KIND, PLURAL = "shop.test", "Widget", "widgets"


class ModelApi:
    """One kind; every change has the next version, and its event stays until ``compact``."""

    def __init__(self) -> None:
        self.version = 10
        self.objects: dict[str, dict[str, Any]] = {}
        self.history: list[tuple[int, bytes]] = []
        self.compacted = 10
        # Versions of the kind's group that hold it; empty while its CRD is not there.
        self.served: tuple[str, ...] = ("v1",)
        self._uids = 0

    def put(self, name: str, **values: Any) -> None:
        """Create or change an object."""
        old = self.objects.get(name)
        self._uids += old is None
        uid = old["metadata"]["uid"] if old is not None else f"uid-{self._uids}"
        self.version += 1
        metadata = {"name": name, "namespace": "shop", "uid": uid, "resourceVersion": str(self.version)}
        self.objects[name] = {"kind": KIND, "metadata": metadata, "spec": values}
        self._record("ADDED" if old is None else "MODIFIED", self.objects[name])

    def delete(self, name: str) -> None:
        """Delete an object."""
        gone = self.objects.pop(name)
        self.version += 1
        metadata = {**gone["metadata"], "resourceVersion": str(self.version)}
        self._record("DELETED", {**gone, "metadata": metadata})

    def copy(self) -> ModelApi:
        """What an API server is that was started from a copy of the data; it knows no history."""
        other = ModelApi()
        other.version = other.compacted = self.version
        other.objects = dict(self.objects)
        other.served = self.served
        other._uids = self._uids
        return other

    def compact(self) -> None:
        """Forget all history."""
        self.history.clear()
        self.compacted = self.version

    def tick(self) -> None:
        """Something else changed: the version grows."""
        self.version += 1

    def names_and_versions(self) -> dict[str, str]:
        """What a client should know."""
        return {name: each["metadata"]["resourceVersion"] for name, each in self.objects.items()}

    def page(self, query: Mapping[str, str]) -> tuple[int, bytes]:
        """Status and body of a list; a continue token holds its version and its last name."""
        version, after = self.version, ""
        if token := query.get("continue"):
            at, _, after = token.partition("/")
            version = int(at)
            if version < self.compacted:
                return refusal(410, "Expired", "the continue token is too old")
            if version != self.version:
                # As of then: rebuilt from nothing would need all history, so this model lists from scratch only.
                return refusal(410, "Expired", "the list has changed")
        names = [name for name in sorted(self.objects) if name > after]
        limit = int(query.get("limit", 0)) or len(names)
        shown, rest = names[:limit], names[limit:]
        metadata = {"resourceVersion": str(version)}
        if rest:
            metadata["continue"] = f"{version}/{shown[-1]}"
        items = [self.objects[name] for name in shown] if shown else None
        return 200, msgspec.json.encode({"kind": f"{KIND}List", "metadata": metadata, "items": items})

    def initial(self) -> tuple[list[bytes], int]:
        """The lines of a streamed list, and the version from which changes follow."""
        lines = [line("ADDED", each) for each in self.objects.values()]
        metadata = {"resourceVersion": str(self.version), "annotations": {"k8s.io/initial-events-end": "true"}}
        bookmark = {"kind": KIND, "metadata": {**metadata, "creationTimestamp": None}}
        return [*lines, line("BOOKMARK", bookmark)], self.version

    def since(self, version: int) -> list[tuple[int, bytes]] | None:
        """What happened after a version; None if that is forgotten."""
        if version < self.compacted:
            return None
        return [(at, each) for at, each in self.history if at > version]

    def bookmark(self) -> bytes:
        """A bookmark of now."""
        return line("BOOKMARK", {"kind": KIND, "metadata": {"resourceVersion": str(self.version)}})

    def versions(self) -> tuple[int, bytes]:
        """Discovery of the group."""
        if not self.served:
            return refusal(404, "NotFound", "the server could not find the requested resource")
        return 200, msgspec.json.encode({"name": GROUP, "versions": [{"version": each} for each in self.served]})

    def kinds(self, version: str) -> tuple[int, bytes]:
        """Discovery of a version."""
        if version not in self.served:
            return refusal(404, "NotFound", "the server could not find the requested resource")
        verbs = ["get", "list", "watch", "patch"]
        kind = {"name": PLURAL, "kind": KIND, "namespaced": True, "verbs": verbs}
        status = {"name": f"{PLURAL}/status", "kind": KIND, "namespaced": True, "verbs": ["patch"]}
        return 200, msgspec.json.encode({"resources": [kind, status]})

    def _record(self, type_: str, written: dict[str, Any]) -> None:
        self.history.append((self.version, line(type_, written)))


def line(type_: str, written: object) -> bytes:
    """One line of a stream."""
    return msgspec.json.encode({"type": type_, "object": written}) + b"\n"


def status(code: int, reason: str, message: str) -> dict[str, Any]:
    """A Status object."""
    return {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message}


def refusal(code: int, reason: str, message: str) -> tuple[int, bytes]:
    """A refusing answer."""
    return code, msgspec.json.encode(status(code, reason, message))
