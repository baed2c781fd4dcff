"""The rules of EndpointSlice, Namespace and Backend that span several fields, or that no pattern can say.

One rule of the API server is left out on purpose: EndpointSlices may hold loopback addresses here, because files may
name a server on the same machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Literal

from msgspec import Struct

from trilithon.resources.addresses import is_ip, is_strict_ip, where_it_leads
from trilithon.resources.core import (
    BackendEndpoint,
    BackendSpec,
    HostnameEndpoint,
    IPEndpoint,
    UnixEndpoint,
)
from trilithon.resources.metadata import check_finalizers
from trilithon.resources.names import is_dns_label, is_domain, label_value_problem, qualified_name_problem
from trilithon.resources.rule import Rule, repeated
from trilithon.resources.wording import Finding, quoted
from trilithon.resources.written import (
    EndpointHint,
    EndpointHints,
    WrittenEndpoint,
    WrittenNamespaceSpec,
    WrittenSliceParts,
    WrittenSlicePort,
)

# What sockaddr_un of the kernel holds besides the closing zero byte.
MAX_SOCKET_PATH = 107


# --- EndpointSlice ----------------------------------------------------------------------------------------------------
def port_names_are_labels(ports: tuple[WrittenSlicePort, ...]) -> Sequence[Finding]:
    """A port's name is a DNS label."""
    return [
        Finding(
            "InvalidValue", f"[{index}].name", f"{quoted(port.name)} is not a port name: up to 63 of a-z, 0-9 and -"
        )
        for index, port in enumerate(ports)
        if port.name and not is_dns_label(port.name)
    ]


def port_names_differ(ports: tuple[WrittenSlicePort, ...]) -> Sequence[Finding]:
    """No two ports have one name; no name is a name here."""
    return repeated((port.name or "" for port in ports), "port name", ".name") if len(ports) > 1 else ()


def ports_are_ports(port: WrittenSlicePort) -> Sequence[Finding]:
    """The API server takes any number, but there is nothing behind one that is no port."""
    if port.port is None or 1 <= port.port <= 65535:
        return ()
    message = f"the number {port.port} is not between 1 and 65535, so this port has no effect"
    return (Finding("InvalidValue", ".port", message, severity="warning"),)


def app_protocol_is_a_name(port: WrittenSlicePort) -> Sequence[Finding]:
    """The application protocol is a word, or a name with a domain."""
    problem = qualified_name_problem(port.app_protocol) if port.app_protocol is not None else ""
    return (Finding("InvalidValue", ".appProtocol", problem),) if problem else ()


def endpoint_is_named_well(endpoint: WrittenEndpoint) -> Sequence[Finding]:
    """A hostname is a DNS label, a node has a DNS name."""
    found = []
    if endpoint.hostname is not None and not is_dns_label(endpoint.hostname):
        found.append(Finding("InvalidValue", ".hostname", f"{quoted(endpoint.hostname)} is not one part of a DNS name"))
    if endpoint.node_name is not None and not is_domain(endpoint.node_name):
        found.append(Finding("InvalidValue", ".nodeName", f"{quoted(endpoint.node_name)} is not the name of a node"))
    return found


def zones_are_labels(hints: tuple[EndpointHint, ...]) -> Sequence[Finding]:
    """A zone is named as labels are, and only once."""
    found = repeated((hint.name for hint in hints), "zone", ".name")
    for index, hint in enumerate(hints):
        if problem := label_value_problem(hint.name):
            found.append(Finding("InvalidValue", f"[{index}].name", problem))
    return found


def nodes_are_names(hints: tuple[EndpointHint, ...]) -> Sequence[Finding]:
    """A node has a DNS name, and is named only once."""
    found = repeated((hint.name for hint in hints), "node", ".name")
    for index, hint in enumerate(hints):
        if not is_domain(hint.name):
            found.append(Finding("InvalidValue", f"[{index}].name", f"{quoted(hint.name)} is not the name of a node"))
    return found


_VERSIONS: Mapping[str, Literal[4, 6]] = {"IPv4": 4, "IPv6": 6}


def addresses_fit_their_type(body: WrittenSliceParts) -> Sequence[Finding]:
    """Each address is of the slice's addressType."""
    version = _VERSIONS.get(body.address_type)
    found = []
    for index, endpoint in enumerate(body.endpoints):
        for place, address in enumerate(endpoint.addresses):
            if problem := _not_a_name(address) if version is None else _not_an_address(address, version):
                found.append(Finding("InvalidValue", f".endpoints[{index}].addresses[{place}]", problem))
    return found


def _not_a_name(address: str) -> str:
    name = address.removesuffix(".")
    return (
        "" if is_domain(name) and "." in name else f"{quoted(address)} is not a DNS name of several parts in lower case"
    )


def _not_an_address(address: str, version: Literal[4, 6]) -> str:
    if not (is_ip(address, version=version) and is_strict_ip(address)):
        return f"{quoted(address)} is not an IPv{version} address"
    if address != str(ip_address(address)):
        return f"{quoted(address)} is to be written {ip_address(address)}"
    where = where_it_leads(address)
    return f"{quoted(address)} leads to no other host: it is {where}" if where not in ("", "loopback") else ""


# --- Namespace --------------------------------------------------------------------------------------------------------
def finalizers_are_names(finalizers: tuple[str, ...]) -> Sequence[Finding]:
    """Each is a name with a domain, or one of Kubernetes itself."""
    return list(check_finalizers(finalizers, is_custom=False))


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
    WrittenSliceParts: (addresses_fit_their_type,),
    WrittenEndpoint: (endpoint_is_named_well,),
    WrittenSlicePort: (ports_are_ports, app_protocol_is_a_name),
    BackendEndpoint: (endpoint_is_one_thing,),
    IPEndpoint: (ip_is_an_ip,),
    HostnameEndpoint: (hostname_is_a_name,),
    UnixEndpoint: (socket_path_fits,),
}
FIELD_RULES: Mapping[tuple[type[Struct], str], tuple[Rule, ...]] = {
    (WrittenNamespaceSpec, "finalizers"): (finalizers_are_names,),
    (EndpointHints, "forZones"): (zones_are_labels,),
    (EndpointHints, "forNodes"): (nodes_are_names,),
    (WrittenSliceParts, "ports"): (port_names_are_labels, port_names_differ),
    (BackendSpec, "endpoints"): (endpoints_are_found_one_way,),
}
