"""Make problems of what is not understood of a stored object, and fail closed where it might have mattered."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from trilithon.model import flaw_mistakes as mistakes
from trilithon.model.mistake import Mistake
from trilithon.model.problem import condition_of
from trilithon.model.rule import Refuse, Rule, Rules
from trilithon.resources.cut import is_within
from trilithon.resources.flaw import (
    ALL_RULES,
    FRONTEND,
    LISTENERS,
    NOTHING,
    PARAMETERS,
    TLS,
    WHOLE,
    Flaw,
    by_part,
    frontend_part,
    listener_part,
)
from trilithon.resources.gateways import Gateway, GatewayClass, GatewayListener
from trilithon.resources.meta import Key
from trilithon.resources.problem import Problem
from trilithon.resources.routes import Route

_LEFT_OUT = re.compile(r"spec\.listeners\[(\d+)\]")


def with_flaws(rules: Rules, flaws: Sequence[Flaw]) -> Rules:
    """The rules of a route, where a rule with a flaw answers 500, and a match that cannot be kept is left out.

    Of a match with a flaw that much is kept as is understood, so that it takes all requests that it may have meant.
    """
    if not flaws:
        return rules
    lost = [flaw for flaw in flaws if flaw.part == ALL_RULES or flaw.part.endswith(".matches")]
    of_all = _told(mistakes.RULES_NOT_UNDERSTOOD, rules.route, lost)
    told = {part: _told(mistakes.RULE_NOT_UNDERSTOOD, rules.route, each) for part, each in by_part(flaws).items()}
    return replace(
        rules,
        items=tuple(_with_flaws(rule, told, of_all) for rule in rules.items),
        problems=(*rules.problems, *_without_effect(rules.route, flaws)),
    )


def _with_flaws(rule: Rule, told: dict[str, tuple[Problem, ...]], of_all: tuple[Problem, ...]) -> Rule:
    at = f"spec.rules[{rule.index}]"
    parts = {match.index: f"{at}.matches[{match.index}]" for match in rule.matches}
    own = [problem for part in (*parts.values(), at) for problem in told.get(part, ())]
    found = (*own, *of_all)
    if not found:
        return rule
    is_kept = f"{at}.matches" not in told
    only_matches = all(is_within(problem.path, f"{at}.matches") for problem in own)
    cut = {index for index, part in parts.items() if any(is_within(problem.path, part) for problem in own)}
    return replace(
        rule,
        matches=tuple(
            replace(match, is_cut=match.index in cut)
            for match in rule.matches
            if is_kept and parts[match.index] not in told
        ),
        action=Refuse(500, found[0]),
        # Where more than matches was taken out, all else but references is wrong for that reason perhaps.
        problems=(*found, *(each for each in rule.problems if only_matches or condition_of(each) == "ResolvedRefs")),
    )


def refusal_of_route(route: Route) -> tuple[Problem, ...]:
    """Why a route is refused as a whole; nothing where it is not."""
    is_refused = any(flaw.part == WHOLE for flaw in route.flaws)
    costly = [flaw for flaw in route.flaws if flaw.part != NOTHING]
    return _told(mistakes.ROUTE_NOT_UNDERSTOOD, route.key, costly) if is_refused else ()


def flaws_of_listener(gateway: Gateway, listener: GatewayListener) -> tuple[Problem, ...]:
    """Why a listener must not serve: its own flaws, and for HTTPS those of TLS towards its clients."""
    found = [flaw for flaw in gateway.flaws if flaw.part in _parts_of(listener)]
    return _told(mistakes.LISTENER_NOT_UNDERSTOOD, gateway.key, found)


def _parts_of(listener: GatewayListener) -> tuple[str, ...]:
    own = listener_part(listener.name)
    return (own, TLS, FRONTEND, frontend_part(listener.port)) if listener.protocol == "HTTPS" else (own,)


def written_index(gateway: Gateway, index: int) -> int:
    """Where a listener stands as written: those that are left out still count."""
    for gone in sorted(_left_out(gateway)):
        index += gone <= index
    return index


def _left_out(gateway: Gateway) -> set[int]:
    found = (_LEFT_OUT.match(flaw.path) for flaw in gateway.flaws if flaw.part == LISTENERS)
    return {int(each[1]) for each in found if each}


def namespaces_not_understood(problems: Iterable[Problem], path: str) -> bool:
    """Whether the flaws of a listener keep secret from which namespaces it takes routes."""
    at = f"{path}.allowedRoutes"
    return any(
        problem.code == mistakes.LISTENER_NOT_UNDERSTOOD.code
        and (problem.path == at or is_within(problem.path, f"{at}.namespaces"))
        for problem in problems
    )


def flaws_of_gateway(gateway: Gateway) -> tuple[Problem, ...]:
    """The flaws that none of its listeners has: what is generated for it cannot be told, but for listeners and TLS."""
    if not gateway.flaws:
        return ()
    of_listeners = {part for listener in gateway.spec.listeners for part in _parts_of(listener)}
    rest = [flaw for flaw in gateway.flaws if flaw.part not in {*of_listeners, NOTHING, LISTENERS}]
    # Nobody comes by TLS.
    idle = [flaw for flaw in rest if is_within(flaw.part, TLS)]
    return (
        *_told(mistakes.GATEWAY_NOT_UNDERSTOOD, gateway.key, (flaw for flaw in rest if flaw not in idle)),
        *_told(mistakes.LISTENER_LEFT_OUT, gateway.key, (flaw for flaw in gateway.flaws if flaw.part == LISTENERS)),
        *_told(mistakes.FIELD_NOT_UNDERSTOOD, gateway.key, idle),
        *_without_effect(gateway.key, gateway.flaws),
    )


def flaws_of_class(class_: GatewayClass) -> tuple[Problem, ...]:
    """What is not understood of a class, and keeps it from being accepted."""
    parameters = [flaw for flaw in class_.flaws if flaw.part == PARAMETERS]
    rest = [flaw for flaw in class_.flaws if flaw.part not in (PARAMETERS, NOTHING)]
    return (
        *_told(mistakes.CLASS_PARAMETERS_NOT_UNDERSTOOD, class_.key, parameters),
        *_told(mistakes.CLASS_NOT_UNDERSTOOD, class_.key, rest),
    )


def warnings_of_class(class_: GatewayClass) -> tuple[Problem, ...]:
    """What is not understood of a class, and does not matter."""
    return _without_effect(class_.key, class_.flaws)


def _without_effect(key: Key, flaws: Iterable[Flaw]) -> tuple[Problem, ...]:
    return _told(mistakes.FIELD_NOT_UNDERSTOOD, key, (flaw for flaw in flaws if flaw.part == NOTHING))


def _told(mistake: Mistake, key: Key, flaws: Iterable[Flaw]) -> tuple[Problem, ...]:
    return tuple(mistake.at(key, flaw.path, what=flaw.message, **_hint(flaw)) for flaw in flaws)


def _hint(flaw: Flaw) -> dict[str, object]:
    return {"hint": flaw.hint} if flaw.hint else {}
