"""The status of a route: what each of its parents that is ours makes of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from trilithon.incremental import Index, Read, Table
from trilithon.model.attachment import Attachments, ParentAttachment
from trilithon.model.listener import ListenerKey
from trilithon.model.problem import condition_of, reason_of
from trilithon.model.rule import Rules
from trilithon.model.settings import Settings
from trilithon.model.tables import ATTACHMENTS, RULES
from trilithon.resources.meta import Key, ParentReference
from trilithon.resources.problem import Problem
from trilithon.resources.routes import Route
from trilithon.status.conditions import Condition, message_of, within_limit

# Problems of these belong to a rule that was dropped: what it asks for cannot be honoured, so that it answers 500.
DROPPED = ("RuleValue", "RuleFilters")


class RouteParentStatus(Struct, frozen=True, gc=False):
    """One entry of status.parents: a parent reference as written, and what became of it."""

    ref: ParentReference
    conditions: tuple[Condition, ...]


class RouteStatus(Struct, frozen=True, gc=False):
    """A route's status, as far as it is ours: one entry per reference to a Gateway of ours, in the order written.

    ``listeners`` are those that count the route in attachedRoutes: it is Accepted there.
    """

    key: Key
    controller_name: str
    parents: tuple[RouteParentStatus, ...]
    listeners: tuple[ListenerKey, ...] = ()


ROUTE_STATUS: Table[Key, RouteStatus] = Table("route status")
# "The number of Routes that are attached": those with Accepted=True, whatever their backends (ListenerStatus).
ROUTES_BY_LISTENER: Index[ListenerKey, Key, RouteStatus] = Index(
    "routes by listener", ROUTE_STATUS, lambda status: status.listeners
)


def route_status_of(settings: Settings, read: Read, route: Route) -> RouteStatus | None:
    """What our Gateways say about a route; None when none of its parents is ours."""
    attachments = read.one(ATTACHMENTS, route.key)
    if attachments is None or not attachments.parents:
        return None
    rules = read.one(RULES, route.key) or Rules(route.key, route.created, ())
    parents = tuple(
        RouteParentStatus(parent.ref, _conditions(parent, rules, attachments.generation))
        for parent in attachments.parents
    )
    return RouteStatus(route.key, settings.controller_name, parents, _accepting(attachments, rules))


def _accepting(attachments: Attachments, rules: Rules) -> tuple[ListenerKey, ...]:
    """The listeners with Accepted=True for the route."""
    if _all_dropped(rules):
        return ()
    taken = (attachment for parent in attachments.parents for attachment in parent.attachments)
    return tuple(dict.fromkeys(attachment.listener for attachment in taken))


def _conditions(parent: ParentAttachment, rules: Rules, generation: int) -> tuple[Condition, ...]:
    accepted = _accepted(parent, rules, generation)
    conditions = [accepted, _resolved_refs(rules, generation)]
    dropped = _dropped(rules)
    # "MUST NOT be set to False", and only beside Accepted=True (RouteConditionPartiallyInvalid).
    if dropped and accepted.status == "True":
        conditions.append(_partially_invalid(dropped, generation))
    return tuple(conditions)


def _accepted(parent: ParentAttachment, rules: Rules, generation: int) -> Condition:
    """True when at least one listener took the route and at least one rule can be honoured."""
    if not parent.attachments:
        reason = reason_of(parent.problems[0]) if parent.problems else "NoMatchingParent"
        return Condition("Accepted", "False", reason, message_of(parent.problems), generation)
    if _all_dropped(rules):
        dropped = _dropped(rules)
        return Condition("Accepted", "False", reason_of(dropped[0]), message_of(dropped), generation)
    listeners = ", ".join(attachment.listener.name for attachment in parent.attachments)
    message = f"Attached to {'listener' if len(parent.attachments) == 1 else 'listeners'} {listeners}"
    if parent.notes:
        message = within_limit(f"{message}; {message_of(parent.notes)}")
    return Condition("Accepted", "True", "Accepted", message, generation)


def _resolved_refs(rules: Rules, generation: int) -> Condition:
    """A bad reference never makes Accepted False, and is told whether or not the route is attached."""
    if not rules.items:
        message = "The references were not examined: the route is not understood"
        return Condition("ResolvedRefs", "Unknown", "NotExamined", message, generation)
    problems = [problem for problem in _problems(rules) if condition_of(problem) == "ResolvedRefs"]
    if problems:
        return Condition("ResolvedRefs", "False", reason_of(problems[0]), message_of(problems), generation)
    return Condition("ResolvedRefs", "True", "ResolvedRefs", "All references are resolved", generation)


def _partially_invalid(dropped: Sequence[Problem], generation: int) -> Condition:
    # "the message MUST start with the prefix Dropped Rule" (RouteConditionPartiallyInvalid); UnsupportedValue is the
    # only reason that the API has for it.
    message = within_limit(f"Dropped Rule {message_of(dropped)}")
    return Condition("PartiallyInvalid", "True", "UnsupportedValue", message, generation)


def _problems(rules: Rules) -> Iterable[Problem]:
    return (problem for rule in rules.items for problem in rule.problems)


def _dropped(rules: Rules) -> list[Problem]:
    return [problem for problem in _problems(rules) if condition_of(problem) in DROPPED]


def _all_dropped(rules: Rules) -> bool:
    return bool(rules.items) and all(
        any(condition_of(problem) in DROPPED for problem in rule.problems) for rule in rules.items
    )


def rendered(status: RouteStatus) -> dict[str, object]:
    """The status as it is written to a cluster, without the times of transition, which are the writer's to know."""
    return {
        "parents": [
            {
                "parentRef": _rendered_ref(parent.ref),
                "controllerName": status.controller_name,
                "conditions": [condition.rendered() for condition in parent.conditions],
            }
            for parent in status.parents
        ]
    }


def _rendered_ref(ref: ParentReference) -> dict[str, object]:
    """The reference as the API server stores it: group and kind by default, the rest only where it was written."""
    optional = {"namespace": ref.namespace, "sectionName": ref.section_name, "port": ref.port}
    return {
        "group": ref.group,
        "kind": ref.kind,
        "name": ref.name,
        **{name: value for name, value in optional.items() if value is not None},
    }
