"""Find the addresses behind a backend."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from ipaddress import ip_address

from trilithon.incremental import Index, Read
from trilithon.model.backend import Address, Addresses, Backend, BackendKey
from trilithon.model.settings import Settings
from trilithon.model.tables import BACKENDS, SERVICES, SLICES
from trilithon.resources.core import BackendEndpoint, EndpointConditions, EndpointSlice
from trilithon.resources.meta import Key

SLICES_BY_SERVICE: Index[Key, Key, EndpointSlice] = Index(
    "slices by service", SLICES, lambda row: [Key("Service", row.key.namespace, row.service)] if row.service else []
)


def addresses_of(settings: Settings, read: Read, key: BackendKey) -> Addresses:
    """All addresses of a backend that may be used, in an order that depends on them alone; none where none is ready."""
    backend = key.backend
    found = _of_backend(read, backend) if backend.object.kind == "Backend" else _of_service(read, backend)
    return Addresses(
        key=key,
        items=tuple(sorted(each for each in set(found) if settings.private_backends or not is_private(each.host))),
        has_names=_has_names(read, backend),
    )


def private_endpoints(settings: Settings, read: Read, backend: Backend) -> tuple[Address, ...]:
    """The endpoints of a Backend that are not used because they are private; EndpointSlices cannot name such ones."""
    row = read.one(BACKENDS, backend.object) if backend.object.kind == "Backend" else None
    if row is None or settings.private_backends:
        return ()
    return tuple(sorted({each for each in map(_address, row.spec.endpoints) if is_private(each.host)}))


def is_private(host: str) -> bool:
    """Whether an address leads into the proxy's own host or link, where tenants have no business.

    A unix socket does, and the name "localhost". Other names are resolved by Envoy, out of our sight.
    """
    if host.startswith(("/", "@")) or host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        ip = ip_address(host)
    except ValueError:
        return False
    mapped = getattr(ip, "ipv4_mapped", None) or ip
    return bool(mapped.is_loopback or mapped.is_link_local or mapped.is_unspecified or mapped.is_multicast)


def _has_names(read: Read, backend: Backend) -> bool:
    if backend.object.kind != "Backend":
        return False
    row = read.one(BACKENDS, backend.object)
    return row is not None and any(endpoint.hostname is not None for endpoint in row.spec.endpoints)


def _of_service(read: Read, backend: Backend) -> Iterator[Address]:
    service = read.one(SERVICES, backend.object)
    if service is None:
        return
    name = next((port.name for port in service.spec.ports if port.port == backend.port), None)
    if name is None:
        return
    slices = read.group(SLICES_BY_SERVICE, backend.object)
    yield from _in_slices(slices, name, _is_ready) or _in_slices(slices, name, _is_ending)


def _in_slices(
    slices: Iterable[EndpointSlice], name: str, is_wanted: Callable[[EndpointConditions], bool]
) -> list[Address]:
    return [
        Address(endpoint.addresses[0], port.port)
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


def _of_backend(read: Read, backend: Backend) -> Iterator[Address]:
    row = read.one(BACKENDS, backend.object)
    if row is not None:
        yield from map(_address, row.spec.endpoints)


def _address(endpoint: BackendEndpoint) -> Address:
    if endpoint.ip is not None:
        return Address(endpoint.ip.address, endpoint.ip.port)
    if endpoint.hostname is not None:
        return Address(endpoint.hostname.hostname, endpoint.hostname.port)
    return Address(endpoint.unix.path if endpoint.unix is not None else "", 0)
