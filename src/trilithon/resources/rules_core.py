"""The rules of core kinds and of Backend that span several fields, or that no pattern can say.

For the core kinds these are the rules of the API server that matter for routing. One is left out on purpose:
EndpointSlices may hold loopback addresses here, because files may name a server on the same machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct

from trilithon.resources.addresses import is_ip
from trilithon.resources.core import (
    BackendEndpoint,
    BackendSpec,
    HostnameEndpoint,
    IPEndpoint,
    ServicePort,
    ServiceSpec,
    SlicePort,
    UnixEndpoint,
)
from trilithon.resources.names import is_dns_label, is_domain
from trilithon.resources.parts import EndpointSliceParts
from trilithon.resources.rule import Rule
from trilithon.resources.wording import Finding, quoted

# What sockaddr_un of the kernel holds besides the closing zero byte.
MAX_SOCKET_PATH = 107


# --- Service ----------------------------------------------------------------------------------------------------------
def service_has_ports(spec: ServiceSpec) -> Sequence[Finding]:
    """Only a headless Service, and one of type ExternalName, can do without ports."""
    if spec.ports or spec.cluster_ip == "None" or spec.type == "ExternalName":
        return ()
    return (Finding("MissingField", ".ports", "is required"),)


def external_name_is_a_hostname(spec: ServiceSpec) -> Sequence[Finding]:
    """Type ExternalName needs a DNS name, which may end with a dot."""
    if spec.type != "ExternalName":
        return ()
    if not spec.external_name:
        return (Finding("MissingField", ".externalName", "a Service of type ExternalName needs externalName"),)
    if is_domain(spec.external_name.removesuffix(".")):
        return ()
    return (Finding("InvalidValue", ".externalName", f"{quoted(spec.external_name)} is not a DNS name in lower case"),)


def ports_have_names(ports: tuple[ServicePort, ...]) -> Sequence[Finding]:
    """Every port of several needs a name."""
    if len(ports) < 2:
        return ()
    return [
        Finding("MissingField", f"[{index}].name", "a Service with several ports needs a name for each")
        for index, port in enumerate(ports)
        if not port.name
    ]


def port_names_are_labels(ports: tuple[ServicePort | SlicePort, ...]) -> Sequence[Finding]:
    """A port's name is a DNS label."""
    return [
        Finding(
            "InvalidValue", f"[{index}].name", f"{quoted(port.name)} is not a port name: up to 63 of a-z, 0-9 and -"
        )
        for index, port in enumerate(ports)
        if port.name and not is_dns_label(port.name)
    ]


def service_port_names_differ(ports: tuple[ServicePort, ...]) -> Sequence[Finding]:
    """No two ports have one name."""
    return _names_differ([port.name or None for port in ports])


def slice_port_names_differ(ports: tuple[SlicePort, ...]) -> Sequence[Finding]:
    """No two ports have one name; no name is a name here."""
    return _names_differ([port.name or "" for port in ports])


def _names_differ(names: list[str | None]) -> Sequence[Finding]:
    first: dict[str, int] = {}
    found = []
    for index, name in enumerate(names):
        if name is not None and first.setdefault(name, index) != index:
            message = f"the port name {quoted(name)} is already that of entry [{first[name]}]"
            found.append(Finding("DuplicateName", f"[{index}].name", message))
    return found


def ports_differ(ports: tuple[ServicePort, ...]) -> Sequence[Finding]:
    """No two ports of a Service have one number and protocol."""
    first: dict[tuple[int, str], int] = {}
    found = []
    for index, port in enumerate(ports):
        earlier = first.setdefault((port.port, port.protocol), index)
        if earlier != index:
            message = f"port {port.port}/{port.protocol} is already that of entry [{earlier}]"
            found.append(Finding("DuplicateName", f"[{index}].port", message))
    return found


# --- EndpointSlice ----------------------------------------------------------------------------------------------------
_VERSIONS: Mapping[str, Literal[4, 6]] = {"IPv4": 4, "IPv6": 6}


