"""Show routes and ports what they need to see of listeners, so that nothing else of a listener wakes them."""

from __future__ import annotations

from typing import TypeVar

from trilithon.incremental import Index, Read
from trilithon.model.listener import (
    Listener,
    ListenerKey,
    Listeners,
    Offer,
    Offers,
    PortKey,
    PortListener,
    PortListeners,
)
from trilithon.model.tables import LISTENERS
from trilithon.resources.meta import Key
from trilithon.translate.isolation import neighbours

Part = TypeVar("Part", bound=Offer)

BY_LISTENER: Index[ListenerKey, Key, Listeners] = Index(
    "listeners by name", LISTENERS, lambda row: [listener.key for listener in row.items]
)
BY_PORT: Index[PortKey, Key, Listeners] = Index(
    "listeners by port", LISTENERS, lambda row: [listener.port_key for listener in row.items if listener.serves]
)


def offers_of(_: Read, listeners: Listeners) -> Offers:
    """What all listeners of a Gateway take, whether or not they serve."""
    return Offers(listeners.gateway, tuple(_part(Offer, listener) for listener in listeners.items))


def idle_of(read: Read, key: ListenerKey) -> str | None:
    """Why a listener does not serve, in words; None where it does."""
    (listener,) = (item for row in read.group(BY_LISTENER, key) for item in row.items if item.key == key)
    if listener.serves:
        return None
    why = "; ".join(problem.message for problem in listener.problems if problem.severity == "error")
    return why or "its Gateway is not served"


def port_listeners_of(read: Read, port: PortKey) -> PortListeners:
    """The listeners that share out the hostnames of a port on which at least one serves."""
    listeners = [item for row in read.group(BY_PORT, port) for item in row.items if item.port_key == port]
    serving = next(listener for listener in listeners if listener.serves)
    return PortListeners(port, tuple(_part(PortListener, item) for item in neighbours(serving, listeners)))


def _part(kind: type[Part], listener: Listener) -> Part:
    return kind(*(getattr(listener, field) for field in kind.__struct_fields__))
