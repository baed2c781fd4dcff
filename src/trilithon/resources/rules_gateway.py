"""The rules of GatewayClass, Gateway and ReferenceGrant that span several fields.

Each docstring carries the message that the CRDs of v1.6.1 have for the rule; {words} in braces stand for
several of them. The CRD of GatewayClass also has "Value is immutable" for spec.controllerName: that compares
two versions of an object and so cannot be broken by a document. ReferenceGrant has no such rules.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from msgspec import Struct

from trilithon.resources.addresses import is_ip
from trilithon.resources.gateways import (
    GatewayAddress,
    GatewayFrontendTLS,
    GatewayInfrastructure,
    GatewayListener,
    GatewaySpec,
    ListenerTLS,
)
from trilithon.resources.rule import Rule, UniqueBy
from trilithon.resources.wording import Finding, quoted

_HOSTNAME = re.compile(r"(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_QUALIFIED_NAME = re.compile(
    r"([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]"
)


def address_is_an_ip(address: GatewayAddress) -> Sequence[Finding]:
    """The schema's oneOf: a value of type IPAddress has format ipv4 or ipv6; here with no message of its own."""
    if address.type != "IPAddress" or address.value is None or is_ip(address.value, leading_zeros=True):
        return ()
    hint = "" if address.value else "leave value out to get any address"
    return (Finding("InvalidValue", ".value", f"{quoted(address.value)} is not an IP address", hint),)


def address_is_a_hostname(address: GatewayAddress) -> Sequence[Finding]:
    r"""Hostname value must be empty or contain only valid characters (matching {pattern})"""
    if address.type != "Hostname" or address.value is None or _HOSTNAME.fullmatch(address.value):
        return ()
    hint = "" if address.value else "leave value out to get any hostname"
    return (Finding("InvalidValue", ".value", f"{quoted(address.value)} is not a hostname in lower case", hint),)


def addresses_differ(addresses: tuple[GatewayAddress, ...]) -> Sequence[Finding]:
    """{IPAddress} values must be unique"""
    first: dict[tuple[str, str], int] = {}
    found = []
    for index, address in enumerate(addresses):
        if address.value is None or address.type not in ("IPAddress", "Hostname"):
            continue
        earlier = first.setdefault((address.type, address.value), index)
        if earlier != index:
            message = f"the address {quoted(address.value)} is already that of entry [{earlier}]"
            found.append(Finding("DuplicateName", f"[{index}].value", message))
    return found


def annotation_keys_are_valid(entries: dict[str, str]) -> Sequence[Finding]:
    """Annotation keys must be in the form of an optional DNS subdomain prefix followed by a required name
    segment of up to 63 characters. If specified, the annotation key's prefix must be a DNS subdomain not longer
    than 253 characters in total.
    """
    return _keys_are_valid(entries, "an annotation key")


def label_keys_are_valid(entries: dict[str, str]) -> Sequence[Finding]:
    """Label keys must be in the form of an optional DNS subdomain prefix followed by a required name segment of
    up to 63 characters. If specified, the label key's prefix must be a DNS subdomain not longer than 253
    characters in total.
    """
    return _keys_are_valid(entries, "a label key")


def _keys_are_valid(entries: dict[str, str], what: str) -> Sequence[Finding]:
    found = []
    for key in entries:
        # The length comes first: the pattern is then never run over a long text.
        if len(key.split("/")[0]) >= 253 or not _QUALIFIED_NAME.fullmatch(key):
            message = (
                f"{quoted(key)} is not {what}: a name of at most 63 letters, digits, - _ . after an optional domain/"
            )
            found.append(Finding("InvalidValue", "", message))
    return found


def only_tls_protocols_have_tls(listeners: tuple[GatewayListener, ...]) -> Sequence[Finding]:
    """tls must not be specified for protocols ['HTTP', 'TCP', 'UDP']"""
    return [
        Finding(
            "ConflictingFields",
            f"[{index}].tls",
            f"a listener of protocol {listener.protocol} cannot have tls",
            "use protocol HTTPS" if listener.protocol == "HTTP" else "use protocol TLS, or remove tls",
        )
        for index, listener in enumerate(listeners)
        if listener.tls is not None and listener.protocol in ("HTTP", "TCP", "UDP")
    ]


