"""The rules of Gateway and ReferenceGrant: each sentence with a document that keeps it and one that breaks it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.resources.world import HTTP, HTTPS, TLS, document, errors, gateway

TLS_LISTENER = {"name": "tls", "port": 8443, "protocol": "TLS", "tls": {"mode": "Passthrough"}}
CA = {"validation": {"caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "ca"}]}}


def addresses(*entries: dict[str, Any]) -> dict[str, Any]:
    return gateway(addresses=list(entries))


def infrastructure(**fields: Any) -> dict[str, Any]:
    return gateway(infrastructure=fields)


def per_port(*ports: int) -> dict[str, Any]:
    return gateway(tls={"frontend": {"default": {}, "perPort": [{"port": port, "tls": CA} for port in ports]}})


LISTENER = "spec.listeners[0]"
Row = tuple[str, dict[str, Any], dict[str, Any], tuple[str, str]]
ROWS: list[Row] = [
    *[
        (
            f"a listener of protocol {protocol} has no tls",
            gateway({**HTTP, "protocol": protocol}),
            gateway({**HTTP, "protocol": protocol, "tls": TLS}),
            ("ConflictingFields", f"{LISTENER}.tls"),
        )
        for protocol in ("HTTP", "TCP", "UDP")
    ],
    (
        "a listener of protocol HTTPS terminates TLS",
        gateway(HTTPS),
        gateway({**HTTPS, "tls": {"mode": "Passthrough"}}),
        ("ConflictingFields", f"{LISTENER}.tls.mode"),
    ),
    (
        "a listener of protocol TLS has tls",
        gateway(TLS_LISTENER, {**HTTPS, "tls": None}),
        gateway({**TLS_LISTENER, "tls": None}),
        ("MissingField", f"{LISTENER}.tls"),
    ),
    *[
        (
            f"a listener of protocol {protocol} has no hostname",
            gateway({**HTTP, "hostname": "a.test"}),
            gateway({**HTTP, "protocol": protocol, "hostname": "a.test"}),
            ("ConflictingFields", f"{LISTENER}.hostname"),
        )
        for protocol in ("TCP", "UDP")
    ],
    (
        "names of listeners differ",
        gateway(HTTP, {**HTTP, "name": "b", "port": 81}),
        gateway(HTTP, {**HTTP, "port": 81}),
        ("DuplicateName", "spec.listeners[1].name"),
    ),
    (
        "listeners differ in port, protocol or hostname",
        gateway(HTTP, {**HTTP, "name": "b", "hostname": "b.test"}, {**HTTP, "name": "c", "hostname": "c.test"}),
        gateway({**HTTP, "hostname": "b.test"}, {**HTTP, "name": "b", "hostname": "b.test"}),
        ("DuplicateName", "spec.listeners[1]"),
    ),
    (
        "no hostname is a hostname of its own",
        gateway(HTTP, {**HTTP, "name": "b", "hostname": "*.test"}),
        gateway(HTTP, {**HTTP, "name": "b"}),
        ("DuplicateName", "spec.listeners[1]"),
    ),
    (
        "mode Terminate has certificates or options",
        gateway({**HTTPS, "tls": {"options": {"example.com/a": "b"}}}),
        gateway({**HTTPS, "tls": {"certificateRefs": []}}),
        ("MissingField", f"{LISTENER}.tls.certificateRefs"),
    ),
    *[
        (
            f"{value} is not an IP address",
            addresses({"value": good}),
            addresses({"value": value}),
            ("InvalidValue", "spec.addresses[0].value"),
        )
        for good, value in (("192.0.2.1", "192.0.2"), ("2001:db8::1", "2001:db8::1%eth0"), ("010.0.0.1", ""))
    ],
    (
        "an address of type Hostname is a hostname",
        addresses({"type": "Hostname", "value": "*.a.test"}, {"type": "Hostname"}, {}),
        addresses({"type": "Hostname", "value": "a.test:80"}),
        ("InvalidValue", "spec.addresses[0].value"),
    ),
    (
        "IP addresses differ",
        addresses({"value": "192.0.2.1"}, {"value": "192.0.2.2"}),
        addresses({"value": "192.0.2.1"}, {"type": "IPAddress", "value": "192.0.2.1"}),
        ("DuplicateName", "spec.addresses[1].value"),
    ),
    (
        "hostnames of addresses differ",
        addresses({"type": "Hostname", "value": "a.test"}, {"type": "NamedAddress", "value": "a.test"}),
        addresses({"type": "Hostname", "value": "a.test"}, {"type": "Hostname", "value": "a.test"}),
        ("DuplicateName", "spec.addresses[1].value"),
    ),
    *[
        (
            f"keys of {field} are names with an optional domain",
            infrastructure(**{field: {"example.com/a": "b"}}),
            infrastructure(**{field: {"example.com/": "b"}}),
            ("InvalidValue", f"spec.infrastructure.{field}"),
        )
        for field in ("labels", "annotations")
    ],
    *[
        (
            f"domains of keys of {field} have fewer than 253 characters",
            infrastructure(**{field: {"a" * 252 + "/a": "b"}}),
            infrastructure(**{field: {"a" * 253 + "/a": "b"}}),
            ("InvalidValue", f"spec.infrastructure.{field}"),
        )
        for field in ("labels", "annotations")
    ],
    (
        "TLS settings by port have different ports",
        per_port(443, 8443),
        per_port(443, 443),
        ("DuplicateName", "spec.tls.frontend.perPort[1].port"),
    ),
]


@pytest.mark.parametrize(("good", "bad", "expected"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_rule(good: dict[str, Any], bad: dict[str, Any], expected: tuple[str, str]) -> None:
    assert errors(good) == []
    assert errors(bad) == [expected]


def test_the_ungrouped_pattern_of_address_types_takes_what_the_api_server_takes() -> None:
    # Only the last of its alternatives is bound to the end, and only the first to the beginning.
    for taken in ("HostnameX", "my IPAddress", "NamedAddress!", "example.com/type", "!!example.com/type"):
        assert errors(addresses({"type": taken})) == []
    assert errors(addresses({"type": "Other"})) == [("InvalidValue", "spec.addresses[0].type")]


def test_a_grant_needs_both_sides() -> None:
    grant = document("ReferenceGrant", spec={"from": [], "to": [{"group": "", "kind": "Service"}]})
    assert errors(grant) == [("TooFew", "spec.from")]
    assert errors(document("ReferenceGrant", spec={})) == [("MissingField", "spec.from"), ("MissingField", "spec.to")]
