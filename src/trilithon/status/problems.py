"""Everything wrong with an object, gathered from the rows that noticed it."""

from __future__ import annotations

from msgspec import Struct

from trilithon.incremental import Read, Table
from trilithon.model.settings import Settings
from trilithon.model.tables import ATTACHMENTS, CLASSES, LISTENERS, RULES
from trilithon.resources.gateways import Gateway, GatewayClass
from trilithon.resources.meta import Key
from trilithon.resources.problem import Problem
from trilithon.resources.routes import Route
from trilithon.status.gateway import GATEWAY_STATUS
from trilithon.translate.classes import class_key, class_problems, is_ours, missing_class


class Problems(Struct, frozen=True, gc=False):
    """All problems of one object, in the order of its fields."""

    key: Key
    items: tuple[Problem, ...]


CLASS_PROBLEMS: Table[Key, Problems] = Table("class problems")
GATEWAY_PROBLEMS: Table[Key, Problems] = Table("gateway problems")
ROUTE_PROBLEMS: Table[Key, Problems] = Table("route problems")


def class_problems_of(settings: Settings, read: Read, class_: GatewayClass) -> Problems | None:
    """What is wrong with a class of ours."""
    return _problems(class_.key, class_problems(class_) if is_ours(settings, class_) else ())


def gateway_problems_of(read: Read, gateway: Gateway) -> Problems | None:
    """What is wrong with a Gateway and its listeners, what the running Envoy refused included."""
    if read.one(CLASSES, class_key(gateway)) is None:
        return _problems(gateway.key, (missing_class(gateway),))
    listeners = read.one(LISTENERS, gateway.key)
    status = read.one(GATEWAY_STATUS, gateway.key)
    if listeners is None or status is None:
        return None
    written = tuple(problem for item in listeners.items for problem in item.problems)
    return _problems(gateway.key, (*listeners.problems, *written, *status.problems))


def route_problems_of(read: Read, route: Route) -> Problems | None:
    """What is wrong with a route: its parents first, then its rules."""
    attachments = read.one(ATTACHMENTS, route.key)
    rules = read.one(RULES, route.key)
    found: list[Problem] = []
    if attachments is not None:
        found += attachments.problems
        for parent in attachments.parents:
            # What one listener refused is no mistake while another took the route, unless it was asked for by name.
            if not parent.attachments or parent.ref.section_name is not None:
                found += parent.problems
            found += parent.notes
    if rules is not None:
        found += rules.problems
        for rule in rules.items:
            found += rule.problems
    return _problems(route.key, tuple(dict.fromkeys(found)))


def _problems(key: Key, items: tuple[Problem, ...]) -> Problems | None:
    return Problems(key, items) if items else None
