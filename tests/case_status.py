"""Check lines such as ``HTTPRoute shop/web @ infra/gw: not ResolvedRefs (BackendNotFound)``.

The subject is ``GatewayClass name``, ``Gateway ns/name``, ``Gateway ns/name listener NAME``, or a route and one of its
parents: ``HTTPRoute ns/name @ ns/gateway``, with ``/section`` and ``:port`` where the parentRef has them.

Conditions: ``Accepted`` is true for its usual reason, ``Accepted (Reason)`` for another, ``not Accepted (Reason)``
false, and ``saying 'text'`` may follow. What a line does not mention is in order: a condition that should be true is,
and one that tells of trouble (Conflicted, PartiallyInvalid, OverlappingTLSConfig) is not. Also: ``2 attached``,
``supported kinds HTTPRoute``, ``no supported kinds``, ``address 127.0.0.1``, ``claims FEATURE``,
``claims not FEATURE``, ``in order`` (nothing to mention) and ``no status``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from msgspec import Struct

from tests.casefile import CaseError, Line
from trilithon.incremental import Engine
from trilithon.resources.meta import Key, ParentReference
from trilithon.resources.problem import Problem
from trilithon.status.class_ import CLASS_STATUS
from trilithon.status.conditions import Condition
from trilithon.status.gateway import GATEWAY_STATUS
from trilithon.status.problems import CLASS_PROBLEMS, GATEWAY_PROBLEMS, ROUTE_PROBLEMS
from trilithon.status.route import ROUTE_STATUS

_LINE = re.compile(
    r"(?P<kind>GatewayClass|Gateway|[A-Z]\w+Route) (?:(?P<namespace>[a-z0-9-]+)/)?(?P<name>[a-z0-9.-]+)"
    r"(?: listener (?P<listener>\S+)| @ (?P<parent>\S+))?: (?P<words>.+)"
)
_CONDITION = re.compile(r"(?P<no>not )?(?P<type>[A-Z]\w+)(?: \((?P<reason>\w+)\))?(?: saying '(?P<text>[^']+)')?")
_WORD = re.compile(r"(?:[^,']|'[^']*')+")
_TROUBLE = ("Conflicted", "PartiallyInvalid", "OverlappingTLSConfig")
_PROBLEM = re.compile(
    r"(?P<kind>[A-Z]\w+) (?:(?P<namespace>[a-z0-9-]+)/)?(?P<name>[a-z0-9.-]+)(?: (?P<path>\S+))?: (?P<code>\w+)"
    r"(?P<warning> \(warning\))?"
)


class _Subject(Struct, frozen=True):
    """What a status says of one subject: its conditions, and other facts in the words of a line."""

    conditions: tuple[Condition, ...]
    facts: frozenset[str]


def check(engine: Engine, line: Line) -> list[str]:
    """What differs. Raises CaseError where the line cannot be read."""
    found = _LINE.fullmatch(line.text)
    if found is None:
        raise CaseError(f"{line.place}: {line.text!r} is not 'Kind namespace/name: conditions'")
    words = [word.strip() for word in _WORD.findall(found["words"])]
    subject = _subject(engine, found)
    if subject is None or "no status" in words:
        if subject is None and words == ["no status"]:
            return []
        return [f"{line.place}: {line.text}\n    but it has {'a' if subject else 'no'} status"]
    wrong = [why for why in _differences(line, words, subject) if why is not None]
    return [f"{line.place}: {line.text}\n    but {why}" for why in wrong]


def _differences(line: Line, words: list[str], subject: _Subject) -> Iterator[str | None]:
    by_type = {condition.type: condition for condition in subject.conditions}
    mentioned: set[str] = set()
    for word in words:
        if word == "in order" or word in subject.facts or _is_not_claimed(word, subject.facts):
            continue
        if _is_fact(word):
            yield f"not {word!r}: {', '.join(sorted(fact for fact in subject.facts if _kind(fact) == _kind(word)))}"
            continue
        found = _CONDITION.fullmatch(word)
        if found is None:
            raise CaseError(f"{line.place}: {word!r} is no condition")
        mentioned.add(found["type"])
        yield _difference(line, found, by_type.get(found["type"]))
    for condition in subject.conditions:
        if condition.type in mentioned:
            continue
        usual = condition.status == "False" if condition.type in _TROUBLE else condition.reason == condition.type
        if not usual:
            yield f"it is also {_shown(condition)}"


def _is_not_claimed(word: str, facts: frozenset[str]) -> bool:
    return word.startswith("claims not ") and f"claims {word.removeprefix('claims not ')}" not in facts


def _is_fact(word: str) -> bool:
    return re.match(r"\d+ attached|supported kinds|no supported|address |claims ", word) is not None


def _kind(fact: str) -> str:
    return re.sub(r"^no |^\d+ ", "", fact).split()[0]


def _difference(line: Line, found: re.Match[str], condition: Condition | None) -> str | None:
    if condition is None:
        return f"there is no condition {found['type']}"
    if found["reason"] is None and (found["no"] or found["type"] in _TROUBLE):
        raise CaseError(f"{line.place}: {found[0]!r} needs its (Reason)")
    status = "False" if found["no"] else "True"
    reason = found["reason"] or found["type"]
    if (condition.status, condition.reason) != (status, reason) or (found["text"] or "") not in condition.message:
        return f"it is {_shown(condition)}"
    return None


def _shown(condition: Condition) -> str:
    sign = {"True": "", "False": "not ", "Unknown": "unknown "}[condition.status]
    return f"{sign}{condition.type} ({condition.reason}) saying '{condition.message}'"


def _subject(engine: Engine, found: re.Match[str]) -> _Subject | None:
    key = Key(found["kind"], found["namespace"] or "", found["name"])
    if key.kind == "GatewayClass":
        class_ = engine.row(CLASS_STATUS, key)
        claims = (
            frozenset(f"claims {name}" for name in class_.supported_features) if class_ is not None else frozenset()
        )
        return _Subject(class_.conditions, claims) if class_ is not None else None
    if key.kind == "Gateway":
        return _gateway(engine, key, found["listener"])
    status = engine.row(ROUTE_STATUS, key)
    entries = status.parents if status is not None else ()
    wanted = [entry for entry in entries if found["parent"] is None or _spelled(entry.ref, key) == found["parent"]]
    return _Subject(wanted[0].conditions, frozenset()) if wanted else None


def _gateway(engine: Engine, key: Key, listener: str | None) -> _Subject | None:
    gateway = engine.row(GATEWAY_STATUS, key)
    if gateway is None:
        return None
    if listener is None:
        return _Subject(gateway.conditions, frozenset(f"address {address}" for address in gateway.addresses))
    entry = next((each for each in gateway.listeners if each.name == listener), None)
    if entry is None:
        return None
    kinds = " ".join(entry.supported_kinds)
    facts = {f"{entry.attached_routes} attached", f"supported kinds {kinds}" if kinds else "no supported kinds"}
    return _Subject(entry.conditions, frozenset(facts))


def _spelled(ref: ParentReference, route: Key) -> str:
    section = f"/{ref.section_name}" if ref.section_name is not None else ""
    port = f":{ref.port}" if ref.port is not None else ""
    return f"{ref.namespace or route.namespace}/{ref.name}{section}{port}"


def check_problems(engine: Engine, refused: Iterable[Problem], lines: Iterable[Line]) -> list[str]:
    """What differs between all problems there are and those that are expected; their order means nothing."""
    tables = (CLASS_PROBLEMS, GATEWAY_PROBLEMS, ROUTE_PROBLEMS)
    found = [problem for table in tables for row in engine.rows(table).values() for problem in row.items]
    there = {spelled(problem) for problem in (*found, *refused)}
    expected = {}
    for line in lines:
        if _PROBLEM.fullmatch(line.text) is None:
            raise CaseError(f"{line.place}: {line.text!r} is not 'Kind namespace/name path: Code'")
        expected[line.text] = line.place
    missing = [f"{place}: there is no problem {text}" for text, place in expected.items() if text not in there]
    return [*missing, *(f"there is also the problem {text}" for text in sorted(there - set(expected)))]


def spelled(problem: Problem) -> str:
    """A problem as a line of a case."""
    path = f" {problem.path}" if problem.path else ""
    return f"{problem.key}{path}: {problem.code}{' (warning)' if problem.severity == 'warning' else ''}"
