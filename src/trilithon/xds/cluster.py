"""Encode a cluster: one per backend, whatever number of rules send to it."""

from __future__ import annotations

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.extensions.upstreams.http.v3.http_protocol_options_pb2 import HttpProtocolOptions

from trilithon.incremental import Read
from trilithon.model.backend import Backend, BackendKey
from trilithon.model.tables import ADDRESSES
from trilithon.xds.connection_manager import over_ads
from trilithon.xds.endpoint import load_assignment
from trilithon.xds.names import cluster_name
from trilithon.xds.resource import CLUSTER, XdsResource
from trilithon.xds.retry import DEFAULT_RETRY

_BUFFER_BYTES = 32 << 10
_UNLIMITED = 2**32 - 1
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def encode_cluster(read: Read, key: BackendKey) -> XdsResource:
    """The cluster of a backend.

    Its endpoints come on their own, so that pods that come and go never touch it, except where a name has to be
    resolved: those Envoy looks up itself, and takes from the cluster only.
    """
    name = cluster_name(key.backend)
    cluster = Cluster(name=name, lb_policy=Cluster.LEAST_REQUEST)
    # Two lost SYNs (1 s and 2 s) are survived, and another endpoint is tried before the client gives up.
    cluster.connect_timeout.FromSeconds(4)
    # What a connection may hold in each direction, as on the side of the clients.
    cluster.per_connection_buffer_limit_bytes.value = _BUFFER_BYTES
    # A peer that vanished without a word (a lost node) is noticed while the connection idles in the pool.
    keepalive = cluster.upstream_connection_options.tcp_keepalive
    keepalive.keepalive_time.value, keepalive.keepalive_interval.value = 60, 10
    keepalive.keepalive_probes.value = 3
    _fill_circuit_breakers(cluster)
    _fill_http_options(cluster, key.backend)
    # Those of a Service are never names, and to look at them would wake the cluster for every pod.
    addresses = read.one(ADDRESSES, key) if key.backend.object.kind == "Backend" else None
    if addresses is not None and addresses.has_names:
        cluster.type = Cluster.STRICT_DNS
        # "localhost" and many names have IPv6 addresses that lead nowhere; IPv4 is taken where there is any.
        cluster.dns_lookup_family = Cluster.V4_PREFERRED
        cluster.respect_dns_ttl = True
        cluster.load_assignment.CopyFrom(load_assignment(addresses))
    else:
        cluster.type = Cluster.EDS
        cluster.eds_cluster_config.eds_config.CopyFrom(over_ads())
    return XdsResource.of(CLUSTER, name, cluster)


def _fill_http_options(cluster: Cluster, backend: Backend) -> None:
    if backend.protocol == "http" and backend.retries == "by route":
        return
    options = HttpProtocolOptions()
    if backend.protocol == "h2c":
        options.explicit_http_config.http2_protocol_options.SetInParent()
    else:
        options.explicit_http_config.http_protocol_options.SetInParent()
    if backend.retries == "default":
        options.retry_policy.CopyFrom(DEFAULT_RETRY)
    cluster.typed_extension_protocol_options[_HTTP_OPTIONS].Pack(options, deterministic=True)


def _fill_circuit_breakers(cluster: Cluster) -> None:
    # Envoy's defaults (1,024 connections and requests, 3 retries) turn load into 503 where nobody asked for a limit.
    # The connections of clients are limited as a whole, and heap as well.
    limits = cluster.circuit_breakers.thresholds.add()
    limits.max_connections.value = _UNLIMITED
    limits.max_pending_requests.value = _UNLIMITED
    limits.max_requests.value = _UNLIMITED
    limits.max_retries.value = _UNLIMITED
