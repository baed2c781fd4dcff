"""The tables between the model and Envoy's resources, and the indexes that group their rows.

Keys of the tables that hold resources begin with the Gateway whose Envoys get them; their rows are the resources.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from msgspec import Struct

from trilithon.incremental import Index, Table
from trilithon.model.backend import Backend, BackendKey
from trilithon.model.listener import HostKey, PortKey, PortListeners, RouteTableKey
from trilithon.model.rule import Redirect
from trilithon.model.tables import PORT_LISTENERS
from trilithon.resources.meta import Key
from trilithon.translate.precedence import Rank
from trilithon.xds.resource import XdsResource


class SecretKey(NamedTuple):
    """One certificate as one Gateway uses it."""

    gateway: Key
    secret: Key


class EncodedMatch(Struct, frozen=True, gc=False):
    """One match of a rule as Envoy routes.

    ``routes`` are complete entries of a virtual host's route list. ``redirects`` are routes that come behind them and
    lack the port, which can depend on the listener: ``redirect.closed`` adds it. ``takes_all`` says that no request
    gets past this match.
    """

    rank: Rank
    routes: bytes
    redirects: tuple[bytes, ...] = ()
    redirect: Redirect | None = None
    takes_all: bool = False


class EncodedRules(Struct, frozen=True, gc=False):
    """A route's matches in the spec's order, and the backends that they send to, mirrors included."""

    route: Key
    matches: tuple[EncodedMatch, ...]
    backends: tuple[Backend, ...]


class Place(NamedTuple):
    """A virtual host that a route has matches in; ``claim`` is the route's own hostname that leads there."""

    host: HostKey
    claim: str


class Placed(Struct, frozen=True, gc=False):
    """An encoded route beside the virtual hosts it has a place in."""

    places: tuple[Place, ...]
    backends: tuple[BackendKey, ...]
    encoded: EncodedRules


class EncodedHost(Struct, frozen=True, gc=False):
    """A virtual host as one entry of a route table's list."""

    host: HostKey
    chunk: bytes


ENCODED: Table[Key, EncodedRules] = Table("encoded")
PLACED: Table[Key, Placed] = Table("placed")
VIRTUAL_HOSTS: Table[HostKey, EncodedHost] = Table("virtual hosts")

ROUTE_TABLES: Table[RouteTableKey, XdsResource] = Table("route tables")
ENVOY_LISTENERS: Table[PortKey, XdsResource] = Table("envoy listeners")
CLUSTERS: Table[BackendKey, XdsResource] = Table("clusters")
ENDPOINTS: Table[BackendKey, XdsResource] = Table("endpoints")
TLS_SECRETS: Table[SecretKey, XdsResource] = Table("tls secrets", is_private=True)


def hosts_of(placed: Placed) -> Iterable[HostKey]:
    """The virtual hosts that a route has matches in."""
    return [place.host for place in placed.places]


def backends_of(placed: Placed) -> Iterable[BackendKey]:
    """The backends that a route needs, for each of its Gateways."""
    return placed.backends


BY_HOST: Index[HostKey, Key, Placed] = Index("routes by host", PLACED, hosts_of)
BY_BACKEND: Index[BackendKey, Key, Placed] = Index("routes by backend", PLACED, backends_of)
HOSTS_BY_TABLE: Index[RouteTableKey, HostKey, EncodedHost] = Index(
    "virtual hosts by route table", VIRTUAL_HOSTS, lambda row: (row.host.table,)
)
BY_TABLE: Index[RouteTableKey, PortKey, PortListeners] = Index(
    "ports by route table", PORT_LISTENERS, lambda row: [listener.table for listener in row.serving]
)
BY_CERTIFICATE: Index[SecretKey, PortKey, PortListeners] = Index(
    "ports by certificate",
    PORT_LISTENERS,
    lambda row: [SecretKey(row.port.gateway, secret) for listener in row.serving for secret in listener.certificates],
)
