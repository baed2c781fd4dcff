"""Write the bootstrap: the one configuration Envoy gets from a file, which tells it where all the rest comes from."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

XDS_CLUSTER = "trilithon-xds"
# How often Envoy pings the control plane. The server must allow it (grpc.http2.min_ping_interval_without_data_ms):
# gRPC's own limit is five minutes, and the fourth ping below it ends the connection.
KEEPALIVE_SECONDS = 30
_TYPE = "type.googleapis.com/"
_HEAP = "envoy.resource_monitors.fixed_heap"
_CONNECTIONS = "envoy.resource_monitors.global_downstream_max_connections"
_FILES_KEPT_BACK = 128
# Stacks, code that was read and what the allocator keeps are no heap.
_HEAP_SHARE = 0.8

Json = dict[str, object]


class EnvoyLimits(msgspec.Struct, frozen=True, gc=False):
    """What one Envoy may use before it sheds load.

    heap_bytes: heap at which every protection is on; 40,000 routes need about 0.5 GiB of it.
    max_connections: downstream connections over all listeners; one more is closed at once.
    max_regex_program: largest RE2 program that Envoy takes; the check before sending uses the same number.
    """

    heap_bytes: int = 2 << 30
    max_connections: int = 10_000
    max_regex_program: int = 5_000


def connections_within(limits: EnvoyLimits, open_files: int) -> EnvoyLimits:
    """The limits for a process that may hold `open_files` descriptors.

    A proxied request holds two sockets. Without this Envoy would meet EMFILE before its own limit, and with no
    descriptor left it can neither serve nor reach the control plane.
    """
    affordable = max(1, (open_files - _FILES_KEPT_BACK) // 2)
    if affordable >= limits.max_connections:
        return limits
    return msgspec.structs.replace(limits, max_connections=affordable)


def heap_within(limits: EnvoyLimits, memory: int) -> EnvoyLimits:
    """The limits for a process that is killed when it uses `memory` bytes: load is shed before that."""
    affordable = int(memory * _HEAP_SHARE)
    return limits if affordable >= limits.heap_bytes else msgspec.structs.replace(limits, heap_bytes=affordable)


def bootstrap(gateway_node_id: str, cluster: str, xds_socket: str, admin_socket: str, limits: EnvoyLimits) -> bytes:
    """The bootstrap of one Gateway's Envoy, as JSON.

    gateway_node_id names the Gateway towards the control plane, cluster the installation.
    xds_socket and admin_socket are paths of unix sockets: neither may be reached over the network, because xDS carries
    private keys and the admin interface can stop the proxy.
    """
    node = {"id": gateway_node_id, "cluster": cluster}
    static: Json = {"clusters": [_local_xds_cluster(xds_socket)]}
    return msgspec.json.encode(bootstrap_around(static, node, admin_socket, limits))


def bootstrap_around(
    static: Json, node: Mapping[str, str], admin_socket: str, limits: EnvoyLimits, runtime: Json | None = None
) -> Json:
    """Everything that does not depend on how Envoy reaches the control plane, around what does.

    static: the static resources, with a cluster XDS_CLUSTER. runtime: keys beside our own.
    """
    return {
        "node": node,
        "admin": _admin(admin_socket),
        "dynamic_resources": _dynamic_resources(),
        "static_resources": static,
        # Nothing pulls statistics regularly, so histograms are merged when somebody asks, not every five seconds:
        # an idle Envoy then stays idle.
        "stats_flush_on_admin": True,
        "stats_config": {"stats_matcher": {"exclusion_list": {"patterns": _unwanted_stats()}}},
        "layered_runtime": {"layers": [{"name": "trilithon", "static_layer": _runtime(limits) | (runtime or {})}]},
        "overload_manager": _overload_manager(limits),
    }


def _admin(socket: str) -> Json:
    return {
        # Mode 0600 as well as a private directory: the owner alone may ask for config dumps.
        "address": {"pipe": {"path": socket, "mode": 0o600}},
        # Draining and health must work when the proxy is full.
        "ignore_global_conn_limit": True,
    }


def _dynamic_resources() -> Json:
    over_ads: Json = {
        "ads": {},
        "resource_api_version": "V3",
        # Zero waits for the first answer for ever. With the default of 15 s a slow control plane would make Envoy
        # go live with no listeners or with half of them.
        "initial_fetch_timeout": "0s",
    }
    return {
        "ads_config": {
            # Delta: a change costs what changed, and a reconnect transfers the difference only.
            "api_type": "DELTA_GRPC",
            "transport_api_version": "V3",
            # The node message lists every extension of the build (about 30 KB); once per stream is enough.
            "set_node_on_first_message_only": True,
            "grpc_services": [
                {
                    "envoy_grpc": {
                        "cluster_name": XDS_CLUSTER,
                        # The default waits up to 30 s between attempts: too long after the control plane is back.
                        "retry_policy": {"retry_back_off": {"base_interval": "0.25s", "max_interval": "2s"}},
                    }
                }
            ],
        },
        "cds_config": over_ads,
        "lds_config": over_ads,
    }


def _local_xds_cluster(socket: str) -> Json:
    endpoint = {"endpoint": {"address": {"pipe": {"path": socket}}}}
    return {
        "name": XDS_CLUSTER,
        "type": "STATIC",
        # The socket is local: a connect that takes a second never succeeds.
        "connect_timeout": "1s",
        "typed_extension_protocol_options": http2_with_pings(),
        "load_assignment": {"cluster_name": XDS_CLUSTER, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def http2_with_pings(seconds: int = KEEPALIVE_SECONDS, common: Json | None = None) -> Json:
    """Protocol options of a cluster that speaks HTTP/2: a control plane that stopped without a word is noticed.

    common: options of any version of HTTP.
    """
    options = f"{_TYPE}envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    keepalive = {"interval": f"{seconds}s", "timeout": "10s"}
    made: Json = {
        "@type": options,
        "explicit_http_config": {"http2_protocol_options": {"connection_keepalive": keepalive}},
        **({} if common is None else {"common_http_protocol_options": common}),
    }
    return {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": made}


def _unwanted_stats() -> list[Json]:
    # Statistics per cluster and per virtual host cost more memory than the configuration itself (55 against 26 KB per
    # cluster) and half of the time a new cluster takes. Listener, HTTP and server statistics stay: draining reads them.
    return [{"prefix": "cluster."}, {"prefix": "vhost."}]


def _runtime(limits: EnvoyLimits) -> Json:
    # Envoy refuses a regex whose program is larger than 100 and with it the whole route table; ordinary patterns such
    # as [a-z0-9-]{1,63} are larger. RE2 is linear in time, and we check the size before sending.
    #
    # Several fields of one name are matched as one, joined by commas (HTTPHeaderMatch.name refers to RFC 7230, 3.2.2).
    # By default Envoy lets any one of them match, so that a client could hide "x-env: prod" behind "x-env: test".
    return {
        "re2.max_program_size.error_level": limits.max_regex_program,
        "envoy.reloadable_features.match_headers_individually": False,
    }


def _overload_manager(limits: EnvoyLimits) -> Json:
    heap = f"{_TYPE}envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig"
    connections = f"{_TYPE}envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig"
    return {
        # How late pressure is noticed; one connection can grow the heap by gigabytes in seconds.
        "refresh_interval": "0.25s",
        # Streams are accounted from 1 MiB of buffers on, so that the greediest can be found and reset.
        "buffer_factory_config": {"minimum_account_to_track_power_of_two": 20},
        "resource_monitors": [
            {"name": _HEAP, "typed_config": {"@type": heap, "max_heap_size_bytes": limits.heap_bytes}},
            {
                "name": _CONNECTIONS,
                "typed_config": {
                    "@type": connections,
                    "max_active_downstream_connections": limits.max_connections,
                },
            },
        ],
        "actions": _overload_actions(),
    }


def _overload_actions() -> list[Json]:
    # From gentle to harsh as the heap fills: give memory back, hurry slow clients, reset the streams that hold most,
    # refuse requests with 503, refuse connections. Each step must have time to work before the next one hurts more.
    timers = f"{_TYPE}envoy.config.overload.v3.ScaleTimersOverloadActionConfig"
    idle = [
        {"timer": "HTTP_DOWNSTREAM_CONNECTION_IDLE", "min_timeout": "2s"},
        {"timer": "HTTP_DOWNSTREAM_STREAM_IDLE", "min_timeout": "2s"},
    ]
    return [
        _action("shrink_heap", {"threshold": {"value": 0.80}}),
        _action("reduce_timeouts", _scaled(0.80, 0.95), {"@type": timers, "timer_scale_factors": idle}),
        _action("reset_high_memory_stream", _scaled(0.85, 0.95)),
        _action("disable_http_keepalive", {"threshold": {"value": 0.90}}),
        _action("stop_accepting_requests", {"threshold": {"value": 0.95}}),
        _action("stop_accepting_connections", {"threshold": {"value": 0.98}}),
    ]


def _scaled(begin: float, full: float) -> Json:
    return {"scaled": {"scaling_threshold": begin, "saturation_threshold": full}}


def _action(name: str, trigger: Json, config: Json | None = None) -> Json:
    action: Json = {"name": f"envoy.overload_actions.{name}", "triggers": [{"name": _HEAP, **trigger}]}
    return action if config is None else {**action, "typed_config": config}
