"""The smallest resources with which a real Envoy serves: one of each type."""

from __future__ import annotations

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_pb2 import RouteConfiguration

from trilithon.xds.connection_manager import connection_manager, over_ads
from trilithon.xds.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE, XdsResource


def cluster(name: str, connect_seconds: int = 1) -> XdsResource:
    message = Cluster(name=name, type=Cluster.EDS)
    message.connect_timeout.seconds = connect_seconds
    message.eds_cluster_config.eds_config.CopyFrom(over_ads())
    return XdsResource.of(CLUSTER, name, message)


def endpoints(name: str, port: int, at: str = "127.0.0.1") -> XdsResource:
    message = ClusterLoadAssignment(cluster_name=name)
    address = message.endpoints.add().lb_endpoints.add().endpoint.address.socket_address
    address.address, address.port_value = at, port
    return XdsResource.of(ENDPOINT, name, message)


def listener(name: str, port: int, table: str, at: str = "127.0.0.1") -> XdsResource:
    message = Listener(name=name)
    message.address.socket_address.address, message.address.socket_address.port_value = at, port
    manager = message.filter_chains.add().filters.add(name="hcm").typed_config
    manager.Pack(connection_manager(name, table))
    return XdsResource.of(LISTENER, name, message)


def table(name: str, target: str, *, hosts: int = 1) -> XdsResource:
    message = RouteConfiguration(name=name)
    for index in range(hosts):
        # Envoy refuses a table with two hosts for everything.
        route = message.virtual_hosts.add(name=f"host-{index}", domains=["*"]).routes.add()
        route.match.prefix = "/"
        route.route.cluster = target
        # None: a request may take as long as it needs.
        route.route.timeout.SetInParent()
    return XdsResource.of(ROUTE, name, message)
