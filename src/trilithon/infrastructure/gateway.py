"""Decide what runs a Gateway in a cluster: all of its objects, what is there already, or nothing."""

from __future__ import annotations

from trilithon.incremental import Read
from trilithon.infrastructure.manifest import Plan
from trilithon.infrastructure.pods import identity, workload
from trilithon.infrastructure.service import services
from trilithon.model.infrastructure import Infrastructure
from trilithon.model.listener import Listeners
from trilithon.model.settings import Settings
from trilithon.model.tables import CLASSES, LISTENERS
from trilithon.resources.gateways import Gateway
from trilithon.translate.classes import class_key, held, is_ours
from trilithon.translate.parameters import parameters_of


def infrastructure_of(settings: Settings, read: Read, gateway: Gateway) -> Infrastructure | None:
    """What runs a Gateway.

    None only where it is certainly not ours: nothing is generated without an installation, or another controller has
    the class. A missing or refused class and a refused Gateway hold what is there.
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
        # The pods that are there still need an identity.
        return Infrastructure(gateway.key, (identity(plan),), is_held=True)
    return Infrastructure(gateway.key, (*services(plan), *workload(plan)))


def _ports(listeners: Listeners) -> tuple[tuple[int, str], ...]:
    """Ports of listeners that serve, in order; none where the class or the Gateway as a whole is refused."""
    serving = [listener for listener in listeners.items if listener.serves]
    return tuple(sorted({(each.port, "UDP" if each.protocol == "UDP" else "TCP") for each in serving}))
