"""Encode the filter chain of one listener: TLS where it has TLS, then HTTP."""

from __future__ import annotations

from envoy.config.listener.v3.listener_components_pb2 import FilterChain
from envoy.extensions.transport_sockets.tls.v3.common_pb2 import TlsParameters
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import CommonTlsContext, DownstreamTlsContext

from trilithon.model.listener import PortListener
from trilithon.xds.connection_manager import connection_manager, over_ads
from trilithon.xds.names import route_table_name, secret_name


def http_chain(name: str, route_table: str) -> FilterChain:
    """A chain that speaks HTTP and looks up its routes in this table."""
    chain = FilterChain(name=name)
    chain.filters.add(name="envoy.filters.network.http_connection_manager").typed_config.Pack(
        connection_manager(name, route_table), deterministic=True
    )
    return chain


def https_chain(listener: PortListener) -> FilterChain:
    """The chain of an HTTPS listener, which SNI selects; the one without a hostname takes what no other takes."""
    name = route_table_name(listener.table)
    chain = http_chain(name, name)
    if listener.hostname != "*":
        # Envoy's "*.example.com" takes any number of labels and prefers the longest, as the API wants it.
        chain.filter_chain_match.server_names.append(listener.hostname)
    chain.transport_socket.name = "envoy.transport_sockets.tls"
    chain.transport_socket.typed_config.Pack(_tls(listener), deterministic=True)
    # A client that opens connections and never finishes the handshake gives the socket back.
    chain.transport_socket_connect_timeout.FromSeconds(10)
    return chain


def _tls(listener: PortListener) -> DownstreamTlsContext:
    common = CommonTlsContext(alpn_protocols=["h2", "http/1.1"])
    # Envoy's own defaults today, written down so that an upgrade does not move them.
    common.tls_params.tls_minimum_protocol_version = TlsParameters.TLSv1_2
    common.tls_params.tls_maximum_protocol_version = TlsParameters.TLSv1_3
    for secret in listener.certificates:
        # By name, so that a renewed certificate changes neither the Envoy listener nor its connections.
        source = common.tls_certificate_sds_secret_configs.add(name=secret_name(secret))
        source.sds_config.CopyFrom(over_ads())
    return DownstreamTlsContext(common_tls_context=common)
