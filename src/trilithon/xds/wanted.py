"""Say what an Envoy has to acknowledge before a port is programmed."""

from __future__ import annotations

from trilithon.incremental import Read
from trilithon.model.listener import PortKey, WantedPort
from trilithon.xds.names import route_table_name
from trilithon.xds.tables import BY_PORT, ENVOY_LISTENERS, serving


def wanted_port(read: Read, port: PortKey) -> WantedPort | None:
    """The Envoy listener of a port at its version, and the names of the route tables that belong to it."""
    resource = read.one(ENVOY_LISTENERS, port)
    if resource is None:
        return None
    tables = {
        route_table_name(listener.table)
        for row in read.group(BY_PORT, port)
        for listener in serving(row)
        if listener.port == port.port
    }
    return WantedPort(resource.name, resource.version, tuple(sorted(tables)))
