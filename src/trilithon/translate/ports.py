"""Decide which Gateway has a port, and so which listeners serve in the end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from trilithon.incremental import Index, Read
from trilithon.model import gateway_mistakes as mistakes
from trilithon.model.listener import Listener, Listeners
from trilithon.model.settings import Settings
from trilithon.model.tables import OWN_LISTENERS
from trilithon.resources.flaw import is_unknown_hostname
from trilithon.resources.meta import Key
from trilithon.resources.problem import Problem
from trilithon.translate.isolation import neighbours
from trilithon.translate.listeners import KINDS_BY_PROTOCOL, with_problems
from trilithon.translate.overlaps import overlaps


def ports_claimed(listeners: Listeners) -> Iterable[int]:
    """Ports of the listeners that could be served: a Gateway in disorder takes no port from one in order."""
    return {listener.port for listener in listeners.items if listener.serves}


# Who wants a port: matters only where all Gateways bind one address.
GATEWAYS_BY_PORT: Index[int, Key, Listeners] = Index("gateways by port", OWN_LISTENERS, ports_claimed)


def listeners_of(settings: Settings, read: Read, own: Listeners) -> Listeners:
    """All listeners of a Gateway of ours, each with everything that is wrong with it."""
    items = [with_problems(item, _taken(settings, read, own, item)) for item in own.items]
    items = [with_problems(item, overlaps(read, item, items)) for item in items]
    items = [with_problems(item, _held(item, items)) for item in items]
    return Listeners(own.gateway, own.generation, own.created, tuple(items), own.problems)


def _taken(settings: Settings, read: Read, own: Listeners, listener: Listener) -> list[Problem]:
    if not settings.shared_address or listener.protocol not in KINDS_BY_PROTOCOL:
        return []
    # Itself too: an older Gateway that is mended has its port back.
    first = min((own, *read.group(GATEWAYS_BY_PORT, listener.port)), key=_age)
    if first.gateway == own.gateway:
        return []
    at = f"{listener.path}.port"
    return [
        mistakes.PORT_TAKEN_BY_GATEWAY.at(
            own.gateway, at, port=listener.port, address=settings.address, other=first.gateway.path
        )
    ]


def _age(listeners: Listeners) -> tuple[str, str]:
    # Oldest first, then by name; an unknown time counts as newest, like that of an object not created yet.
    return (listeners.created or "~", listeners.gateway.path)


def _held(listener: Listener, all_: Sequence[Listener]) -> list[Problem]:
    """The warning of a listener that does not serve and whose requests come in by others."""
    others = [other.key.name for other in neighbours(listener, all_) if other.serves]
    if listener.serves or not others or is_unknown_hostname(listener.hostname):
        return []
    hostname = "hosts that no other listener names" if listener.hostname == "*" else listener.hostname
    at = f"{listener.path}.hostname"
    return [
        mistakes.HOSTNAME_HELD.at(
            listener.key.gateway, at, hostname=hostname, port=listener.port, listener=listener.key.name
        )
    ]
