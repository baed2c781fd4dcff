"""How the xDS port speaks gRPC: sizes, pings, and how long a connection may be of no use."""

from __future__ import annotations

import resource

# Each is a descriptor and buffers, also before anything is known of who connects. The Envoys of one Gateway can have a
# connection for each of their streams; those of others must find room beside them.
MOST_CONNECTIONS = 8_192
OPTIONS = (
    # The configuration of a large Gateway is one message of tens of megabytes.
    ("grpc.max_send_message_length", -1),
    # A reconnecting Envoy lists all that it has: 100,000 names and versions are 8 to 24 MiB; the default allows 4.
    ("grpc.max_receive_message_length", 32 << 20),
    # Two control planes on one address would share the Envoys at random.
    ("grpc.so_reuseport", 0),
    # An Envoy whose machine is gone does not say so; without this it would count as connected for hours.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # By default gRPC gives up asking an Envoy that is told nothing for minutes, as all are in quiet times.
    ("grpc.http2.max_pings_without_data", 0),
    # Envoy pings too; by default gRPC takes more than one in 5 minutes for an attack.
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    # Who connects and says nothing holds a descriptor; the default is two minutes.
    ("grpc.server_handshake_timeout_ms", 10_000),
    # Nor may anybody stay who showed a certificate and has no stream.
    ("grpc.max_connection_idle_ms", 10_000),
    # All may come at once, to the replica that is left: beyond 1,000 that nobody has looked at yet gRPC drops some.
    ("grpc.server.max_pending_requests", MOST_CONNECTIONS),
    ("grpc.server.max_pending_requests_hard_limit", 2 * MOST_CONNECTIONS),
    # An Envoy needs one.
    ("grpc.max_concurrent_streams", 16),
)


def port_options() -> tuple[tuple[str, int], ...]:
    """Those of a port of a network, where connections may take half of the descriptors of this process, not more."""
    wanted = 2 * MOST_CONNECTIONS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Containers often begin with 1,024 and may have more.
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    most = MOST_CONNECTIONS if soft == resource.RLIM_INFINITY else min(MOST_CONNECTIONS, soft // 2)
    return (*OPTIONS, ("grpc.max_allowed_incoming_connections", most))
