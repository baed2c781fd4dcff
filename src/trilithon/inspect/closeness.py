"""Put the candidates that came closest to a request first: they are what whoever wonders wants to see."""

from __future__ import annotations

from difflib import SequenceMatcher

from trilithon.incremental import Engine
from trilithon.inspect.decision import Lost
from trilithon.inspect.matching import path_matches
from trilithon.inspect.request import Request, canonical_path
from trilithon.model.rule import PathMatch
from trilithon.model.tables import ROUTES, RULES


def closest_first(engine: Engine, request: Request, lost: tuple[Lost, ...]) -> tuple[Lost, ...]:
    """One candidate per rule: first those whose path fits, then those whose path shares most, then whole routes.

    Routes for other hostnames come last, the most similar hostname first: it may be the one that was meant.
    """
    path = canonical_path(request.path)
    order = sorted(lost, key=lambda each: _distance(engine, request.host, path, each))
    return tuple({(each.route, each.rule): each for each in reversed(order)}.values())[::-1]


def _distance(engine: Engine, host: str, path: str, lost: Lost) -> tuple[int, float]:
    condition = _path_of(engine, lost)
    if condition is None:
        route = engine.row(ROUTES, lost.route)
        hostnames = route.spec.hostnames if route is not None else ()
        return 2, -max((SequenceMatcher(None, host, name).ratio() for name in hostnames), default=0.0)
    if path_matches(condition, path):
        # The longer the condition, the closer it was.
        return 0, -len(condition.value)
    return 1, -_shared(condition.value, path)


def _path_of(engine: Engine, lost: Lost) -> PathMatch | None:
    rules = engine.row(RULES, lost.route)
    for rule in rules.items if rules is not None else ():
        for match in rule.matches:
            if (rule.index, match.index) == (lost.rule, lost.match):
                return match.path
    return None


def _shared(one: str, other: str) -> int:
    """How many characters two paths begin with in common."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
