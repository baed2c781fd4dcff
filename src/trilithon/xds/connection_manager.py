"""Set up HTTP for clients nobody knows: one HTTP connection manager, with a reason for each default."""

from __future__ import annotations

from envoy.config.accesslog.v3.accesslog_pb2 import ComparisonFilter, ResponseFlagFilter
from envoy.config.core.v3.config_source_pb2 import ApiVersion, ConfigSource
from envoy.config.core.v3.protocol_pb2 import Http2ProtocolOptions, HttpProtocolOptions
from envoy.extensions.filters.http.cors.v3.cors_pb2 import Cors
from envoy.extensions.filters.http.lua.v3.lua_pb2 import Lua
from envoy.extensions.filters.http.router.v3.router_pb2 import Router
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
    HttpFilter,
    LocalReplyConfig,
)
from google.protobuf.message import Message

from trilithon.xds.cors import CORS_FILTER
from trilithon.xds.forward import REASON_HEADER
from trilithon.xds.redirect import HOST_WITHOUT_PORT, HOST_WITHOUT_PORT_SCRIPT, LUA_FILTER

_STREAM_WINDOW = 64 << 10
_CONNECTION_WINDOW = 1 << 20


def over_ads() -> ConfigSource:
    """Where all dynamic configuration comes from: the one stream of the bootstrap."""
    source = ConfigSource(resource_api_version=ApiVersion.V3)
    source.ads.SetInParent()
    # Zero waits for the first answer for ever. With the default of 15 s a slow control plane would make Envoy go live
    # without routes, certificates or endpoints.
    source.initial_fetch_timeout.FromSeconds(0)
    return source


def connection_manager(name: str, route_table: str) -> HttpConnectionManager:
    """The HTTP settings of a listener; ``name`` begins its statistics."""
    manager = HttpConnectionManager(stat_prefix=name)
    # HTTP/1.1, or HTTP/2 where TLS agreed on it or the first bytes are its preface (h2c with prior knowledge).
    manager.codec_type = HttpConnectionManager.AUTO
    manager.rds.route_config_name = route_table
    manager.rds.config_source.CopyFrom(over_ads())
    _fill_trust(manager)
    _fill_paths(manager)
    _fill_limits(manager)
    _fill_http2(manager.http2_protocol_options)
    _fill_common(manager.common_http_protocol_options)
    # Any route may be asked to upgrade: a Gateway must forward WebSocket, and a backend that cannot refuses it itself.
    manager.upgrade_configs.add(upgrade_type="websocket")
    manager.local_reply_config.CopyFrom(_local_replies())
    manager.http_filters.extend(_filters())
    return manager


def _fill_trust(manager: HttpConnectionManager) -> None:
    # The peer is a client, not a proxy of ours: its own address is appended to X-Forwarded-For, and X-Forwarded-Proto
    # and the headers that steer Envoy are not believed.
    manager.use_remote_address.value = True
    # A request id from outside could collide with others, on purpose; each request gets a fresh one.
    manager.generate_request_id.value = True
    manager.preserve_external_request_id = False
    # The backend's own Server header passes, and no header tells what the proxy is.
    manager.server_header_transformation = HttpConnectionManager.PASS_THROUGH


def _fill_paths(manager: HttpConnectionManager) -> None:
    # What is matched must be what the backend resolves, or "/public/../admin" and "//admin" get past a rule.
    manager.normalize_path.value = True
    manager.merge_slashes = True
    # An escaped slash is an element boundary to some backends and not to others: the client is sent to the plain form.
    manager.path_with_escaped_slashes_action = HttpConnectionManager.UNESCAPE_AND_REDIRECT
    # "example.com." names the same host as "example.com", and no route says it with the dot.
    manager.strip_trailing_host_dot = True


def _fill_limits(manager: HttpConnectionManager) -> None:
    # The default of Envoy, written down: headers are held in memory, outside the flow control of bodies.
    manager.max_request_headers_kb.value = 60
    # A client has 10 s to send its headers; one that dribbles them (Slowloris) holds a stream no longer.
    manager.request_headers_timeout.FromSeconds(10)
    # A stream on which no byte moves in either direction ends. Long polls and idle WebSockets live that long, too.
    manager.stream_idle_timeout.FromSeconds(300)
    # No limit for a whole request: an upload may take its time as long as it moves.
    manager.request_timeout.FromSeconds(0)


def _fill_http2(options: Http2ProtocolOptions) -> None:
    # Envoy's defaults allow 2 billion streams and 256 MiB of unread data per connection: too much for one stranger.
    options.max_concurrent_streams.value = 100
    options.initial_stream_window_size.value = _STREAM_WINDOW
    options.initial_connection_window_size.value = _CONNECTION_WINDOW


def _fill_common(options: HttpProtocolOptions) -> None:
    # Longer than the idle time of common load balancers in front, so that they close first and no request is lost.
    options.idle_timeout.FromSeconds(3600)
    options.max_headers_count.value = 100
    # Many backends read "x_user" and "x-user" as one: a client could forge a header that the proxy removed or set.
    options.headers_with_underscores_action = HttpProtocolOptions.REJECT_REQUEST


def _local_replies() -> LocalReplyConfig:
    """A share of requests without a valid backend is told the reason, as direct responses do."""
    config = LocalReplyConfig()
    mapper = config.mappers.add()
    is_missing, is_500 = mapper.filter.and_filter.filters.add(), mapper.filter.and_filter.filters.add()
    is_missing.response_flag_filter.CopyFrom(ResponseFlagFilter(flags=["NC"]))
    is_500.status_code_filter.comparison.op = ComparisonFilter.EQ
    is_500.status_code_filter.comparison.value.default_value = 500
    is_500.status_code_filter.comparison.value.runtime_key = "trilithon.never_set"
    mapper.body_format_override.text_format_source.inline_string = f"%RESP({REASON_HEADER})%\n"
    return config


def _filters() -> list[HttpFilter]:
    cors = _filter(CORS_FILTER, Cors())
    lua = Lua()
    lua.source_codes[HOST_WITHOUT_PORT].inline_string = HOST_WITHOUT_PORT_SCRIPT
    port = _filter(LUA_FILTER, lua)
    # Off until a route asks for them: a filter that has nothing to do still costs every request.
    cors.disabled = port.disabled = True
    # Neither X-Envoy headers for client and backend, which tell about the inside, nor their cost.
    router = Router(suppress_envoy_headers=True)
    router.dynamic_stats.value = False
    return [port, cors, _filter("envoy.filters.http.router", router)]


def _filter(name: str, config: Message) -> HttpFilter:
    entry = HttpFilter(name=name)
    entry.typed_config.Pack(config, deterministic=True)
    return entry
