"""Statuses as they are wanted and as they are stored, for the tests of what writes them."""

from __future__ import annotations

from typing import Any

import msgspec

OURS = "trilithon.dev/gateway-controller"
THEIRS = "example.com/other"
BEFORE = "2026-01-01T00:00:00Z"
NOW = "2026-02-02T00:00:00Z"

Object = dict[str, Any]


def condition(type_: str, status: str = "True", *, generation: int = 1, reason: str = "", message: str = "") -> Object:
    """A condition as we want it."""
    return {
        "type": type_,
        "status": status,
        "reason": reason or type_,
        "message": message or f"{type_} is {status}",
        "observedGeneration": generation,
    }


def ref(name: str = "gateway", **others: object) -> Object:
    """A parent reference with its defaults written out."""
    return {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": name, **others}


def parent(parent_ref: Object | None = None, *conditions: Object, controller: str = OURS) -> Object:
    """An entry of ``parents``, accepted unless conditions are given."""
    return {
        "parentRef": parent_ref or ref(),
        "controllerName": controller,
        "conditions": list(conditions or (condition("Accepted"), condition("ResolvedRefs"))),
    }


def since(time: str, value: Any) -> Any:
    """The same with a time of transition in every condition."""
    if isinstance(value, list):
        return [since(time, each) for each in value]
    if not isinstance(value, dict):
        return value
    inner = {name: since(time, each) for name, each in value.items()}
    return {**inner, "lastTransitionTime": time} if "observedGeneration" in value else inner


def stored(status: Object, time: str = BEFORE) -> bytes:
    """A status as an API server holds it."""
    return msgspec.json.encode(since(time, status))


def after(status: bytes, fields: Any) -> Object:
    """The status once these fields were replaced."""
    read: Object = (msgspec.json.decode(status) if status else None) or {}
    replaced: Object = msgspec.json.decode(msgspec.json.encode(fields))
    return {**read, **replaced}
