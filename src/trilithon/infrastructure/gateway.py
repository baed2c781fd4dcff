"""Decide what runs a Gateway in a cluster: all of its objects, what is there already, or nothing."""

from __future__ import annotations

from trilithon.incremental import Read
from trilithon.infrastructure.manifest import Plan
from trilithon.infrastructure.pods import identity, workload
from trilithon.infrastructure.service import services
from trilithon.model.infrastructure import Infrastructure
from trilithon.model.listener import Listener, Listeners
from trilithon.model.problem import condition_of, reason_of
from trilithon.model.settings import Settings
from trilithon.model.tables import CLASSES, LISTENERS
from trilithon.resources.gateways import Gateway
from trilithon.translate.classes import class_key, generated_services, held, is_ours
from trilithon.translate.parameters import parameters_of


def infrastructure_of(settings: Settings, read: Read, gateway: Gateway) -> Infrastructure | None:
    """What runs a Gateway.

    None only where it is certainly not ours: nothing is generated without an installation, or another controller has
    the class. A missing or refused class, and a Gateway that is refused or not understood, hold what is there.
    """
    if settings.installation is None:
        return None
    class_ = read.one(CLASSES, class_key(gateway))
    if class_ is not None and not is_ours(settings, class_):
        return None
    listeners = read.one(LISTENERS, gateway.key)
    plan = Plan(
        gateway=gateway,
        installation=settings.installation,
        parameters=parameters_of(read, gateway),
        ports=_ports(listeners) if listeners is not None and not held(settings, read, gateway) else (),
    )
    if not plan.ports:
        # The pods that are there still need an identity, which may have the name of a class before, as Services do.
        before = {each.key.name for each in generated_services(settings, read, gateway)}
        identities = [identity(plan, name) for name in sorted({plan.name, *before})]
        return Infrastructure(gateway.key, tuple(identities), is_held=True)
    return Infrastructure(gateway.key, (*services(plan), *workload(plan)))


def _ports(listeners: Listeners) -> tuple[tuple[int, str], ...]:
    """The ports of a Gateway, in order; none where no listener serves, or the Gateway as a whole is not accepted.

    Beside listeners that serve are those that may serve again: a port that a Service loses costs the load balancer's
    listener and the node port, which nobody gets back.
    """
    is_refused = any(condition_of(problem) == "Accepted" for problem in listeners.problems)
    if is_refused or not any(listener.serves for listener in listeners.items):
        return ()
    possible = [listener for listener in listeners.items if _has_port(listener)]
    return tuple(sorted({(each.port, "UDP" if each.protocol == "UDP" else "TCP") for each in possible}))


def _has_port(listener: Listener) -> bool:
    """Whether the listener could have its port, whatever else is wrong with it."""
    reasons = {reason_of(problem) for problem in listener.problems if condition_of(problem) == "Accepted"}
    return not reasons & {"UnsupportedProtocol", "PortUnavailable"}
