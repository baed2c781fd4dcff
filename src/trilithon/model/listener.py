"""A Gateway's listeners after merging, conflicts and certificates."""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct

from trilithon.model.proxy import Acked
from trilithon.resources.meta import Key, LabelSelector
from trilithon.resources.problem import Problem


class ListenerKey(NamedTuple):
    """Names one listener of one Gateway; ``parent`` is the Gateway (later also a ListenerSet)."""

    gateway: Key
    parent: Key
    name: str


class PortKey(NamedTuple):
    """All listeners of one Gateway on one port number; becomes one Envoy listener."""

    gateway: Key
    port: int


class RouteTableKey(NamedTuple):
    """One route table. ``scope`` is "" for the HTTP listeners of a port, which share one table by Host,
    and the listener's name for an HTTPS listener, which SNI selects."""

    gateway: Key
    port: int
    scope: str


class HostKey(NamedTuple):
    """One virtual host: a hostname of one listener in one route table; "*" is any hostname."""

    table: RouteTableKey
    listener: ListenerKey
    hostname: str


# From where a listener takes routes is not understood.
UNKNOWN_NAMESPACES = ""


class Offer(Struct, frozen=True, gc=False):
    """What a listener takes, as routes see it. ``hostname`` is "*" when unset.

    ``kinds`` are the supported kinds of routes that it takes. ``namespaces`` is All, Same, Selector (with
    ``selector``) or ``UNKNOWN_NAMESPACES``.
    """

    key: ListenerKey
    port: int
    protocol: str
    hostname: str
    kinds: tuple[str, ...]
    namespaces: str
    selector: LabelSelector | None

    @property
    def port_key(self) -> PortKey:
        """The port it shares with others."""
        return PortKey(self.key.gateway, self.port)

    @property
    def table(self) -> RouteTableKey:
        """The route table it takes part in."""
        return RouteTableKey(self.key.gateway, self.port, self.key.name if self.protocol == "HTTPS" else "")


class PortListener(Offer, frozen=True, gc=False):
    """A listener as its port sees it. ``certificates`` are the Secrets that can be used, in order.

    ``serves`` says whether Envoy serves it; one that does not keeps its hostname.
    """

    certificates: tuple[Key, ...]
    serves: bool


class Listener(PortListener, frozen=True, gc=False):
    """One listener with everything wrong with it."""

    index: int
    problems: tuple[Problem, ...]

    @property
    def path(self) -> str:
        """Where it stands in its object."""
        return f"spec.listeners[{self.index}]"


class Offers(Struct, frozen=True, gc=False):
    """What the listeners of one Gateway take, in the order written."""

    gateway: Key
    items: tuple[Offer, ...]


class PortListeners(Struct, frozen=True, gc=False):
    """The listeners that share out the hostnames of one port, in the order written; at least one serves."""

    port: PortKey
    items: tuple[PortListener, ...]

    @property
    def serving(self) -> tuple[PortListener, ...]:
        """Those that Envoy serves."""
        return tuple(item for item in self.items if item.serves)


class Listeners(Struct, frozen=True, gc=False):
    """All listeners of one Gateway that is ours, in the order written.

    ``problems`` are those of the Gateway as a whole (addresses, parameters), not of its listeners.
    """

    gateway: Key
    generation: int
    created: str
    items: tuple[Listener, ...]
    problems: tuple[Problem, ...] = ()


class WantedListener(Struct, frozen=True, gc=False):
    """What every Envoy of a Gateway has to acknowledge before a listener is programmed.

    ``secrets`` are those of its certificates, beside the Secret that each is made from.
    """

    key: ListenerKey
    envoy_listener: Acked
    route_table: Acked
    secrets: tuple[tuple[Key, Acked], ...] = ()

    @property
    def everything(self) -> frozenset[Acked]:
        """All of it."""
        return frozenset((self.envoy_listener, self.route_table, *(wanted for _, wanted in self.secrets)))


class WantedPort(Struct, frozen=True, gc=False):
    """What the listeners of a port need, one by one; the Envoy listener is the same for all."""

    listeners: tuple[WantedListener, ...]
