"""Everything wrong with an object, gathered from the rows that noticed it."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from trilithon.incremental import Read, Table
from trilithon.model.attachment import Attachments
from trilithon.model.backend import Backend, BackendKey
from trilithon.model.problem import causes_of
from trilithon.model.route_mistakes import BACKEND_REFUSED, PRIVATE_ENDPOINT
from trilithon.model.rule import Forward, Rule, Rules
from trilithon.model.settings import Settings
from trilithon.model.tables import ATTACHMENTS, CLASSES, LISTENERS, REFUSED_BACKENDS, RULES, UNSERVED
from trilithon.resources.gateways import Gateway, GatewayClass
from trilithon.resources.meta import Key
from trilithon.resources.problem import Problem
from trilithon.resources.routes import Route
from trilithon.status.gateway import GATEWAY_STATUS
from trilithon.translate.classes import class_key, class_of_another, class_problems, is_ours
from trilithon.translate.endpoints import private_endpoints
from trilithon.translate.flaws import warnings_of_class


class Problems(Struct, frozen=True, gc=False):
    """All problems of one object, in the order of its fields."""

    key: Key
    items: tuple[Problem, ...]


CLASS_PROBLEMS: Table[Key, Problems] = Table("class problems")
GATEWAY_PROBLEMS: Table[Key, Problems] = Table("gateway problems")
ROUTE_PROBLEMS: Table[Key, Problems] = Table("route problems")


def class_problems_of(settings: Settings, read: Read, class_: GatewayClass) -> Problems | None:
    """What is wrong with a class of ours."""
    if not is_ours(settings, class_):
        return None
    return _problems(class_.key, (*class_problems(read, class_), *warnings_of_class(class_)))


def gateway_problems_of(settings: Settings, read: Read, gateway: Gateway) -> Problems | None:
    """What is wrong with a Gateway and its listeners, what the running Envoy refused included."""
    unserved = read.one(UNSERVED, gateway.key)
    if unserved is not None:
        return _problems(gateway.key, (unserved,))
    class_ = read.one(CLASSES, class_key(gateway))
    if class_ is not None and (foreign := class_of_another(settings, gateway, class_)) is not None:
        return _problems(gateway.key, (foreign,))
    listeners = read.one(LISTENERS, gateway.key)
    status = read.one(GATEWAY_STATUS, gateway.key)
    if listeners is None or status is None:
        return None
    written = tuple(problem for item in listeners.items for problem in causes_of(item.problems))
    return _problems(gateway.key, (*listeners.problems, *written, *status.problems))


def route_problems_of(settings: Settings, read: Read, route: Route) -> Problems | None:
    """What is wrong with a route: its parents first, then its rules, then what Envoy refused of its backends.

    Beside other controllers a route without a parent of ours is theirs to judge.
    """
    attachments = read.one(ATTACHMENTS, route.key)
    if not settings.shared_address and (attachments is None or not attachments.parents):
        return None
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
    if attachments is not None and rules is not None:
        found += _refused(settings, read, attachments, rules)
    return _problems(route.key, tuple(dict.fromkeys(found)))


def _refused(settings: Settings, read: Read, attachments: Attachments, rules: Rules) -> Iterator[Problem]:
    # No condition tells of it: the reference is resolved, the route is accepted, and the mistake is not the user's.
    gateways = sorted({each.table.gateway for parent in attachments.parents for each in parent.attachments})
    for rule in rules.items:
        for path, backend in _backends(rule):
            if private := private_endpoints(settings, read, backend):
                addresses = ", ".join(map(str, private))
                yield PRIVATE_ENDPOINT.at(rules.route, path, backend=backend, addresses=addresses)
            for gateway in gateways:
                refused = read.one(REFUSED_BACKENDS, BackendKey(gateway, backend))
                for why in refused.messages if refused is not None else ():
                    yield BACKEND_REFUSED.at(rules.route, path, backend=backend, why=why)


def _backends(rule: Rule) -> Iterator[tuple[str, Backend]]:
    """What a rule sends requests to, each with the field that names it."""
    if isinstance(rule.action, Forward):
        for share in rule.action.shares:
            if share.backend is not None and share.weight > 0:
                yield f"spec.rules[{rule.index}].backendRefs[{share.index}]", share.backend
        for mirror in rule.filters.mirrors:
            yield f"spec.rules[{rule.index}].filters", mirror.backend


def _problems(key: Key, items: tuple[Problem, ...]) -> Problems | None:
    return Problems(key, items) if items else None
