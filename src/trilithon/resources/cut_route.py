"""What is taken out of an HTTPRoute that is not wholly understood.

Of a match every condition is kept that is understood: it then takes more requests, and its rule refuses them. What says
to which hosts, parents or requests the rules apply costs all rules, which stay where they are understood to be.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from trilithon.resources.cut import UNKNOWN_FIELD, Cut
from trilithon.resources.flaw import ALL_RULES, NOTHING, WHOLE
from trilithon.resources.meta import ParentReference
from trilithon.resources.routes import MOST_MATCHES, MOST_RULES, HTTPRouteSpec
from trilithon.resources.wording import Finding

_RULE = re.compile(r"(spec\.rules\[\d+\])(?:\.([^.\[]+)(?:\[(\d+)\])?(.*))?$")
_CONDITION = re.compile(r"\.([^.\[]+)(?:\[(\d+)\])?")
_ENTRY = re.compile(r"(spec\.(hostnames|parentRefs))\[(\d+)\]")
# What a rule that is lost still says: which requests it would have taken, and where they were to go.
_KEPT_OF_RULE = ("name", "matches", "backendRefs")


class RouteCut(Cut):
    """Rules, and conditions of their matches."""

    # Without one that is left, the route would be for every host, or nobody could be told of it.
    needs_entry = ("spec.hostnames", "spec.parentRefs")

    def taken(self, finding: Finding, *, is_shape: bool) -> str:
        path, is_unknown = finding.path, finding.code == UNKNOWN_FIELD
        if rule := _RULE.match(path):
            at, field, index, rest = rule[1], rule[2], rule[3], rule[4] or ""
            if field == "matches":
                return self._of_matches(finding, at, index, rest, is_shape=is_shape)
            if is_unknown:
                is_filter = field == "filters" or (field == "backendRefs" and rest.startswith(".filters"))
                return at if is_filter else NOTHING
            return self._of_rule(at, field, index, rest, is_shape=is_shape)
        if entry := _ENTRY.match(path):
            if not is_unknown:
                self.drop(entry[1], int(entry[3]))
            return ALL_RULES
        if is_unknown:
            return NOTHING
        if path == ALL_RULES and finding.code == "TooMany":
            # A definition that allows more.
            del self.value["rules"][MOST_RULES:]
            return ALL_RULES
        if path == "spec.useDefaultGateways":
            self.remove(path)
            return NOTHING
        return WHOLE

    def _of_rule(self, at: str, field: str | None, index: str | None, rest: str, *, is_shape: bool) -> str:
        rule = self.find(at)
        if not isinstance(rule, dict):
            self.replace(at, {"matches": []})
            return f"{at}.matches"
        for name in [name for name in rule if name not in _KEPT_OF_RULE]:
            self.remove(f"{at}.{name}")
        refs = rule.get("backendRefs")
        for number in range(len(refs) if isinstance(refs, list) else 0):
            self.remove(f"{at}.backendRefs[{number}].filters")
        if field == "name" or (field == "backendRefs" and index is None and is_shape):
            self.remove(f"{at}.{field}")
        elif field == "backendRefs" and rest == ".weight":
            self.remove(f"{at}.backendRefs[{index}].weight")
        elif field == "backendRefs" and index is not None and not rest.startswith(".filters"):
            self.drop(f"{at}.backendRefs", int(index))
        return at

    def _of_matches(self, finding: Finding, at: str, index: str | None, rest: str, *, is_shape: bool) -> str:
        if index is None:
            return self._of_all_matches(finding, at, is_shape=is_shape)
        match = f"{at}.matches[{index}]"
        condition = _CONDITION.match(rest)
        if condition is None or condition[1] == "path":
            self.replace(match, {})
            return match
        name, entry = condition.groups()
        conditions = f"{match}.{name}"
        if name in ("headers", "queryParams") and entry is not None:
            # Of those with one name only the first counts: without it another must not come to count.
            for number in _alike(self.find(conditions), int(entry)):
                self.drop(conditions, number)
        elif finding.code != UNKNOWN_FIELD:
            self.remove(conditions)
        return at

    def _of_all_matches(self, finding: Finding, at: str, *, is_shape: bool) -> str:
        if not is_shape:
            return self._of_rule(at, "matches", None, "", is_shape=False)
        if finding.code == "TooMany":
            del self.find(f"{at}.matches")[MOST_MATCHES:]
            return ALL_RULES
        self.find(at)["matches"] = []
        return f"{at}.matches"

    def remains(self) -> Struct | None:
        """The parents that are named well, which can be told of it."""
        refs = self.value.get("parentRefs")
        parents = tuple(_parents(refs)) if isinstance(refs, list) else ()
        return HTTPRouteSpec(parent_refs=parents, rules=()) if parents else None


def _alike(entries: Any, index: int) -> list[int]:
    """The entries with the name of this one, itself included; header names are equal in any case."""
    if not isinstance(entries, list):
        return []
    name = _name(entries[index])
    return [number for number, each in enumerate(entries) if number == index or (name and _name(each) == name)]


def _name(entry: Any) -> str:
    return str(entry.get("name", "")).lower() if isinstance(entry, dict) else ""


def _parents(refs: list[Any]) -> Iterator[ParentReference]:
    for ref in refs:
        try:
            yield msgspec.convert(ref, ParentReference)
        except msgspec.ValidationError:
            continue