def addresses_fit_their_type(body: EndpointSliceParts) -> Sequence[Finding]:
    """Each address is of the slice's addressType."""
    version = _VERSIONS.get(body.address_type)
    found = []
    for index, endpoint in enumerate(body.endpoints):
        for place, address in enumerate(endpoint.addresses):
            if not (is_ip(address, version=version) if version else is_domain(address)):
                what = "a DNS name in lower case" if version is None else f"an {body.address_type} address"
                path = f".endpoints[{index}].addresses[{place}]"
                found.append(Finding("InvalidValue", path, f"{quoted(address)} is not {what}"))
    return found


# --- Backend ----------------------------------------------------------------------------------------------------------
def endpoint_is_one_thing(endpoint: BackendEndpoint) -> Sequence[Finding]:
    """An endpoint has exactly one of ip, hostname and unix."""
    given = [name for name in ("ip", "hostname", "unix") if getattr(endpoint, name) is not None]
    if len(given) == 1:
        return ()
    if not given:
        return (Finding("MissingField", "", "an endpoint needs one of ip, hostname and unix"),)
    message = f"an endpoint has one of ip, hostname and unix, and this one has {' and '.join(given)}"
    return (Finding("ConflictingFields", "", message, "make them entries of their own"),)


def ip_is_an_ip(endpoint: IPEndpoint) -> Sequence[Finding]:
    """The address is an IPv4 or IPv6 address."""
    if is_ip(endpoint.address):
        return ()
    hint = "use hostname for a DNS name"
    if is_ip(endpoint.address.strip("[]")):
        hint = "write it without brackets"
    return (Finding("InvalidValue", ".address", f"{quoted(endpoint.address)} is not an IP address", hint),)


def hostname_is_a_name(endpoint: HostnameEndpoint) -> Sequence[Finding]:
    """The hostname is a DNS name and no IP address."""
    name = endpoint.hostname
    if is_ip(name):
        return (Finding("InvalidValue", ".hostname", f"{quoted(name)} is an IP address", "use ip.address for it"),)
    if is_domain(name):
        return ()
    return (Finding("InvalidValue", ".hostname", f"{quoted(name)} is not a DNS name in lower case"),)


def socket_path_fits(endpoint: UnixEndpoint) -> Sequence[Finding]:
    """The kernel can hold the path of the socket."""
    if "\0" in endpoint.path:
        return (Finding("InvalidValue", ".path", "a socket's path cannot hold a zero byte"),)
    size = len(endpoint.path.encode("utf-8", "replace"))
    if size <= MAX_SOCKET_PATH:
        return ()
    return (Finding("InvalidValue", ".path", f"the path has {size} bytes, and a socket's can have {MAX_SOCKET_PATH}"),)


def endpoints_are_found_one_way(endpoints: tuple[BackendEndpoint, ...]) -> Sequence[Finding]:
    """Unix sockets and hostnames do not mix: Envoy resolves all endpoints of a cluster in one way."""
    sockets = [index for index, endpoint in enumerate(endpoints) if endpoint.unix is not None]
    if not sockets or all(endpoint.hostname is None for endpoint in endpoints):
        return ()
    message = "a Backend with a hostname cannot have unix sockets, because its endpoints are all resolved by DNS"
    hint = "make two Backends, and name both in backendRefs"
    return [Finding("ConflictingFields", f"[{index}].unix", message, hint) for index in sockets]


PART_RULES: Mapping[type[Struct], tuple[Rule, ...]] = {
    ServiceSpec: (service_has_ports, external_name_is_a_hostname),
    EndpointSliceParts: (addresses_fit_their_type,),
    BackendEndpoint: (endpoint_is_one_thing,),
    IPEndpoint: (ip_is_an_ip,),
    HostnameEndpoint: (hostname_is_a_name,),
    UnixEndpoint: (socket_path_fits,),
}
FIELD_RULES: Mapping[tuple[type[Struct], str], tuple[Rule, ...]] = {
    (ServiceSpec, "ports"): (ports_have_names, port_names_are_labels, service_port_names_differ, ports_differ),
    (EndpointSliceParts, "ports"): (port_names_are_labels, slice_port_names_differ),
    (BackendSpec, "endpoints"): (endpoints_are_found_one_way,),
}
