"""Keep what a cluster's watches tell of objects: each kind as it is used.

No IO: time is an argument.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from trilithon.kube.objects import ApiKind, ObjectHead, ObjectName, ObjectPath
from trilithon.model.api_version import BUNDLE_VERSION, CHANNEL, ApiVersion
from trilithon.model.stored import Stored
from trilithon.resources.core import EndpointSlice
from trilithon.resources.kinds import Kind
from trilithon.resources.meta import GATEWAY_GROUP, Key
from trilithon.resources.stored import ObjectReader, StoredObject
from trilithon.sources.kubernetes.kinds import WatchedKind
from trilithon.sources.kubernetes.reads import NamedReads
from trilithon.sources.kubernetes.state import ClusterState
from trilithon.sources.kubernetes.trouble import Troubles

# Consent that cannot be read is none; and a route must not be served by what it said before, as a restart would not.
_NONE_IF_UNREAD = frozenset({"ReferenceGrant", "HTTPRoute"})

SLICE = "EndpointSlice"

_HEAD = msgspec.json.Decoder(ObjectHead)


class Slices:
    """Which EndpointSlices belong together."""

    def __init__(self) -> None:
        self._services: dict[ObjectName, ObjectName] = {}
        self._slices: dict[ObjectName, set[ObjectName]] = {}

    def put(self, name: ObjectName, service: str) -> None:
        """An EndpointSlice belongs to this Service of its namespace; to none if ""."""
        self.remove(name)
        if service:
            whole = self._services[name] = ObjectName(name.namespace, service)
            self._slices.setdefault(whole, set()).add(name)

    def remove(self, name: ObjectName) -> None:
        """An EndpointSlice is gone."""
        service = self._services.pop(name, None)
        if service is not None:
            self._slices[service].discard(name)
            if not self._slices[service]:
                del self._slices[service]

    def service_of(self, name: ObjectName) -> ObjectName | None:
        """Its Service."""
        return self._services.get(name)

    def siblings(self, name: ObjectName) -> Collection[ObjectName]:
        """All of its Service."""
        service = self._services.get(name)
        return self._slices[service] if service is not None else ()


class Holder(Protocol):
    """What a view does with the objects of its kind."""

    slices: Slices | None

    def decode(self, written: msgspec.Raw, /) -> Any:
        """What is made of an object's bytes. Whatever it raises makes the object Undecodable."""

    def upsert(self, api_kind: ApiKind | None, name: ObjectName, value: Any, now: float) -> None:
        """An object is there; ``value`` is what ``decode`` made of it."""

    def delete(self, name: ObjectName, now: float) -> None:
        """An object is gone."""

    def forget_version(self, name: ObjectName) -> None:
        """Which state of an object was known says nothing of what is told next; it will be told, or is gone."""


class WholeObjects:
    """Objects that become rows."""

    def __init__(self, watched: WatchedKind, kind: Kind, state: ClusterState, troubles: Troubles) -> None:
        self.decode = ObjectReader(kind)
        self._watched = watched
        self._state = state
        self._troubles = troubles
        self.slices = Slices() if watched.name == SLICE else None

    def upsert(self, api_kind: ApiKind | None, name: ObjectName, value: StoredObject, now: float) -> None:
        """An object as it is now; what cannot be read stays as last read, but for what would serve or allow it."""
        key = value.key
        if api_kind is not None and self._watched.has_our_status and "status" in api_kind.subresources:
            self._state.stored(key, _stored(api_kind, name, value))
        if self._state.counts(key):
            self._troubles.say(key, value.problems)
        if self.slices is not None and isinstance(value.resource, EndpointSlice):
            self.slices.put(name, value.resource.service)
        if value.resource is not None:
            self._state.upsert(value.resource, now)
        elif key.kind in _NONE_IF_UNREAD:
            self._state.remove(key, now)

    def delete(self, name: ObjectName, now: float) -> None:
        """An object is gone."""
        key = Key(self._watched.name, name.namespace, name.name)
        if self.slices is not None:
            self.slices.remove(name)
        self._troubles.say(key, ())
        self._state.stored(key, None)
        self._state.remove(key, now)

    def forget_version(self, name: ObjectName) -> None:
        """Whoever writes to the object waits until it is told again."""
        self._state.doubt(Key(self._watched.name, name.namespace, name.name))


