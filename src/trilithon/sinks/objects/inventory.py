"""Know which generated objects an API server holds, by the Gateways that own them. No IO."""

from __future__ import annotations

import msgspec

from trilithon.kube.objects import ApiKind, ObjectPath
from trilithon.resources.meta import Key
from trilithon.sinks.objects.generated_objects import Existing


class Inventory:
    """What watches and answers have shown."""

    def __init__(self) -> None:
        self._objects: dict[ObjectPath, Existing] = {}
        self._by_gateway: dict[Key, dict[ObjectPath, Existing]] = {}

    def put(self, existing: Existing) -> bool:
        """Take note of an object; False if something newer of it is known: watches may lag behind answers."""
        known = self._objects.get(existing.path)
        if known is not None and existing.is_older_than(known):
            return False
        self.remove(existing.path)
        self._objects[existing.path] = existing
        if existing.owner is not None:
            self._by_gateway.setdefault(existing.owner.gateway, {})[existing.path] = existing
        return True

    def forget_versions(self, kind: ApiKind, namespace: str = "") -> None:
        """Whatever is told next of the objects of a kind (in a namespace, or in all if "") is not older than known."""
        for path, known in list(self._objects.items()):
            if path.kind == kind and namespace in ("", path.namespace):
                self.put(msgspec.structs.replace(known, version=""))

    def remove(self, path: ObjectPath) -> Existing | None:
        """The object is gone; what was known of it."""
        known = self._objects.pop(path, None)
        if known is not None and known.owner is not None:
            of_gateway = self._by_gateway[known.owner.gateway]
            del of_gateway[path]
            if not of_gateway:
                del self._by_gateway[known.owner.gateway]
        return known

    def get(self, path: ObjectPath) -> Existing | None:
        """The object at this path."""
        return self._objects.get(path)

    def of(self, gateway: Key) -> tuple[Existing, ...]:
        """Everything that Gateways of this name own, in order."""
        found = self._by_gateway.get(gateway, {})
        return tuple(sorted(found.values(), key=lambda each: str(each.path)))

    def gateways(self) -> tuple[Key, ...]:
        """The Gateways that own anything."""
        return tuple(self._by_gateway)
