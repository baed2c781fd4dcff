"""Make problems of what is not understood of a stored object, and fail closed where it might have mattered."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from trilithon.model import flaw_mistakes as mistakes
from trilithon.model.mistake import Mistake
from trilithon.model.rule import Refuse, Rule, Rules
from trilithon.resources.flaw import WHOLE, Flaw, by_part, listener_part
from trilithon.resources.gateways import Gateway, GatewayClass, GatewayListener
from trilithon.resources.meta import Key
from trilithon.resources.problem import Problem
from trilithon.resources.routes import Route

_TLS = "spec.tls"


def with_flaws(rules: Rules, flaws: Sequence[Flaw]) -> Rules:
    """The rules of a route, where a rule with a flaw answers 500, and a match with a flaw is left out besides."""
    if not flaws:
        return rules
    problems = {part: _told(mistakes.RULE_NOT_UNDERSTOOD, rules.route, each) for part, each in by_part(flaws).items()}
    return replace(rules, items=tuple(_with_flaws(rule, problems) for rule in rules.items))


def _with_flaws(rule: Rule, problems: dict[str, tuple[Problem, ...]]) -> Rule:
    at = f"spec.rules[{rule.index}]"
    lost = problems.get(at, ())
    of_matches = {match.index: problems.get(f"{at}.matches[{match.index}]", ()) for match in rule.matches}
    found = (*(each for every in of_matches.values() for each in every), *lost)
    if not found:
        return rule
    return replace(
        rule,
        matches=tuple(match for match in rule.matches if not of_matches[match.index]),
        action=Refuse(500, found[0]),
        # What else is wrong with a rule that is lost follows from what was taken out of it.
        problems=found if lost else (*found, *rule.problems),
    )


def refusal_of_route(route: Route) -> tuple[Problem, ...]:
    """Why a route is refused as a whole; nothing where it is not."""
    is_refused = any(flaw.part == WHOLE for flaw in route.flaws)
    return _told(mistakes.ROUTE_NOT_UNDERSTOOD, route.key, route.flaws) if is_refused else ()


def flaws_of_listener(gateway: Gateway, listener: GatewayListener) -> tuple[Problem, ...]:
    """Why a listener must not serve: its own flaws, and for HTTPS those of TLS towards clients."""
    parts = {listener_part(listener.name), _TLS} if listener.protocol == "HTTPS" else {listener_part(listener.name)}
    found = [flaw for flaw in gateway.flaws if flaw.part in parts]
    return _told(mistakes.LISTENER_NOT_UNDERSTOOD, gateway.key, found)


def flaws_of_gateway(gateway: Gateway) -> tuple[Problem, ...]:
    """The flaws that none of its listeners has: what is generated for it cannot be told."""
    if not gateway.flaws:
        return ()
    of_listeners = {listener_part(listener.name) for listener in gateway.spec.listeners}
    if any(listener.protocol == "HTTPS" for listener in gateway.spec.listeners):
        of_listeners.add(_TLS)
    found = [flaw for flaw in gateway.flaws if flaw.part not in of_listeners]
    return _told(mistakes.GATEWAY_NOT_UNDERSTOOD, gateway.key, found)


def flaws_of_class(class_: GatewayClass) -> tuple[Problem, ...]:
    """What is not understood of a class."""
    return _told(mistakes.CLASS_NOT_UNDERSTOOD, class_.key, class_.flaws)


def _told(mistake: Mistake, key: Key, flaws: Iterable[Flaw]) -> tuple[Problem, ...]:
    return tuple(mistake.at(key, flaw.path, what=flaw.message, **_hint(flaw)) for flaw in flaws)


def _hint(flaw: Flaw) -> dict[str, object]:
    return {"hint": flaw.hint} if flaw.hint else {}
