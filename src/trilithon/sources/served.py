"""Choose one resource for each key out of everything the documents say, as an API server would hold it.

- An object written in two places is a mistake on both. The one that is being served stays; where none was, the first by
  path and line is taken. Removing either heals it.
- ``generation`` is 1 at first and grows with each change of the spec. Where a kind has no spec, any change counts.
- A namespace exists as soon as an object lives in it, and carries the label ``kubernetes.io/metadata.name``.
- The GatewayClass ``trilithon`` always exists: files need not repeat what every installation has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from types import MappingProxyType

from msgspec import Struct
from msgspec.structs import replace

from trilithon.model.settings import CONTROLLER_NAME
from trilithon.resources.core import Namespace
from trilithon.resources.decode import Resource
from trilithon.resources.gateways import GatewayClass, GatewayClassSpec
from trilithon.resources.meta import Key
from trilithon.sources.last_good import Document

NAME_LABEL = "kubernetes.io/metadata.name"
CLASS = GatewayClass(Key("GatewayClass", "", "trilithon"), 1, "", GatewayClassSpec(controller_name=CONTROLLER_NAME))


class Candidate(Struct, frozen=True, gc=False):
    """One document's word on an object: its path and its line, from 0, in that document."""

    file: str
    place: int
    within: str
    line: int
    resource: Resource


class Served:
    """The chosen resources. ``exchange`` what documents say, then ``settle`` what follows."""

    def __init__(self) -> None:
        self._candidates: dict[Key, tuple[Candidate, ...]] = {}
        self._keepers: Counter[Key] = Counter()
        self._chosen: dict[Key, Candidate] = {}
        self._resources: dict[Key, Resource] = {}
        self._inhabitants: Counter[str] = Counter()
        self._touched: set[Key] = set()
        self._duplicates: set[Key] = set()

    @property
    def resources(self) -> Mapping[Key, Resource]:
        """All that is served, what is implied included."""
        return MappingProxyType(self._resources)

    @property
    def duplicates(self) -> AbstractSet[Key]:
        """The objects that are written in more than one place."""
        return self._duplicates

    def candidates(self, key: Key) -> tuple[Candidate, ...]:
        """Every place an object is written in."""
        return self._candidates.get(key, ())

    def chosen(self, key: Key) -> Candidate | None:
        """Where a served object was read; None for what is implied."""
        return self._chosen.get(key)

    def exchange(self, file: str, gone: Iterable[Document], come: Iterable[Document]) -> None:
        """Take back what some documents of a file said, and hear what others say now."""
        for document in gone:
            for placed in document.reading.good:
                self._candidates[placed.key] = tuple(
                    candidate
                    for candidate in self._candidates[placed.key]
                    if (candidate.file, candidate.place, candidate.within) != (file, document.place, placed.within)
                )
            self._keepers.subtract(document.keeps)
            self._touched |= document.keys
        for document in come:
            for placed in document.reading.good:
                candidate = Candidate(file, document.place, placed.within, placed.line, placed.resource)
                self._candidates[placed.key] = (*self._candidates.get(placed.key, ()), candidate)
            self._keepers.update(document.keeps)
            self._touched |= document.keys

    def settle(self, line_of: Callable[[Candidate], int]) -> dict[Key, Resource | None]:
        """Choose again where something was exchanged; returns what differs (None: gone).

        ``line_of`` gives a candidate's line, for the order of several first sightings of one object.
        """
        changes: dict[Key, Resource | None] = {}
        namespaces: set[str] = set()
        for key in sorted(self._touched):
            had = key in self._chosen
            self._choose(key, line_of, changes)
            if key.namespace and had != (key in self._chosen):
                self._inhabitants[key.namespace] += -1 if had else 1
                namespaces.add(key.namespace)
            elif key.kind == "Namespace":
                namespaces.add(key.name)
        self._touched = set()
        for name in namespaces:
            self._imply(name, changes)
        if CLASS.key not in self._resources:
            changes[CLASS.key] = self._resources[CLASS.key] = CLASS
        return changes

    def _choose(self, key: Key, line_of: Callable[[Candidate], int], changes: dict[Key, Resource | None]) -> None:
        candidates = self._candidates.get(key, ())
        (self._duplicates.add if len(candidates) > 1 else self._duplicates.discard)(key)
        if not candidates:
            self._candidates.pop(key, None)
            if self._keepers[key] > 0:
                return  # a broken document stands for it: it stays as last read
            del self._keepers[key]
            if self._chosen.pop(key, None) is not None:
                changes[key] = None
                del self._resources[key]
            return
        now = self._chosen.get(key)
        best = candidates[0]
        if len(candidates) > 1:
            best = min(candidates, key=lambda one: (not _is_same_place(one, now), one.file, line_of(one)))
        self._chosen[key] = best
        resource = _as_stored(best.resource, self._resources.get(key) if now else None)
        if self._resources.get(key) != resource:
            changes[key] = self._resources[key] = resource

    def _imply(self, name: str, changes: dict[Key, Resource | None]) -> None:
        """Bring in or let go a namespace that no document describes."""
        key = Key("Namespace", "", name)
        if key in self._chosen:
            return
        if self._inhabitants[name] > 0:
            implied = Namespace(key, 1, "", ((NAME_LABEL, name),))
            if self._resources.get(key) != implied:
                changes[key] = self._resources[key] = implied
            else:
                changes.pop(key, None)
        elif self._resources.pop(key, None) is not None:
            changes[key] = None


def _is_same_place(candidate: Candidate, now: Candidate | None) -> bool:
    return now is not None and (candidate.file, candidate.place, candidate.within) == (now.file, now.place, now.within)


def _as_stored(resource: Resource, before: Resource | None) -> Resource:
    """The resource as an API server would store it over an earlier one."""
    if isinstance(resource, Namespace):
        labels = dict(resource.labels) | {NAME_LABEL: resource.key.name}
        resource = replace(resource, labels=tuple(sorted(labels.items())))
    if before is None:
        return resource
    is_same_spec = (
        resource.spec == before.spec
        if hasattr(resource, "spec") and hasattr(before, "spec")
        else replace(resource, generation=before.generation, created=before.created) == before
    )
    return replace(resource, generation=before.generation + (not is_same_spec))
