"""Say what an Envoy has to acknowledge before a port is programmed."""

from __future__ import annotations

from trilithon.incremental import Read
from trilithon.model.listener import PortListener, PortListeners, WantedListener, WantedPort
from trilithon.model.proxy import Acked
from trilithon.xds.names import route_table_name, secret_name
from trilithon.xds.resource import LISTENER, ROUTE, SECRET, shape_of
from trilithon.xds.route_table import shape_of_tables
from trilithon.xds.tables import ENVOY_LISTENERS


def wanted_port(read: Read, row: PortListeners) -> WantedPort | None:
    """What each listener of a port needs.

    An Envoy listener is acknowledged while it still waits for its route tables and secrets, so these count as well; and
    a changed hostname is a change of the route table only.
    """
    resource = read.one(ENVOY_LISTENERS, row.port)
    if resource is None:
        return None
    shape = shape_of_tables(row.items)
    envoy_listener = Acked(LISTENER, resource.name, shape_of(LISTENER, resource.version))
    return WantedPort(tuple(_wanted_listener(listener, envoy_listener, shape) for listener in row.serving))


def _wanted_listener(listener: PortListener, envoy_listener: Acked, shape: str) -> WantedListener:
    return WantedListener(
        listener.key,
        envoy_listener,
        Acked(ROUTE, route_table_name(listener.table), shape),
        tuple((secret, Acked(SECRET, secret_name(secret), "")) for secret in listener.certificates),
    )
