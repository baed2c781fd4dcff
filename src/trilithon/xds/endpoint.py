"""Encode the endpoints of a backend, in an order that depends on them alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from ipaddress import ip_address

from envoy.config.core.v3.address_pb2 import Address
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment

from trilithon.incremental import Read
from trilithon.model.backend import Backend
from trilithon.model.settings import Settings
from trilithon.model.tables import BACKENDS, SERVICES
from trilithon.resources.core import BackendEndpoint, EndpointConditions, EndpointSlice
from trilithon.xds.names import cluster_name
from trilithon.xds.resource import ENDPOINT, XdsResource
from trilithon.xds.tables import SLICES_BY_SERVICE, BackendKey

# An address and a port, or the path of a unix socket and 0.
Place = tuple[str, int]


def encode_endpoints(settings: Settings, read: Read, key: BackendKey) -> XdsResource | None:
    """The endpoints of a backend, none of them where nothing is ready: Envoy then answers 503.

    None where they are part of the cluster, because Envoy has to resolve names.
    """
    if has_hostnames(read, key.backend):
        return None
    return XdsResource.of(ENDPOINT, cluster_name(key.backend), load_assignment(settings, read, key.backend))


def has_hostnames(read: Read, backend: Backend) -> bool:
    """Whether an endpoint is given by name."""
    if backend.object.kind != "Backend":
        return False
    row = read.one(BACKENDS, backend.object)
    return row is not None and any(endpoint.hostname is not None for endpoint in row.spec.endpoints)


def load_assignment(settings: Settings, read: Read, backend: Backend) -> ClusterLoadAssignment:
    """All endpoints of a backend that may be used."""
    found = _of_backend(read, backend) if backend.object.kind == "Backend" else _of_service(read, backend)
    assignment = ClusterLoadAssignment(cluster_name=cluster_name(backend))
    places = sorted(place for place in set(found) if settings.private_backends or not is_private(place[0]))
    if places:
        locality = assignment.endpoints.add()
        for place in places:
            _fill_address(locality.lb_endpoints.add().endpoint.address, place)
    return assignment


def is_private(address: str) -> bool:
    """Whether an address leads into the proxy's own host or link, where tenants have no business.

    A unix socket does, and the name "localhost". Other names are resolved by Envoy, out of our sight.
    """
    if address.startswith(("/", "@")) or address == "localhost" or address.endswith(".localhost"):
        return True
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    mapped = getattr(ip, "ipv4_mapped", None) or ip
    return bool(mapped.is_loopback or mapped.is_link_local or mapped.is_unspecified or mapped.is_multicast)


def _of_service(read: Read, backend: Backend) -> Iterator[Place]:
    service = read.one(SERVICES, backend.object)
    if service is None:
        return
    name = next((port.name for port in service.spec.ports if port.port == backend.port), None)
    if name is None:
        return
    slices = read.group(SLICES_BY_SERVICE, backend.object)
    yield from _addresses(slices, name, _is_ready) or _addresses(slices, name, _is_ending)


def _addresses(
    slices: Iterable[EndpointSlice], name: str, is_wanted: Callable[[EndpointConditions], bool]
) -> list[Place]:
    return [
        (endpoint.addresses[0], port.port)
        for row in slices
        # Slices of names (FQDN) are deprecated, and could point anywhere. Those of both IP families are taken: Envoy
        # goes where the addresses lead.
        if row.address_type in ("IPv4", "IPv6")
        for port in row.ports
        # The name links a Service's port to that of its slices; where a Service has one port, it may have none.
        if port.port is not None and (port.name or "") == name
        for endpoint in row.endpoints
        if endpoint.addresses and is_wanted(endpoint.conditions)
    ]


def _is_ready(conditions: EndpointConditions) -> bool:
    # "a nil value should be interpreted as true" (EndpointConditions.ready).
    return conditions.ready is not False


def _is_ending(conditions: EndpointConditions) -> bool:
    # Pods that shut down are better than none, as long as they still answer: kube-proxy does the same.
    return bool(conditions.serving and conditions.terminating)


def _of_backend(read: Read, backend: Backend) -> Iterator[Place]:
    row = read.one(BACKENDS, backend.object)
    if row is not None:
        yield from map(_place, row.spec.endpoints)


def _place(endpoint: BackendEndpoint) -> Place:
    if endpoint.ip is not None:
        return endpoint.ip.address, endpoint.ip.port
    if endpoint.hostname is not None:
        return endpoint.hostname.hostname, endpoint.hostname.port
    return (endpoint.unix.path if endpoint.unix is not None else ""), 0


def _fill_address(target: Address, place: Place) -> None:
    address, port = place
    if address.startswith(("/", "@")):
        target.pipe.path = address
    else:
        target.socket_address.address, target.socket_address.port_value = address, port
