"""Encode an Envoy listener: one for all the listeners of a Gateway on one port."""

from __future__ import annotations

from envoy.config.listener.v3.listener_pb2 import Listener as EnvoyListener
from envoy.extensions.filters.listener.tls_inspector.v3.tls_inspector_pb2 import TlsInspector

from trilithon.incremental import Read
from trilithon.model.listener import PortListeners
from trilithon.model.settings import Settings
from trilithon.model.tables import HOSTS
from trilithon.resources.meta import HIGHEST_PORT
from trilithon.xds.filter_chain import http_chain, https_chain
from trilithon.xds.names import listener_name, route_table_name
from trilithon.xds.resource import LISTENER, XdsResource

_BUFFER_BYTES = 32 << 10


def encode_envoy_listener(settings: Settings, read: Read, row: PortListeners) -> XdsResource | None:
    """The Envoy listener of a port; None where no such port can be bound, or no address is there to bind.

    HTTP listeners share one chain, where the Host header tells them apart; HTTPS listeners have one each, by SNI.
    """
    bound = settings.bound_port(row.port.port)
    host = read.one(HOSTS, row.port.gateway)
    # Never everywhere, while it has no address or because none is left.
    if bound > HIGHEST_PORT or (host is None and settings.has_hosts):
        return None
    listeners = sorted(row.serving, key=lambda listener: listener.key)
    name = listener_name(row.port)
    target = EnvoyListener(name=name, stat_prefix=name)
    socket = target.address.socket_address
    socket.address, socket.port_value = host.address if host is not None else settings.address, bound
    # The any address of IPv6 serves IPv4 as well.
    socket.ipv4_compat = socket.address == "::"
    # With SO_REUSEPORT two processes could bind one port without an error, and each would get some of the connections.
    target.enable_reuse_port.value = False
    # What a connection may hold in each direction; Envoy's 1 MiB would be 10 GiB for 10,000 slow clients.
    target.per_connection_buffer_limit_bytes.value = _BUFFER_BYTES
    if listeners[0].protocol == "HTTPS":
        inspector = target.listener_filters.add(name="envoy.filters.listener.tls_inspector")
        inspector.typed_config.Pack(TlsInspector())
        # A client that says nothing is let go sooner than after the 15 s of Envoy.
        target.listener_filters_timeout.FromSeconds(10)
        for listener in listeners:
            if listener.hostname == "*":
                target.default_filter_chain.CopyFrom(https_chain(listener))
            else:
                target.filter_chains.append(https_chain(listener))
    else:
        target.filter_chains.append(http_chain(target.name, route_table_name(listeners[0].table)))
    return XdsResource.of(LISTENER, target.name, target)
