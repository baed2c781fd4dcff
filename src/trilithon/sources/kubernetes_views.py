"""Hear what each watch says, and bring it into what is known.

No IO: time is an argument. A view is one watch; what it does with an object depends on what its kind is for.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from trilithon.kube.events import (
    Degraded,
    Delete,
    Event,
    Found,
    Gone,
    Missing,
    Restored,
    Rewound,
    Synced,
    Undecodable,
    Upsert,
)
from trilithon.kube.objects import ApiKind, ObjectHead, ObjectName, ObjectPath
from trilithon.model.api_version import BUNDLE_VERSION, CHANNEL, ApiVersion
from trilithon.model.stored import Stored
from trilithon.resources.kinds import Kind
from trilithon.resources.meta import GATEWAY_GROUP, Key
from trilithon.resources.problem import Problem
from trilithon.resources.stored import ObjectReader, StoredObject
from trilithon.sources.kubernetes_guard import Guard, is_mass
from trilithon.sources.kubernetes_kinds import CRD, WatchedKind
from trilithon.sources.kubernetes_reads import NamedReads
from trilithon.sources.kubernetes_state import ClusterState
from trilithon.sources.kubernetes_trouble import Troubles, held_problem, kind_problem

# An API server that has just started may not serve yet what custom resource definitions say.
MISSING_SECONDS = 20.0

# Consent that cannot be read is none; and a route must not be served by what it said before, as a restart would not.
_NONE_IF_UNREAD = frozenset({"ReferenceGrant", "HTTPRoute"})

_HEAD = msgspec.json.Decoder(ObjectHead)


class Holder(Protocol):
    """What a view does with the objects of its kind."""

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

    def upsert(self, api_kind: ApiKind | None, name: ObjectName, value: StoredObject, now: float) -> None:
        """An object as it is now; what cannot be read stays as last read, but for what would serve or allow it."""
        key = value.key
        if api_kind is not None and self._watched.has_our_status and "status" in api_kind.subresources:
            self._state.stored(key, _stored(api_kind, name, value))
        if self._state.counts(key):
            self._troubles.say(key, value.problems)
        if value.resource is not None:
            self._state.upsert(value.resource, now)
        elif key.kind in _NONE_IF_UNREAD:
            self._state.remove(key, now)

    def delete(self, name: ObjectName, now: float) -> None:
        """An object is gone."""
        key = Key(self._watched.name, name.namespace, name.name)
        self._troubles.say(key, ())
        self._state.stored(key, None)
        self._state.remove(key, now)

    def forget_version(self, name: ObjectName) -> None:
        """Whoever writes to the object waits until it is told again."""
        self._state.stored(Key(self._watched.name, name.namespace, name.name), None)


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


class View:
    """One watch: its objects, and how it is doing."""

    def __init__(self, watched: WatchedKind, holder: Holder, troubles: Troubles, guard: Guard) -> None:
        self.watched = watched
        self.holder = holder
        # What a complete list was without, and is there for us all the same.
        self.held = guard.hold()
        self._guard = guard
        # Whether so many of these names are too many to vanish.
        self.is_mass: Callable[[Collection[ObjectName]], bool] = self._are_many
        self._place = str(watched)
        self.is_synced = False
        self.trouble: Degraded | Missing | Gone | None = None
        self.missing_since: float | None = None
        # Whether the watch knows of objects that are gone for us.
        self.is_outdated = False
        self._troubles = troubles
        self._api_kind: ApiKind | None = None
        self._names: set[ObjectName] = set()
        # What a watch that began anew has not told of yet, and what a list that is being read is without.
        self._unseen: set[ObjectName] = set()
        self._swept: set[ObjectName] = set()
        # Whether that list has an object that may be any of those.
        self._has_unnamed = False
        # Whether the watch has completed a list, and that while something was held; whether the next one may be of
        # other objects.
        self.is_listed = self._was_alarmed = self._is_doubtful = False

    def __len__(self) -> int:
        return len(self._names)

    def begin(self) -> None:
        """A new watch begins, which does not know what the last one told."""
        self._unseen, self._swept = set(self._names), set()
        self.is_outdated = self.is_listed = self._has_unnamed = False
        self._well()

    def drop(self, now: float) -> None:
        """All objects are gone."""
        # A watch that was told of nothing since still knows of them.
        self.is_outdated |= bool(self._names)
        self._is_doubtful = False
        for name in list(self._names):
            self._delete(name, now)

    def hear(self, event: Event[Any], now: float) -> None:
        """What the watch says."""
        match event:
            case Found(kind):
                self._api_kind = kind
            case Upsert(name, value):
                self._seen(name)
                self._troubles.say((self._place, name), ())
                self.holder.upsert(self._api_kind, name, value, now)
            case Undecodable(name, reason):
                if name is not None:
                    self._seen(name)
                else:
                    self._has_unnamed = True
                self._troubles.say((self._place, name), [_undecodable(self.watched, name, reason)])
            case Delete(name, True):
                self._swept.add(name)
            case Delete(name, _):
                self._delete(name, now)
            case Synced():
                self._listed(now)
            case Degraded() | Missing() | Gone():
                self._failed(event, now)
            case Rewound():
                self._is_doubtful = True
                for name in self._names:
                    self.holder.forget_version(name)
            case Restored():
                self._well()

    def _listed(self, now: float) -> None:
        """A list is complete: what it is without is gone, or held."""
        self.is_synced = self.is_listed = True
        if not self._has_unnamed:
            missing = {*self._unseen, *self._swept, *self.held.names}
            for name in self._gone(missing, now):
                self._delete(name, now)
            self._unseen, self._swept = set(), set()
        self._has_unnamed = self._is_doubtful = False
        self._was_alarmed = self._guard.is_alarmed
        self._tell_held()

    def _gone(self, missing: Collection[ObjectName], now: float) -> Collection[ObjectName]:
        if self.watched.is_never_held:
            return missing
        new = self.held.new(missing)
        is_mass_ = bool(new) and (self._is_doubtful or self.is_mass(new))
        return self.held.judge(missing, len(self._names), now, is_mass=is_mass_, is_next=self._was_alarmed)

    def _are_many(self, new: Collection[ObjectName]) -> bool:
        return is_mass(len(new), len(self._names) - len(self.held))

    def _failed(self, event: Degraded | Missing | Gone, now: float) -> None:
        self.trouble = event
        self.missing_since = None if isinstance(event, Degraded) else now
        self._was_alarmed = False
        # A kind that is served again was perhaps made anew, and its objects not yet.
        self._is_doubtful |= not isinstance(event, Degraded)
        self._troubles.say(self._place, [kind_problem(self.watched, event)])

    def _tell_held(self) -> None:
        self._troubles.say((self._place, "held"), [held_problem(self.watched, self.held)] if self.held else ())

    def _well(self) -> None:
        self.trouble = self.missing_since = None
        self._troubles.say(self._place, ())

    def _seen(self, name: ObjectName) -> None:
        self._names.add(name)
        self._unseen.discard(name)
        self._swept.discard(name)
        self._hold_no_more(name)

    def _delete(self, name: ObjectName, now: float) -> None:
        self._names.discard(name)
        self._hold_no_more(name)
        self._troubles.say((self._place, name), ())
        self.holder.delete(name, now)

    def _hold_no_more(self, name: ObjectName) -> None:
        if name in self.held:
            self.held.forget(name)
            if not self.held:
                self._tell_held()


def _undecodable(watched: WatchedKind, name: ObjectName | None, reason: str) -> Problem:
    key = Key(watched.name, name.namespace, name.name) if name is not None else None
    return Problem("InvalidValue", key, "", f"the object cannot be read: {reason}", place=str(watched))


class Views:
    """All watches of a cluster, and what they say together."""

    def __init__(self, views: tuple[View, ...], definitions: Definitions) -> None:
        self.all = views
        self._definitions = definitions
        self._of_definitions = tuple(view for view in views if view.watched.wanted == CRD)
        for view in self._of_definitions:
            view.is_mass = self._are_many_definitions

    @property
    def is_any_well(self) -> bool:
        """Whether any kind was listed and is watched without trouble."""
        return any(view.is_synced and view.trouble is None for view in self.all)

    def awaited(self, now: float) -> list[str]:
        """The kinds that were not listed yet, and are not known not to be there."""
        return [str(view.watched) for view in self.all if not (view.is_synced or self._is_dispensable(view, now))]

    def sweep(self, now: float) -> None:
        """A kind whose definition was removed has no objects, also if nobody told of each.

        That it is not served proves nothing: what stands before an API server may say so of any kind.
        """
        if not self._are_definitions_current():
            return
        held = {name.name for view in self._of_definitions for name in view.held.names}
        for view in self.all:
            missing = held if view.watched.is_never_held else ()
            if isinstance(view.trouble, Gone | Missing) and self._definitions.is_removed(view.watched, missing):
                view.drop(now)

    def _is_dispensable(self, view: View, now: float) -> bool:
        if view.watched.is_optional:
            return view.trouble is not None
        if not isinstance(view.trouble, Missing) or view.missing_since is None or not view.watched.is_custom:
            return False
        # An API server that starts may deny a kind whose objects it holds.
        is_undefined = self._are_definitions_current() and not self._definitions.define(view.watched)
        return is_undefined or now - view.missing_since >= MISSING_SECONDS

    def _are_definitions_current(self) -> bool:
        return all(view.is_synced and view.trouble is None for view in self._of_definitions)

    def _are_many_definitions(self, missing: Collection[ObjectName]) -> bool:
        """Whether they define at least half of the kinds that have objects, and more than one."""
        names = {name.name for name in missing}
        used = {view.watched.name: definitions_of(view.watched) for view in self.all if view.watched.is_custom and view}
        hit = sum(not names.isdisjoint(definitions) for definitions in used.values())
        return hit > 1 and 2 * hit >= len(used)
