"""Choose one resource for each key out of everything the documents say, as an API server would hold it.

- An object written in two places is a mistake on both. The one that is being served stays; where none was, the first by
  path and line is taken. Removing either heals it.
- ``generation`` is 1 at first and grows with each change of the spec. Where a kind has no spec, any change counts.
- A namespace exists as soon as an object lives in it, and carries the label ``kubernetes.io/metadata.name``.
- The GatewayClass ``trilithon`` always exists: files need not repeat what every installation has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from types import MappingProxyType

from msgspec import Struct
from msgspec.structs import replace

from trilithon.model.settings import CONTROLLER_NAME
from trilithon.resources.core import Namespace
from trilithon.resources.decode import Resource
from trilithon.resources.gateways import GatewayClass, GatewayClassSpec
from trilithon.resources.meta import Key
from trilithon.sources.folder.last_good import Document
from trilithon.sources.last_certificate import remembering

# Where an object is written: the file, the document's place in it, and the object's own path in the document.
Spot = tuple[str, int, str]

NAME_LABEL = "kubernetes.io/metadata.name"
CLASS = GatewayClass(Key("GatewayClass", "", "trilithon"), 1, "", GatewayClassSpec(controller_name=CONTROLLER_NAME))


class Candidate(Struct, frozen=True, gc=False):
    """One document's word on an object: its path and its line, from 0, in that document."""

    file: str
    place: int
    within: str
    line: int
    resource: Resource

    @property
    def spot(self) -> Spot:
        """What tells it apart from all other candidates for its object."""
        return self.file, self.place, self.within


class Served:
    """The chosen resources. ``exchange`` what documents say, then ``settle`` what follows."""

    def __init__(self) -> None:
        self._candidates: dict[Key, dict[Spot, Candidate]] = {}
        self._keepers: Counter[Key] = Counter()
        # Sets that many broken documents cover together: a set counts as one keeper of its objects.
        self._covers: Counter[frozenset[Key]] = Counter()
        self._chosen: dict[Key, Candidate] = {}
        self._resources: dict[Key, Resource] = {}
        self._inhabitants: Counter[str] = Counter()
        # Ordered, so that the same edit gives the same order of changes.
        self._touched: dict[Key, None] = {}
        self._duplicates: set[Key] = set()

    @property
    def resources(self) -> Mapping[Key, Resource]:
        """All that is served, what is implied included."""
        return MappingProxyType(self._resources)

    @property
    def duplicates(self) -> AbstractSet[Key]:
        """The objects that are written in more than one place."""
        return self._duplicates

    def candidates(self, key: Key) -> Collection[Candidate]:
        """Every place an object is written in."""
        return self._candidates.get(key, {}).values()

    def is_written(self, key: Key, spot: Spot) -> bool:
        """Whether an object can be read there now."""
        return spot in self._candidates.get(key, ())

    def chosen(self, key: Key) -> Candidate | None:
        """Where a served object was read; None for what is implied."""
        return self._chosen.get(key)

    def exchange(self, file: str, gone: Iterable[Document], come: Iterable[Document]) -> None:
        """Take back what some documents of a file said, and hear what others say now."""
        for document in gone:
            for placed in document.reading.good:
                del self._candidates[placed.key][file, document.place, placed.within]
                self._touched[placed.key] = None
            self._keep(document, -1)
        for document in come:
            for placed in document.reading.good:
                candidate = Candidate(file, document.place, placed.within, placed.line, placed.resource)
                self._candidates.setdefault(placed.key, {})[candidate.spot] = candidate
                self._touched[placed.key] = None
            self._keep(document, 1)

    def _keep(self, document: Document, by: int) -> None:
        """Count a document as a keeper of its objects, or no longer."""
        for key in document.keeps:
            self._keepers[key] += by
            self._touched[key] = None
        covers = document.covers
        if covers:
            before = self._covers[covers]
            self._covers[covers] += by
            if before == 0 or before + by == 0:
                for key in covers:
                    self._keepers[key] += by
                    self._touched[key] = None
            if before + by == 0:
                del self._covers[covers]

    def settle(self, line_of: Callable[[Candidate], int]) -> dict[Key, Resource | None]:
        """Choose again where something was exchanged; returns what differs (None: gone).

        ``line_of`` gives a candidate's line, for the order of several first sightings of one object.
        """
        changes: dict[Key, Resource | None] = {}
        namespaces: set[str] = set()
        for key in self._touched:
            had = key in self._chosen
            self._choose(key, line_of, changes)
            if key.namespace and had != (key in self._chosen):
                self._inhabitants[key.namespace] += -1 if had else 1
                namespaces.add(key.namespace)
            elif key.kind == "Namespace":
                namespaces.add(key.name)
        self._touched = {}
        for name in sorted(namespaces):
            self._imply(name, changes)
        if CLASS.key not in self._resources:
            changes[CLASS.key] = self._resources[CLASS.key] = CLASS
        return changes

    def _choose(self, key: Key, line_of: Callable[[Candidate], int], changes: dict[Key, Resource | None]) -> None:
        candidates = self._candidates.get(key, {})
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
        best = candidates.get(now.spot) if now else None
        if best is None:
            best = min(candidates.values(), key=lambda one: (one.file, line_of(one)))
        self._chosen[key] = best
        before = self._resources.get(key) if now else None
        resource = _as_stored(remembering(best.resource, before), before)
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
