"""Hear what each watch says, and bring it into what is known.

No IO: time is an argument. A view is one watch; what it does with an object depends on what its kind is for.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

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
from trilithon.kube.objects import ApiKind, ObjectName
from trilithon.resources.meta import Key
from trilithon.resources.problem import Problem
from trilithon.sources.kubernetes.guard import Guard, is_mass
from trilithon.sources.kubernetes.holders import SLICE, Definitions, Holder, definitions_of
from trilithon.sources.kubernetes.kinds import CRD, WatchedKind
from trilithon.sources.kubernetes.trouble import Troubles, cause_of, held_problem, kind_problem

# An API server that has just started may not serve yet what custom resource definitions say.
MISSING_SECONDS = 20.0


def _no_loss(_missing: Collection[ObjectName]) -> bool:
    """Objects that are gone are no evidence of anything."""
    return False


class View:
    """One watch: its objects, and how it is doing."""

    def __init__(self, watched: WatchedKind, holder: Holder, troubles: Troubles, guard: Guard) -> None:
        self.watched = watched
        self.holder = holder
        # What a complete list was without, and is there for us all the same.
        self.held = guard.hold()
        self._guard = guard
        # Whether it is evidence of a loss that a list is without these.
        self.is_loss: Callable[[Collection[ObjectName]], bool] = _no_loss
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
        # How many objects were never seen before since the last list was complete.
        self._newcomers = 0
        # Whether the watch has completed a list; when any watch of it did last that says what is gone, and how often
        # there had been evidence of a loss; whether the kind was not served since.
        self.is_listed = self._was_unserved = False
        self.listed_at = float("-inf")
        self._losses = guard.losses

    def __len__(self) -> int:
        return len(self._names)

    def begin(self) -> None:
        """A new watch begins, which does not know what the last one told."""
        self._unseen, self._swept = set(self._names), set()
        self.is_outdated = self.is_listed = self._has_unnamed = False
        self._newcomers = 0
        # Nor could it notice that history goes back.
        for name in self._names:
            self.holder.forget_version(name)
        self._well()

    def drop(self, now: float) -> None:
        """All objects are gone."""
        # A watch that was told of nothing since still knows of them.
        self.is_outdated |= bool(self._names)
        self._was_unserved = False
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
                self._supersede(name, now)
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
                self._listed(event.newcomers, now)
            case Degraded() | Missing() | Gone():
                self._failed(event, now)
            case Rewound():
                self._guard.lost(now)
                for name in self._names:
                    self.holder.forget_version(name)
            case Restored():
                self._well()

    def release(self, services: View, now: float) -> None:
        """Let go of each EndpointSlice whose Service was listed since a list was first without the slice.

        After another list without it: what comes back comes kind by kind, and the Service may be the first.
        """
        slices = self.holder.slices
        if slices is None:
            return
        for name in list(self.held.names):
            service = slices.service_of(name)
            if service is not None and services.listed_at > self.held.since(name) and services.has(service):
                self._delete(name, now)

    def has(self, name: ObjectName) -> bool:
        """Whether the last list, or an event since, had an object of this name."""
        return name in self._names and name not in self.held

    def _listed(self, newcomers: int, now: float) -> None:
        """A list is complete, and had so many objects that the watch knew nothing of: what it lacks is gone, or held.

        A watch that began anew knew of nothing, and one that goes on was told of new objects before the list, too.
        """
        self.is_synced = self.is_listed = True
        if not self._has_unnamed:
            missing = {*self._unseen, *self._swept, *self.held.names}
            for name in self._gone(missing, min(newcomers, self._newcomers), now):
                self._delete(name, now)
            self._unseen, self._swept = set(), set()
            self._was_unserved = False
            self._losses, self.listed_at = self._guard.losses, now
        self._has_unnamed = False
        self._newcomers = 0
        self._tell_held()

    def _gone(self, missing: Collection[ObjectName], newcomers: int, now: float) -> Collection[ObjectName]:
        if self.watched.is_never_held:
            return missing
        superseded = {name for name in missing if self._is_superseded(name, missing)}
        missing = [name for name in missing if name not in superseded]
        new = self.held.new(missing)
        known = len(self._names) - len(self.held) - newcomers
        if self.is_loss(new):
            self._guard.lost(now)
        is_evident = self._was_unserved or self._guard.is_evident(self._losses, now)
        is_mass_ = is_mass(len(new) - newcomers, known)
        return [*superseded, *self.held.judge(missing, known, now, is_evident=is_evident, is_mass=is_mass_)]

    def _is_superseded(self, name: ObjectName, missing: Collection[ObjectName]) -> bool:
        """Whether the list has another EndpointSlice of the same Service."""
        slices = self.holder.slices
        return slices is not None and any(each not in missing for each in slices.siblings(name))

    def _supersede(self, name: ObjectName, now: float) -> None:
        """An EndpointSlice is there: no other one of its Service is held."""
        if self.held and self.holder.slices is not None:
            for each in [each for each in self.holder.slices.siblings(name) if each in self.held]:
                self._delete(each, now)

    def _failed(self, event: Degraded | Missing | Gone, now: float) -> None:
        self.trouble = event
        self.missing_since = None if isinstance(event, Degraded) else now
        # A kind that is served again was perhaps made anew, and its objects not yet.
        self._was_unserved |= not isinstance(event, Degraded)
        self._troubles.say(self._place, [kind_problem(self.watched, event)], cause_of(event))

    def _tell_held(self) -> None:
        self._troubles.say((self._place, "held"), [held_problem(self.watched, self.held)] if self.held else ())

    def _well(self) -> None:
        self.trouble = self.missing_since = None
        self._troubles.say(self._place, ())

    def _seen(self, name: ObjectName) -> None:
        self._newcomers += name not in self._names
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
            view.is_loss = self._are_many_definitions
        self._services = {view.watched.selection.namespace: view for view in views if view.watched.name == "Service"}
        # Views of EndpointSlices, and when they were listed last that they were compared with the Services there.
        self._compared = {view: view.listed_at for view in views if view.watched.name == SLICE}

    @property
    def is_any_well(self) -> bool:
        """Whether any kind was listed and is watched without trouble."""
        return any(view.is_synced and view.trouble is None for view in self.all)

    def awaited(self, now: float) -> list[str]:
        """The kinds that were not listed yet, and are not known not to be there."""
        return [str(view.watched) for view in self.all if not (view.is_synced or self._is_dispensable(view, now))]

    def sweep(self, now: float) -> None:
        """Drop what only several watches together say to be gone.

        An EndpointSlice that is missing from a list, and its Service is not. And a kind whose definition was removed
        has no objects, also if nobody told of each; that it is not served proves nothing: what stands before an API
        server may say so of any kind.
        """
        self._release(now)
        if not self._are_definitions_current():
            return
        held = {name.name for view in self._of_definitions for name in view.held.names}
        for view in self.all:
            missing = held if view.watched.is_never_held else ()
            if isinstance(view.trouble, Gone | Missing) and self._definitions.is_removed(view.watched, missing):
                view.drop(now)

    def _release(self, now: float) -> None:
        for view, compared in self._compared.items():
            services = self._services.get(view.watched.selection.namespace)
            if services is None or view.listed_at == compared:
                continue
            self._compared[view] = view.listed_at
            view.release(services, now)

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
