"""Merge the status that we want into the status that is stored, without touching what others wrote there.

Pure. ``.status`` is owned jointly: a route's ``parents`` is one list with an entry per controller and parent, and any
controller may add condition types of its own. Therefore "a read-modify-write" (RouteStatus): what is foreign stays in
its place as the very bytes that were read, and a time of transition changes only when a condition's status does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

from trilithon.model.stored import condition_in
from trilithon.resources.meta import GATEWAY_GROUP
from trilithon.status.conditions import within_limit

# "maxItems" of the CRDs, which refuse a longer list and with it the whole status.
MAX_PARENTS = 32
MAX_CONDITIONS = 8

# The condition types that are ours where we speak: one that we do not want is taken away. All others are foreign.
OWN_CONDITIONS = frozenset(
    {"Accepted", "Programmed", "ResolvedRefs", "InsecureFrontendValidationMode", "SupportedVersion"}
)
OWN_LISTENER_CONDITIONS = frozenset({"Accepted", "Programmed", "ResolvedRefs", "Conflicted", "OverlappingTLSConfig"})
OWN_PARENT_CONDITIONS = frozenset({"Accepted", "ResolvedRefs", "PartiallyInvalid"})

Object = dict[str, Any]
# What is about to change anyhow may do so first.
PASSING_SECONDS = 0.5
# An Envoy that lost its control plane, or whose pod is replaced, is back within this: after the API server was away the
# parts of a cluster that say where the control plane is take up to 30 s to follow it again.
ABSENCE_SECONDS = 40.0
# What serves a Gateway has followed a change of it within this: its Service first, and then its Envoys.
CHANGE_SECONDS = 2.0

# Of a list of a status: an entry as it was read, or a new one.
Entry = Raw | Object


class Merged(Struct, frozen=True):
    """The fields of ``.status`` to be replaced, each as a whole; none if everything stands there already.

    ``left_out`` counts what there was no room for beside the entries of others.
    """

    fields: Mapping[str, object]
    left_out: int = 0


class _Part(Struct, frozen=True):
    """A merged list, and whether it differs from what was read."""

    entries: Sequence[Entry]
    differs: bool
    left_out: int = 0


def merged(status: bytes, wanted: Mapping[str, Any], controller_name: str, now: str) -> Merged:
    """What to replace in a stored ``.status`` (b"" if there is none) so that it says what is wanted.

    ``wanted`` is a status as ``rendered`` of ``trilithon.status`` makes it, without times of transition; ``now`` is
    the time of those that begin (RFC 3339). Fields that are not wanted are left alone.
    """
    stored = _fields(status)
    fields: dict[str, object] = {}
    left_out = 0
    for name, value in wanted.items():
        if name == "parents":
            part = _parents(_entries(stored.get(name)), value, controller_name, now)
        elif name == "listeners":
            part = _listeners(_entries(stored.get(name)), value, now)
        elif name == "conditions":
            part = _conditions(_entries(stored.get(name)), value, OWN_CONDITIONS, now)
        else:
            if (_value(stored.get(name)) or None) != (value or None):
                fields[name] = value
            continue
        left_out += part.left_out
        if part.differs:
            fields[name] = part.entries
    return Merged(fields, left_out)


def without_ours(status: bytes, controller_name: str) -> Merged:
    """What to replace in a stored ``.status`` of which nothing is ours any more.

    Only entries that name their controller can be known to be ours: conditions do not.
    """
    if b'"parents"' not in status:
        return Merged({})
    return merged(status, {"parents": ()}, controller_name, "")


def generation_of(wanted: Mapping[str, Any]) -> int | None:
    """The generation that a wanted status speaks of; None if it says nothing about any."""
    conditions = [*wanted.get("conditions", ())]
    for parent in wanted.get("parents", ()):
        conditions += parent["conditions"]
    return max((condition["observedGeneration"] for condition in conditions), default=None)


def patience(stored: bytes, wanted: Mapping[str, Any]) -> float:
    """Seconds to wait with a wanted status that says of itself that it will change soon.

    That a Gateway which was programmed is not acknowledged any more is told when it lasts: a controller that has just
    started has no Envoy connected yet, and all of them serve on. What was programmed of an earlier generation says
    nothing of this one.
    """
    if not any(condition["reason"] == "Pending" for condition in wanted.get("conditions", ())):
        return 0.0
    before = condition_in(stored, "Programmed")
    if before is None or before.status != "True":
        return PASSING_SECONDS
    return ABSENCE_SECONDS if before.observed_generation == generation_of(wanted) else CHANGE_SECONDS


def _parents(stored: Sequence[Raw], wanted: Iterable[Object], controller_name: str, now: str) -> _Part:
    heads = [(raw, _value(raw)) for raw in stored]
    is_ours = [isinstance(head, dict) and head.get("controllerName") == controller_name for _, head in heads]
    distinct = {_identity(entry["parentRef"]): entry for entry in reversed([*wanted])}
    ours = dict(reversed(distinct.items()))
    room = max(0, MAX_PARENTS - is_ours.count(False))
    left = dict([*ours.items()][:room])
    left_out = len(ours) - len(left)
    entries: list[Entry] = []
    differs = False
    for (raw, head), is_mine in zip(heads, is_ours, strict=True):
        if not is_mine:
            entries.append(raw)
            continue
        mine = left.pop(_identity(head.get("parentRef")), None)
        if mine is None:
            differs = True
            continue
        before = _entries(_fields(raw).get("conditions"))
        conditions = _conditions(before, mine["conditions"], OWN_PARENT_CONDITIONS, now)
        left_out += conditions.left_out
        differs |= conditions.differs
        entries.append({**mine, "conditions": conditions.entries} if conditions.differs else raw)
    for mine in left.values():
        conditions = _conditions((), mine["conditions"], OWN_PARENT_CONDITIONS, now)
        entries.append({**mine, "conditions": conditions.entries})
        differs = True
    return _Part(entries, differs, left_out)


def _listeners(stored: Sequence[Raw], wanted: Iterable[Object], now: str) -> _Part:
    """Listeners are the Gateway's controller's alone; what others may have added are conditions."""
    by_name = {head["name"]: (raw, head) for raw in stored if isinstance(head := _value(raw), dict) and "name" in head}
    entries: list[Entry] = []
    differs = False
    left_out = 0
    for mine in wanted:
        raw, head = by_name.pop(mine["name"], (None, {}))
        before = _entries(_fields(raw).get("conditions")) if raw is not None else ()
        conditions = _conditions(before, mine["conditions"], OWN_LISTENER_CONDITIONS, now)
        left_out += conditions.left_out
        is_same = not conditions.differs and raw is not None and _without_conditions(head) == _without_conditions(mine)
        differs |= not is_same
        entries.append(raw if is_same and raw is not None else {**mine, "conditions": conditions.entries})
    return _Part(entries, differs or bool(by_name), left_out)


def _conditions(stored: Iterable[Raw], wanted: Iterable[Object], own: frozenset[str], now: str) -> _Part:
    read = [(raw, _value(raw)) for raw in stored]
    ours = {condition["type"]: condition for condition in wanted}
    owned = own | ours.keys()
    foreign = sum(1 for _, condition in read if not _is_of(condition, owned))
    left = dict([*ours.items()][: max(0, MAX_CONDITIONS - foreign)])
    left_out = len(ours) - len(left)
    entries: list[Entry] = []
    differs = False
    for raw, before in read:
        if not _is_of(before, owned):
            entries.append(raw)
            continue
        mine = left.pop(before["type"], None)
        if mine is None:
            differs = True
            continue
        is_flip = before.get("status") != mine["status"]
        since = now if is_flip else before.get("lastTransitionTime", now)
        after = {**mine, "message": within_limit(mine["message"]), "lastTransitionTime": since}
        differs |= after != before
        entries.append(after if after != before else raw)
    entries += ({**mine, "message": within_limit(mine["message"]), "lastTransitionTime": now} for mine in left.values())
    return _Part(entries, differs or bool(left), left_out)


def _is_of(condition: object, types: frozenset[str]) -> bool:
    return isinstance(condition, dict) and condition.get("type") in types


def _identity(ref: object) -> tuple[object, ...]:
    """A parent reference as written; group and kind are written by the API server where the author did not."""
    if not isinstance(ref, dict):
        return ()
    names = ("namespace", "name", "sectionName", "port")
    return (ref.get("group", GATEWAY_GROUP), ref.get("kind", "Gateway"), *(ref.get(name) for name in names))


def _without_conditions(listener: Object) -> Object:
    # An empty list and none are one thing to the API server.
    return {name: value for name, value in listener.items() if name != "conditions" and value != []}


def _fields(raw: bytes | Raw | None) -> dict[str, Raw]:
    # Nothing, null and what is no such shape at all are read as empty.
    try:
        return msgspec.json.decode(raw, type=dict[str, Raw]) if raw else {}
    except msgspec.ValidationError:
        return {}


def _entries(raw: Raw | None) -> Sequence[Raw]:
    try:
        return msgspec.json.decode(raw, type=list[Raw]) if raw else ()
    except msgspec.ValidationError:
        return ()


def _value(raw: Raw | None) -> Any:
    return None if raw is None else msgspec.json.decode(raw)
