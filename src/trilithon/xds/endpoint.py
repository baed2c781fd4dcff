"""Encode the endpoints of a backend."""

from __future__ import annotations

from envoy.config.core.v3 import address_pb2
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment

from trilithon.incremental import Read
from trilithon.model.backend import Address, Addresses
from trilithon.xds.names import cluster_name
from trilithon.xds.resource import ENDPOINT, XdsResource


def encode_endpoints(_read: Read, addresses: Addresses) -> XdsResource | None:
    """The endpoints of a backend, none of them where nothing is ready: Envoy then answers 503.

    None where they are part of the cluster, because Envoy has to resolve names.
    """
    if addresses.has_names:
        return None
    return XdsResource.of(ENDPOINT, cluster_name(addresses.key.backend), load_assignment(addresses))


def load_assignment(addresses: Addresses) -> ClusterLoadAssignment:
    """All addresses of a backend, in their order."""
    assignment = ClusterLoadAssignment(cluster_name=cluster_name(addresses.key.backend))
    if addresses.items:
        locality = assignment.endpoints.add()
        for address in addresses.items:
            _fill_address(locality.lb_endpoints.add().endpoint.address, address)
    return assignment


def _fill_address(target: address_pb2.Address, address: Address) -> None:
    if address.is_socket_file:
        target.pipe.path = address.host
    else:
        target.socket_address.address, target.socket_address.port_value = address.host, address.port