def _stored(api_kind: ApiKind, name: ObjectName, value: StoredObject) -> Stored:
    metadata = value.metadata
    return Stored(
        path=ObjectPath(api_kind, name.name, name.namespace),
        uid=metadata.uid,
        resource_version=metadata.resource_version,
        generation=metadata.generation,
        finalizers=metadata.finalizers,
        status=value.status,
        is_read=value.resource is not None,
    )


class NamedObjects:
    """Secrets or ConfigMaps, of which the watch sees only the metadata: those that are named are read anew."""

    slices: Slices | None = None

    def __init__(self, kind: str, state: ClusterState, reads: NamedReads) -> None:
        self._kind = kind
        self._state = state
        self._reads = reads

    def decode(self, written: msgspec.Raw, /) -> str:
        """The resource version is all that matters."""
        return _HEAD.decode(written).metadata.resource_version

    def upsert(self, _api_kind: ApiKind | None, name: ObjectName, value: str, _now: float) -> None:
        """An object has changed."""
        key = Key(self._kind, name.namespace, name.name)
        if self._state.is_named(key):
            self._reads.changed(key, value)

    def delete(self, name: ObjectName, now: float) -> None:
        """An object is gone, and what it held is withdrawn at once."""
        key = Key(self._kind, name.namespace, name.name)
        self._reads.forget(key)
        self._state.remove(key, now)

    def forget_version(self, name: ObjectName) -> None:
        """It is read again, whatever its version."""
        self._reads.forget(Key(self._kind, name.namespace, name.name))


class _CrdMetadata(Struct):
    name: str
    annotations: dict[str, str] | None = None


class _Crd(Struct):
    metadata: _CrdMetadata


class Definitions:
    """The custom resource definitions there are."""

    slices: Slices | None = None

    def __init__(self, state: ClusterState) -> None:
        self.names: set[str] = set()
        # Also those that are gone.
        self._seen: set[str] = set()
        self._state = state
        self._decoder = msgspec.json.Decoder(_Crd)

    def decode(self, written: msgspec.Raw, /) -> ApiVersion:
        """What a definition says of itself."""
        metadata = self._decoder.decode(written).metadata
        annotations = metadata.annotations or {}
        return ApiVersion(metadata.name, annotations.get(BUNDLE_VERSION, ""), annotations.get(CHANNEL, ""))

    def upsert(self, _api_kind: ApiKind | None, name: ObjectName, value: ApiVersion, now: float) -> None:
        """A definition is there."""
        self.names.add(name.name)
        self._seen.add(name.name)
        if name.name.endswith(f".{GATEWAY_GROUP}"):
            self._state.api_version(name.name, value, now)

    def delete(self, name: ObjectName, now: float) -> None:
        """A definition is gone, and all objects of its kind were gone before."""
        self.names.discard(name.name)
        self._state.api_version(name.name, None, now)

    def forget_version(self, name: ObjectName) -> None:
        """Definitions have none here."""

    def define(self, watched: WatchedKind) -> bool:
        """Whether one of them is for this kind."""
        return not self.names.isdisjoint(definitions_of(watched))

    def is_removed(self, watched: WatchedKind, missing: Collection[str] = ()) -> bool:
        """Whether there was one for this kind, and is none now, or is among the missing."""
        there = self.names.intersection(definitions_of(watched))
        return there.issubset(missing) and not self._seen.isdisjoint(definitions_of(watched))


def definitions_of(watched: WatchedKind) -> frozenset[str]:
    """The names that the definition of a kind may have."""
    if not watched.is_custom:
        return frozenset()
    word = watched.name.lower()
    plurals = (word, f"{word}s", f"{word}es", f"{word[:-1]}ies")
    return frozenset(f"{plural}.{watched.wanted.group}" for plural in plurals)
