"""The status of a Gateway of ours: addresses, conditions, listeners."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from trilithon.incremental import Read, Table
from trilithon.model import gateway_mistakes as mistakes
from trilithon.model.listener import Listener, Listeners, WantedPort
from trilithon.model.problem import condition_of, reason_of
from trilithon.model.proxy import Proxy
from trilithon.model.settings import Settings
from trilithon.model.tables import PORTS, PROXIES
from trilithon.resources.meta import GATEWAY_GROUP, Key
from trilithon.resources.problem import Problem
from trilithon.status.conditions import Condition, message_of
from trilithon.status.route import ROUTES_BY_LISTENER

PRIVILEGED_PORTS = range(1, 1024)


class ListenerStatus(Struct, frozen=True, gc=False):
    """One entry of Gateway.status.listeners; kinds are of the Gateway API group."""

    name: str
    supported_kinds: tuple[str, ...]
    attached_routes: int
    conditions: tuple[Condition, ...]


class GatewayStatus(Struct, frozen=True, gc=False):
    """Gateway.status. ``problems`` are those that only the running Envoy can know (a port that cannot be bound)."""

    key: Key
    addresses: tuple[str, ...]
    conditions: tuple[Condition, ...]
    listeners: tuple[ListenerStatus, ...]
    problems: tuple[Problem, ...] = ()


GATEWAY_STATUS: Table[Key, GatewayStatus] = Table("gateway status")


def gateway_status_of(settings: Settings, read: Read, listeners: Listeners) -> GatewayStatus:
    """Everything there is to say about one Gateway."""
    proxy = read.one(PROXIES, listeners.gateway.path)
    live = {item.key: _live_problems(settings, read, proxy, item) for item in listeners.items if item.serves}
    programmed = {
        item.key: _is_programmed(read, proxy, item) and not live[item.key] for item in listeners.items if item.serves
    }
    statuses = tuple(
        ListenerStatus(
            name=item.key.name,
            supported_kinds=item.kinds,
            attached_routes=read.count(ROUTES_BY_LISTENER, item.key),
            conditions=_listener_conditions(
                item, (*item.problems, *live.get(item.key, ())), programmed.get(item.key, False), listeners
            ),
        )
        for item in listeners.items
    )
    return GatewayStatus(
        key=listeners.gateway,
        addresses=(settings.address,) if settings.shared_address else (),
        conditions=_gateway_conditions(listeners, statuses, proxy),
        listeners=statuses,
        problems=tuple(problem for found in live.values() for problem in found),
    )


def _is_programmed(read: Read, proxy: Proxy | None, listener: Listener) -> bool:
    """Whether every connected Envoy has acknowledged the Envoy listener that holds this listener."""
    wanted = read.one(PORTS, listener.port_key)
    return wanted is not None and proxy is not None and proxy.connected > 0 and _acked(proxy, wanted)


def _acked(proxy: Proxy, wanted: WantedPort) -> bool:
    return (wanted.name, wanted.version) in proxy.listeners


def _live_problems(settings: Settings, read: Read, proxy: Proxy | None, listener: Listener) -> tuple[Problem, ...]:
    """What Envoy refused of this listener's port."""
    wanted = read.one(PORTS, listener.port_key)
    if proxy is None or wanted is None:
        return ()
    names = (wanted.name, *wanted.route_tables)
    refused = [entry for entry in proxy.rejected if entry.name in names]
    return tuple(_refusal(settings, listener, entry.message) for entry in refused)


def _refusal(settings: Settings, listener: Listener, message: str) -> Problem:
    gateway = listener.key.gateway
    if "cannot bind" not in message:
        return mistakes.ENVOY_REFUSED.at(gateway, listener.path, why=message)
    bound = settings.bound_port(listener.port)
    if "Permission denied" in message:
        why = f"ports below {PRIVILEGED_PORTS.stop} need privileges that this process lacks"
        remedy = f"start with --port-offset 8000 to serve port {bound} at {bound + 8000}, or grant CAP_NET_BIND_SERVICE"
    elif "Address already in use" in message:
        why, remedy = "another process has it", "stop that process, or start with another --port-offset"
    else:
        why, remedy = message, "check --address"
    return mistakes.PORT_NOT_BOUND.at(gateway, f"{listener.path}.port", bound=bound, why=why, remedy=remedy)


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
    listeners: Listeners, statuses: Sequence[ListenerStatus], proxy: Proxy | None
) -> tuple[Condition, ...]:
    generation = listeners.generation
    own = [problem for problem in listeners.problems if condition_of(problem) == "Accepted"]
    addresses = [problem for problem in listeners.problems if condition_of(problem) == "Programmed"]
    accepted = _accepted(listeners, statuses, own)
    resolved = [status.name for status in statuses if not _is_true(status, "ResolvedRefs")]
    if resolved:
        message = f"References are not resolved on listeners {', '.join(resolved)}"
        refs = Condition("ResolvedRefs", "False", "ListenersNotResolved", message, generation)
    else:
        refs = Condition("ResolvedRefs", "True", "ResolvedRefs", "All references are resolved", generation)
    return (accepted, _programmed(accepted, statuses, addresses, proxy), refs)


def _accepted(listeners: Listeners, statuses: Sequence[ListenerStatus], own: Sequence[Problem]) -> Condition:
    generation = listeners.generation
    if own:
        return Condition("Accepted", "False", reason_of(own[0]), message_of(own), generation)
    bad = [status.name for status in statuses if not _is_true(status, "Accepted")]
    if not bad:
        return Condition("Accepted", "True", "Accepted", "The Gateway is understood", generation)
    message = f"Listeners not valid: {', '.join(bad)}"
    if len(bad) == len(statuses):
        return Condition("Accepted", "False", "ListenersNotValid", message, generation)
    return Condition("Accepted", "True", "ListenersNotValid", message, generation)


def _programmed(
    accepted: Condition, statuses: Sequence[ListenerStatus], addresses: Sequence[Problem], proxy: Proxy | None
) -> Condition:
    generation = accepted.observed_generation
    if accepted.status != "True":
        return Condition("Programmed", "False", "Invalid", accepted.message, generation)
    if addresses:
        return Condition("Programmed", "False", reason_of(addresses[0]), message_of(addresses), generation)
    reasons = {
        condition.reason for status in statuses for condition in status.conditions if condition.type == "Programmed"
    }
    if "Pending" in reasons:
        why = "No Envoy is connected yet" if proxy is None or proxy.connected == 0 else "Envoy has not acknowledged yet"
        return Condition("Programmed", "False", "Pending", why, generation)
    if "Programmed" not in reasons:
        return Condition("Programmed", "False", "Invalid", "No listener can be served", generation)
    return Condition("Programmed", "True", "Programmed", "Envoy serves the Gateway", generation)


def _is_true(status: ListenerStatus, type_: str) -> bool:
    return any(condition.type == type_ and condition.status == "True" for condition in status.conditions)


def rendered(status: GatewayStatus) -> dict[str, object]:
    """The status as it is written to a cluster."""
    return {
        "addresses": [{"type": "IPAddress", "value": address} for address in status.addresses],
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