def https_terminates_tls(listeners: tuple[GatewayListener, ...]) -> Sequence[Finding]:
    """tls mode must be Terminate for protocol HTTPS"""
    return [
        Finding(
            "ConflictingFields",
            f"[{index}].tls.mode",
            f"a listener of protocol HTTPS must have mode Terminate, not {listener.tls.mode}",
            "use protocol TLS to pass TLS through",
        )
        for index, listener in enumerate(listeners)
        if listener.tls is not None and listener.protocol == "HTTPS" and listener.tls.mode != "Terminate"
    ]


def tls_listeners_have_tls(listeners: tuple[GatewayListener, ...]) -> Sequence[Finding]:
    """tls mode must be set for protocol TLS"""
    return [
        Finding("MissingField", f"[{index}].tls", "a listener of protocol TLS needs tls")
        for index, listener in enumerate(listeners)
        if listener.protocol == "TLS" and listener.tls is None
    ]


def only_named_protocols_have_hostnames(listeners: tuple[GatewayListener, ...]) -> Sequence[Finding]:
    """hostname must not be specified for protocols ['TCP', 'UDP']"""
    return [
        Finding(
            "ConflictingFields",
            f"[{index}].hostname",
            f"a listener of protocol {listener.protocol} cannot have a hostname, because the protocol carries none",
        )
        for index, listener in enumerate(listeners)
        if listener.hostname is not None and listener.protocol in ("TCP", "UDP")
    ]


class ListenerNamesDiffer(UniqueBy, frozen=True):
    """Listener name must be unique within the Gateway"""


def listeners_differ(listeners: tuple[GatewayListener, ...]) -> Sequence[Finding]:
    """Combination of port, protocol and hostname must be unique for each listener"""
    first: dict[tuple[int, str, str | None], int] = {}
    found = []
    for index, listener in enumerate(listeners):
        earlier = first.setdefault((listener.port, listener.protocol, listener.hostname), index)
        if earlier != index:
            hostname = quoted(listener.hostname) if listener.hostname else "no hostname"
            message = f"port {listener.port}, protocol {listener.protocol} and {hostname} are already those of"
            name = quoted(listeners[earlier].name)
            found.append(Finding("DuplicateName", f"[{index}]", f"{message} listener [{earlier}] ({name})"))
    return found


def terminating_needs_certificates(tls: ListenerTLS) -> Sequence[Finding]:
    """certificateRefs or options must be specified when mode is Terminate"""
    if tls.mode != "Terminate" or tls.certificate_refs or tls.options:
        return ()
    return (Finding("MissingField", ".certificateRefs", "mode Terminate needs certificateRefs (or options)"),)


class PortsDiffer(UniqueBy, frozen=True):
    """Port for TLS configuration must be unique within the Gateway"""


PART_RULES: Mapping[type[Struct], tuple[Rule, ...]] = {
    GatewayAddress: (address_is_an_ip, address_is_a_hostname),
    ListenerTLS: (terminating_needs_certificates,),
}
FIELD_RULES: Mapping[tuple[type[Struct], str], tuple[Rule, ...]] = {
    (GatewaySpec, "addresses"): (addresses_differ,),
    (GatewaySpec, "listeners"): (
        only_tls_protocols_have_tls,
        https_terminates_tls,
        tls_listeners_have_tls,
        only_named_protocols_have_hostnames,
        ListenerNamesDiffer("name", "name", "listener name"),
        listeners_differ,
    ),
    (GatewayInfrastructure, "labels"): (label_keys_are_valid,),
    (GatewayInfrastructure, "annotations"): (annotation_keys_are_valid,),
    (GatewayFrontendTLS, "perPort"): (PortsDiffer("port", "port", "port"),),
}
