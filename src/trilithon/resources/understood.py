"""Read of a stored spec what is understood, and name the rest: each flaw costs the smallest part that it is in.

The answer depends on the spec alone, so that a controller that has just started makes of it what one that runs makes.
Nothing here decides what becomes of a part: it is only taken out, and the flaw stands for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from trilithon.resources.documents import DocumentTooBig, plain
from trilithon.resources.flaw import WHOLE, Flaw, listener_part
from trilithon.resources.gateways import GatewayClassSpec, GatewaySpec
from trilithon.resources.meta import ParentReference
from trilithon.resources.routes import HTTPRouteSpec
from trilithon.resources.rules import check_stored
from trilithon.resources.shape import examine
from trilithon.resources.wording import Finding

# What is beyond is left out, should a definition allow more.
MOST_LISTENERS = 64

Understood = tuple[Struct | None, tuple[Flaw, ...]]

_RULE = re.compile(r"spec\.rules\[(\d+)\](?:\.(\w+)(?:\[(\d+)\])?)?")
_LISTENER = re.compile(r"spec\.listeners\[(\d+)\](?:\.(\w+))?")
_LISTENERS = "spec.listeners"
_FIELD = re.compile(r"spec\.(\w+)")
# What a rule that is lost still says: which requests it would have taken.
_KEPT_OF_RULE = ("name", "matches")
# Without these nobody can tell what a listener is.
_IDENTITY = ("name", "port", "protocol", "hostname")
# Shapes, then rules, each with what comes to light when the first mistakes are out of the way.
_MOST_PASSES = 8


def understood(written: object, expected: type[Struct]) -> Understood:
    """The spec without what is not understood, and the flaws; None where nothing can be made of it."""
    cutting = _CUTTING.get(expected)
    if cutting is None:
        return None, ()
    try:
        value, unfit = plain(written)
    except DocumentTooBig:
        return None, ()
    if unfit or not isinstance(value, dict):
        return None, ()
    cut = cutting(value)
    for _ in range(_MOST_PASSES):
        found = [each for each in examine(value, expected, "spec").findings if each.severity == "error"]
        is_shape = bool(found)
        part: Struct | None = None if is_shape else msgspec.convert(value, expected)
        if part is not None:
            found = check_stored(part, "spec")
        news = [each for each in found if not cut.is_consequence(each.path)]
        if part is not None and not news:
            return part, tuple(cut.flaws)
        # Each is told, also after one that costs the whole.
        taken = [cut.take(each, is_shape=is_shape) for each in news]
        if not news or not all(taken):
            break
        cut.settle()
    return cut.remains(), tuple(cut.flaws)


class _Cut:
    """A spec from which parts are taken: here whole fields, but for those without which it says nothing."""

    needed: tuple[str, ...] = ()

    def __init__(self, value: dict[str, Any]) -> None:
        self.value = value
        self.flaws: list[Flaw] = []
        self.lost: set[str] = set()

    def take(self, finding: Finding, *, is_shape: bool) -> bool:
        """Take out the smallest part that a finding is in; False where that is the whole."""
        part = self.taken(finding, is_shape=is_shape)
        self.lost.add(part or WHOLE)
        self.flaws.append(Flaw(part or WHOLE, finding.path, finding.message, finding.hint))
        return bool(part)

    def taken(self, finding: Finding, *, is_shape: bool) -> str:
        """Take the part out and name it; "" where it cannot be taken out by itself."""
        found = _FIELD.match(finding.path)
        if found is None or found[1] in self.needed:
            return ""
        self.value.pop(found[1], None)
        return found[0]

    def is_consequence(self, path: str) -> bool:
        """Whether a finding is in a part that is lost anyway."""
        found = _FIELD.match(path)
        return found is not None and found[0] in self.lost

    def settle(self) -> None:
        """Do what must wait until every finding was seen, because it moves others."""

    def remains(self) -> Struct | None:
        """What is left of a spec that cannot be used."""
        return None


class _RouteCut(_Cut):
    """Rules and their matches are taken out. What else is wrong costs the whole: it says where the rules apply."""

    def taken(self, finding: Finding, *, is_shape: bool) -> str:
        found = _RULE.match(finding.path)
        if found is None:
            return ""
        index, field, entry = found.groups()
        rules = self.value["rules"]
        if field == "matches" and entry is not None:
            rules[int(index)]["matches"][int(entry)] = {}
        elif is_shape and (field is None or field in _KEPT_OF_RULE):
            return ""
        else:
            rules[int(index)] = {name: rules[int(index)][name] for name in _KEPT_OF_RULE if name in rules[int(index)]}
        return _part_of_route(finding.path)

    def is_consequence(self, path: str) -> bool:
        return _part_of_route(path) in self.lost

    def remains(self) -> Struct | None:
        """The parents that are named well, which can be told of it."""
        refs = self.value.get("parentRefs")
        parents = tuple(_parents(refs)) if isinstance(refs, list) else ()
        return HTTPRouteSpec(parent_refs=parents, rules=()) if parents else None


def _part_of_route(path: str) -> str:
    found = _RULE.match(path)
    if found is None:
        return WHOLE
    index, field, entry = found.groups()
    is_match = field == "matches" and entry is not None
    return f"spec.rules[{index}].matches[{entry}]" if is_match else f"spec.rules[{index}]"


def _parents(refs: list[Any]) -> Iterator[ParentReference]:
    for ref in refs:
        try:
            yield msgspec.convert(ref, ParentReference)
        except msgspec.ValidationError:
            continue


class _GatewayCut(_Cut):
    """Fields of listeners and of the spec are taken out, and listeners of which nobody can tell what they are."""

    needed = ("gatewayClassName", "listeners")

    def __init__(self, value: dict[str, Any]) -> None:
        super().__init__(value)
        self._dropped: set[int] = set()

    def taken(self, finding: Finding, *, is_shape: bool) -> str:
        found = _LISTENER.match(finding.path)
        if found is None and (finding.path, finding.code) == (_LISTENERS, "TooMany"):
            self._dropped.update(range(MOST_LISTENERS, len(self.value["listeners"])))
            return _LISTENERS
        if found is None:
            return super().taken(finding, is_shape=is_shape)
        listener = self.value["listeners"][int(found[1])]
        if found[2] in _IDENTITY or (is_shape and found[2] is None):
            self._dropped.add(int(found[1]))
            return _LISTENERS
        if found[2] is not None:
            listener.pop(found[2], None)
        return self._part_of(int(found[1]))

    def is_consequence(self, path: str) -> bool:
        found = _LISTENER.match(path)
        if found is None:
            return super().is_consequence(path)
        return found[2] not in _IDENTITY and self._part_of(int(found[1])) in self.lost

    def _part_of(self, index: int) -> str:
        listener = self.value["listeners"][index]
        return listener_part(str(listener.get("name"))) if isinstance(listener, dict) else _LISTENERS

    def settle(self) -> None:
        for index in sorted(self._dropped, reverse=True):
            del self.value["listeners"][index]
        self._dropped.clear()

    def remains(self) -> Struct | None:
        """Its class, which tells whose it is; it serves nothing."""
        name = self.value.get("gatewayClassName")
        return GatewaySpec(gateway_class_name=name, listeners=()) if isinstance(name, str) and name else None


class _ClassCut(_Cut):
    needed = ("controllerName",)


_CUTTING: Mapping[type[Struct], Callable[[dict[str, Any]], _Cut]] = {
    HTTPRouteSpec: _RouteCut,
    GatewaySpec: _GatewayCut,
    GatewayClassSpec: _ClassCut,
}
