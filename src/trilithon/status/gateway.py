"""The status of a Gateway of ours: addresses, conditions, listeners."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from trilithon.incremental import Read, Table
from trilithon.model.flaw_mistakes import LEFT_OUT
from trilithon.model.infrastructure import BoundAddress, GatewayAddresses
from trilithon.model.listener import Listener, Listeners
from trilithon.model.problem import condition_of, reason_of
from trilithon.model.proxy import Proxy
from trilithon.model.settings import Settings
from trilithon.model.tables import GATEWAY_ADDRESSES, PORTS, PROXIES
from trilithon.resources.gateways import Gateway
from trilithon.resources.meta import GATEWAY_GROUP, Key
from trilithon.resources.problem import Problem
from trilithon.status.answers import is_behind, refusals
from trilithon.status.conditions import Condition, message_of, within_limit
from trilithon.status.route import ROUTES_BY_LISTENER


class ListenerStatus(Struct, frozen=True, gc=False):
    """One entry of Gateway.status.listeners; kinds are of the Gateway API group."""

    name: str
    supported_kinds: tuple[str, ...]
    attached_routes: int
    conditions: tuple[Condition, ...]


class GatewayStatus(Struct, frozen=True, gc=False):
    """Gateway.status.

    ``problems`` are those that only the surroundings know: a port that Envoy cannot bind, an address not assigned.
    """

    key: Key
    addresses: tuple[BoundAddress, ...]
    conditions: tuple[Condition, ...]
    listeners: tuple[ListenerStatus, ...]
    problems: tuple[Problem, ...] = ()


GATEWAY_STATUS: Table[Key, GatewayStatus] = Table("gateway status")


def gateway_status_of(settings: Settings, read: Read, listeners: Listeners) -> GatewayStatus:
    """Everything there is to say about one Gateway."""
    proxy = read.one(PROXIES, listeners.gateway.path) or Proxy(listeners.gateway.path)
    ports = {item.port_key: read.one(PORTS, item.port_key) for item in listeners.items if item.serves}
    wanted = {each.key: each for port in ports.values() if port is not None for each in port.listeners}
    live = {
        item.key: refusals(settings, proxy, item, wanted[item.key]) for item in listeners.items if item.key in wanted
    }
    acked = frozenset(proxy.acked)
    programmed = {key for key, each in wanted.items() if each.everything <= acked and not live.get(key)}
    statuses = tuple(
        ListenerStatus(
            name=item.key.name,
            supported_kinds=item.kinds,
            attached_routes=read.count(ROUTES_BY_LISTENER, item.key),
            conditions=_listener_conditions(
                item, (*item.problems, *live.get(item.key, ())), item.key in programmed, listeners
            ),
        )
        for item in listeners.items
    )
    reached = read.one(GATEWAY_ADDRESSES, listeners.gateway) or GatewayAddresses(listeners.gateway, ())
    return GatewayStatus(
        key=listeners.gateway,
        addresses=reached.addresses,
        conditions=_gateway_conditions(
            listeners,
            statuses,
            proxy,
            reached,
            is_behind(proxy, wanted.values()),
            is_held=settings.installation is not None,
        ),
        listeners=statuses,
        # What is only on its way is for the condition to tell.
        problems=(
            *(problem for problem in reached.problems if problem.severity == "error"),
            *(problem for found in live.values() for problem in found),
        ),
    )


def _listener_conditions(
    listener: Listener, problems: Sequence[Problem], programmed: bool, listeners: Listeners
) -> tuple[Condition, ...]:
    generation = listeners.generation
    by_condition: dict[str, list[Problem]] = {}
    for problem in problems:
        by_condition.setdefault(condition_of(problem), []).append(problem)
    conflicts = by_condition.get("Conflicted", [])
    # A member of a conflict is not accepted, for the conflict's reason.
    refusals = conflicts or by_condition.get("Accepted", [])
    conditions = [
        _condition("Accepted", refusals, "The listener is understood", generation),
        _condition("ResolvedRefs", by_condition.get("ResolvedRefs", []), "All references are resolved", generation),
        _programmed_condition(listener, by_condition, refusals, programmed, listeners),
    ]
    if conflicts:
        conditions.append(Condition("Conflicted", "True", reason_of(conflicts[0]), message_of(conflicts), generation))
    else:
        conditions.append(Condition("Conflicted", "False", "NoConflicts", "No listener is in conflict", generation))
    if overlaps := by_condition.get("OverlappingTLSConfig", []):
        conditions.append(
            Condition("OverlappingTLSConfig", "True", reason_of(overlaps[0]), message_of(overlaps), generation)
        )
    return tuple(conditions)


def _programmed_condition(
    listener: Listener,
    by_condition: dict[str, list[Problem]],
    refusals: Sequence[Problem],
    programmed: bool,
    listeners: Listeners,
) -> Condition:
    generation = listeners.generation
    own = by_condition.get("Programmed", [])
    if own:
        return Condition("Programmed", "False", reason_of(own[0]), message_of(own), generation)
    if refusals:
        return Condition("Programmed", "False", "Invalid", message_of(refusals), generation)
    if not listener.serves:
        return Condition("Programmed", "False", "Invalid", "The Gateway is not served", generation)
    if programmed:
        return Condition("Programmed", "True", "Programmed", "Envoy serves the listener", generation)
    return Condition("Programmed", "False", "Pending", "Envoy has not acknowledged the listener yet", generation)


def _condition(type_: str, problems: Sequence[Problem], good: str, generation: int) -> Condition:
    """True with the type as reason, or False with the first problem's reason and every problem's message."""
    if problems:
        return Condition(type_, "False", reason_of(problems[0]), message_of(problems), generation)
    return Condition(type_, "True", type_, good, generation)


def _gateway_conditions(
    listeners: Listeners,
    statuses: Sequence[ListenerStatus],
    proxy: Proxy,
    reached: GatewayAddresses,
    behind: bool,
    *,
    is_held: bool,
) -> tuple[Condition, ...]:
    """The conditions of the whole. ``is_held`` says that what runs a Gateway stays as it was before a mistake in it."""
    generation = listeners.generation
    own = [problem for problem in listeners.problems if condition_of(problem) == "Accepted"]
    known = (*listeners.problems, *reached.problems)
    addresses = [problem for problem in known if condition_of(problem) == "Programmed"]
    accepted = _accepted(listeners, statuses, own)
    resolved = [status.name for status in statuses if not _is_true(status, "ResolvedRefs")]
    if resolved:
        message = f"References are not resolved on listeners {', '.join(resolved)}"
        refs = Condition("ResolvedRefs", "False", "ListenersNotResolved", message, generation)
    else:
        refs = Condition("ResolvedRefs", "True", "ResolvedRefs", "All references are resolved", generation)
    return (accepted, _programmed(accepted, statuses, addresses, proxy, behind, is_held=is_held), refs)


def _accepted(listeners: Listeners, statuses: Sequence[ListenerStatus], own: Sequence[Problem]) -> Condition:
    generation = listeners.generation
    if own:
        return Condition("Accepted", "False", reason_of(own[0]), message_of(own), generation)
    refused = [status.name for status in statuses if not _is_true(status, "Accepted")]
    left_out = [problem for problem in listeners.problems if condition_of(problem) == LEFT_OUT]
    bad = [*refused, *([message_of(left_out)] if left_out else ())]
    if not bad:
        return Condition("Accepted", "True", "Accepted", "The Gateway is understood", generation)
    message = within_limit(f"Listeners not valid: {', '.join(bad)}")
    if len(refused) == len(statuses):
        return Condition("Accepted", "False", "ListenersNotValid", message, generation)
    return Condition("Accepted", "True", "ListenersNotValid", message, generation)


def _programmed(
    accepted: Condition,
    statuses: Sequence[ListenerStatus],
    addresses: Sequence[Problem],
    proxy: Proxy,
    behind: bool,
    *,
    is_held: bool,
) -> Condition:
    generation = accepted.observed_generation
    if accepted.status != "True":
        # The Gateway is not what was asked for, though Envoy may serve every listener.
        is_served = any(_is_true(status, "Programmed") for status in statuses)
        how = "what runs the Gateway serves on as it is" if is_held else "its listeners are served all the same"
        message = f"{accepted.message}; {how}" if is_served else accepted.message
        return Condition("Programmed", "False", "Invalid", within_limit(message), generation)
    if addresses:
        return Condition("Programmed", "False", reason_of(addresses[0]), message_of(addresses), generation)
    reasons = {
        condition.reason for status in statuses for condition in status.conditions if condition.type == "Programmed"
    }
    if "Pending" not in reasons and "Programmed" not in reasons:
        return Condition("Programmed", "False", "Invalid", "No listener can be served", generation)
    if "Pending" in reasons or behind:
        why = "Envoy has not acknowledged yet" if proxy.connected else "No Envoy is connected yet"
        return Condition("Programmed", "False", "Pending", why, generation)
    return Condition("Programmed", "True", "Programmed", "Envoy serves the Gateway", generation)


def _is_true(status: ListenerStatus, type_: str) -> bool:
    return any(condition.type == type_ and condition.status == "True" for condition in status.conditions)


def lapsed(gateway: Gateway) -> dict[str, object]:
    """The status of a Gateway that was ours and is nobody's, because its class is gone: what we said holds no more."""
    why = f"GatewayClass {gateway.spec.gateway_class_name} not found, so nothing serves this Gateway"
    conditions = (
        Condition("Accepted", "Unknown", "Pending", why, gateway.generation),
        Condition("Programmed", "False", "Pending", why, gateway.generation),
    )
    return {"addresses": [], "conditions": [condition.rendered() for condition in conditions], "listeners": []}


def rendered(status: GatewayStatus) -> dict[str, object]:
    """The status as it is written to a cluster."""
    return {
        "addresses": [{"type": address.type, "value": address.value} for address in status.addresses],
        "conditions": [condition.rendered() for condition in status.conditions],
        "listeners": [
            {
                "name": listener.name,
                "supportedKinds": [{"group": GATEWAY_GROUP, "kind": kind} for kind in listener.supported_kinds],
                "attachedRoutes": listener.attached_routes,
                "conditions": [condition.rendered() for condition in listener.conditions],
            }
            for listener in status.listeners
        ],
    }
