"""Write the bootstrap of an Envoy in a cluster: xDS over TCP with mutual TLS, and a port that tells of readiness.

The identity is read from files (``tls.crt``, ``tls.key``, ``ca.crt``) that a mounted Secret brings. Envoy watches
their folder: Kubernetes replaces all of them at once by moving the link ``..data``, and the next connection uses the
new ones.
"""

from __future__ import annotations

import ipaddress

import msgspec

from trilithon.xds.bootstrap import XDS_CLUSTER, EnvoyLimits, Json, bootstrap_around, http2_with_pings
from trilithon.xds.identity import CONTROLLER

IDENTITY_ENTRIES = ("tls.crt", "tls.key", "ca.crt")
# Begins the statistics of the readiness port; whoever counts clients leaves these out.
READY_STATS = "trilithon-ready"
READY_PATH = "/ready"
NODE_CLUSTER = "trilithon"

_TYPE = "type.googleapis.com/"
_ADMIN_CLUSTER = "trilithon-admin"
_IDENTITY, _TRUST = "identity", "trust"
_READY_LISTENER = "trilithon-ready"
# A control plane whose machine is gone answers no ping. Below the 5 s that the server allows would end the stream.
_PING_SECONDS = 15
# The port bypasses the limits of the proxy, so it has its own.
_READY_CONNECTIONS = 256


class Address(msgspec.Struct, frozen=True, gc=False):
    """A host, by name or IP address, and a port."""

    host: str
    port: int

    @property
    def is_ip(self) -> bool:
        """Whether the host is an IP address."""
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return False
        return True


class ClusterPlace(msgspec.Struct, frozen=True, kw_only=True):
    """Where an Envoy of a cluster finds and puts things.

    identity: the folder of its certificate and key. run: a folder of its own that it may write. xds: the controller.
    ready: where it says whether it is ready.
    """

    node_id: str
    xds: Address
    identity: str
    run: str
    ready: Address

    @property
    def admin_socket(self) -> str:
        """The unix socket of Envoy's admin interface."""
        return f"{self.run}/admin.sock"

    @property
    def bootstrap_file(self) -> str:
        """Where ``files`` has the bootstrap."""
        return f"{self.run}/bootstrap.json"

    @property
    def identity_file(self) -> str:
        """Where ``files`` says how to read the certificate and its key."""
        return f"{self.run}/identity.json"

    @property
    def trust_file(self) -> str:
        """Where ``files`` says how to read the certificates to trust."""
        return f"{self.run}/trust.json"


def files(place: ClusterPlace, limits: EnvoyLimits) -> dict[str, bytes]:
    """Path -> content of every file that Envoy needs in its folder. None of them holds a secret."""
    return {
        place.bootstrap_file: msgspec.json.encode(_bootstrap(place, limits)),
        place.identity_file: _secret_file(_IDENTITY, "tls_certificate", _certificate(place)),
        place.trust_file: _secret_file(_TRUST, "validation_context", _validation(place)),
    }


def _bootstrap(place: ClusterPlace, limits: EnvoyLimits) -> Json:
    static: Json = {
        "clusters": [_xds_cluster(place), _admin_cluster(place.admin_socket)],
        "listeners": [_ready_listener(place.ready)],
    }
    node = {"id": place.node_id, "cluster": NODE_CLUSTER}
    runtime: Json = {f"envoy.resource_limits.listener.{_READY_LISTENER}.connection_limit": _READY_CONNECTIONS}
    return bootstrap_around(static, node, place.admin_socket, limits, runtime)


def _xds_cluster(place: ClusterPlace) -> Json:
    address = {"socket_address": {"address": place.xds.host, "port_value": place.xds.port}}
    return {
        "name": XDS_CLUSTER,
        "cluster_type": {"name": "envoy.cluster.dns", "typed_config": _names()},
        "connect_timeout": "5s",
        # A stream that ended is followed on a new connection: with the identity of that time, to any replica.
        "typed_extension_protocol_options": http2_with_pings(_PING_SECONDS, {"max_requests_per_connection": 1}),
        # For a cut cable, where not even pings are sent.
        "upstream_connection_options": {
            "tcp_keepalive": {"keepalive_time": 30, "keepalive_interval": 5, "keepalive_probes": 3}
        },
        "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": _upstream_tls(place)},
        "load_assignment": {
            "cluster_name": XDS_CLUSTER,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }


def _names() -> Json:
    return {
        "@type": f"{_TYPE}envoy.extensions.clusters.dns.v3.DnsCluster",
        # Every address of the name is an endpoint: of a Service one, of a headless one each replica's.
        "all_addresses_in_single_endpoint": False,
        "dns_lookup_family": "ALL",
        # A Service keeps its address for life; every five seconds, as by default, would be for the DNS to bear.
        "dns_refresh_rate": "30s",
        "dns_failure_refresh_rate": {"base_interval": "0.5s", "max_interval": "5s"},
    }


def _upstream_tls(place: ClusterPlace) -> Json:
    tls: Json = {
        "@type": f"{_TYPE}envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        # A resumed session would be one with the identity of before a rotation.
        "max_session_keys": 0,
        "common_tls_context": {
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
            "alpn_protocols": ["h2"],
            "tls_certificate_sds_secret_configs": [_from_file(_IDENTITY, place.identity_file)],
            "validation_context_sds_secret_config": _from_file(_TRUST, place.trust_file),
        },
    }
    # SNI is a name, never an address (RFC 6066, 3).
    return tls if place.xds.is_ip else {**tls, "sni": place.xds.host}


def _from_file(name: str, path: str) -> Json:
    # The file that says where to read never changes; what is read there does.
    return {"name": name, "sds_config": {"path_config_source": {"path": path}, "resource_api_version": "V3"}}


def _certificate(place: ClusterPlace) -> Json:
    return {
        "certificate_chain": {"filename": f"{place.identity}/tls.crt"},
        "private_key": {"filename": f"{place.identity}/tls.key"},
        "watched_directory": {"path": place.identity},
    }


def _validation(place: ClusterPlace) -> Json:
    return {
        "trusted_ca": {"filename": f"{place.identity}/ca.crt"},
        "watched_directory": {"path": place.identity},
        # The same authority vouches for every Gateway's Envoy; only the controller may give configuration. Its name
        # does not depend on the address by which it is reached.
        "match_typed_subject_alt_names": [{"san_type": "URI", "matcher": {"exact": CONTROLLER}}],
    }


def _secret_file(name: str, field: str, value: Json) -> bytes:
    secret = {"@type": f"{_TYPE}envoy.extensions.transport_sockets.tls.v3.Secret", "name": name, field: value}
    return msgspec.json.encode({"resources": [secret]})


def _admin_cluster(socket: str) -> Json:
    endpoint = {"endpoint": {"address": {"pipe": {"path": socket}}}}
    return {
        "name": _ADMIN_CLUSTER,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": _ADMIN_CLUSTER, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def _ready_listener(address: Address) -> Json:
    hcm = f"{_TYPE}envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    router = f"{_TYPE}envoy.extensions.filters.http.router.v3.Router"
    manager: Json = {
        "@type": hcm,
        "stat_prefix": READY_STATS,
        "codec_type": "HTTP1",
        # Whoever connects gets an answer and is gone: nobody can hold the port that a kubelet needs.
        "request_headers_timeout": "2s",
        "stream_idle_timeout": "5s",
        "common_http_protocol_options": {
            "idle_timeout": "5s",
            "max_connection_duration": "10s",
            "max_requests_per_connection": 1,
        },
        "max_request_headers_kb": 8,
        "use_remote_address": True,
        "generate_request_id": False,
        "route_config": {"name": READY_STATS, "virtual_hosts": [_ready_host()]},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": router}}],
    }
    return {
        "name": _READY_LISTENER,
        "stat_prefix": READY_STATS,
        # The any address of IPv6 serves IPv4 as well.
        "address": {
            "socket_address": {"address": address.host, "port_value": address.port, "ipv4_compat": address.host == "::"}
        },
        # A full or pressed proxy is still a ready one: restarting it would drop what it serves.
        "ignore_global_conn_limit": True,
        "bypass_overload_manager": True,
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }


def _ready_host() -> Json:
    # Of the admin interface exactly this one request may be reached: Envoy passes on the path as it came, so the whole
    # path is compared as it came, with its query, and nothing is normalised before.
    exactly: list[Json] = [
        {"name": ":path", "string_match": {"exact": READY_PATH}},
        {"name": ":method", "string_match": {"exact": "GET"}},
    ]
    route: Json = {
        "match": {"path": READY_PATH, "headers": exactly},
        "route": {"cluster": _ADMIN_CLUSTER, "timeout": "2s"},
    }
    return {"name": READY_STATS, "domains": ["*"], "routes": [route]}
