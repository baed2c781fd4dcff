"""The rules of EndpointSlice, Secret, ConfigMap, Namespace and Backend that matter for routing."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.resources.world import backend, core, errors, message, slice_of, warnings
from trilithon.resources.core import ConfigMap, EndpointSlice, Namespace, Secret
from trilithon.resources.decode import decode

TLS_DATA = {"tls.crt": "YQ==", "tls.key": "YQ=="}
IP = {"ip": {"address": "192.0.2.1", "port": 80}}
HOST = {"hostname": {"hostname": "a.test", "port": 80}}
UNIX = {"unix": {"path": "/run/a.sock"}}


def secret(**fields: Any) -> dict[str, Any]:
    return core("Secret", **fields)


def tls_secret(**data: str) -> dict[str, Any]:
    return secret(type="kubernetes.io/tls", data=data)


def config_map(**fields: Any) -> dict[str, Any]:
    return core("ConfigMap", **fields)


def ip(address: str) -> dict[str, Any]:
    return backend({"ip": {"address": address, "port": 80}})


def host(name: str) -> dict[str, Any]:
    return backend({"hostname": {"hostname": name, "port": 80}})


def socket(path: str) -> dict[str, Any]:
    return backend({"unix": {"path": path}})


def slice_ports(*names: str) -> dict[str, Any]:
    return slice_of("IPv4", "10.0.0.1", ports=[{"name": name, "port": 80} for name in names])


def slice_with(**fields: Any) -> dict[str, Any]:
    return slice_of("IPv4", endpoints=[{"addresses": ["10.0.0.1"], **fields}])


def endpoint(field: str) -> tuple[str, str]:
    return ("InvalidValue", f"endpoints[0].{field}")


def wrong(path: str) -> tuple[str, str]:
    return ("WrongType", path)


ENDPOINT = "spec.endpoints[0]"
Row = tuple[str, dict[str, Any], dict[str, Any], tuple[str, str]]
ROWS: list[Row] = [
    (
        "IPv4 slices have IPv4 addresses",
        slice_of("IPv4", "10.0.0.1", "127.0.0.1"),
        slice_of("IPv4", "::1"),
        ("InvalidValue", "endpoints[0].addresses[0]"),
    ),
    (
        "IPv6 slices have IPv6 addresses",
        slice_of("IPv6", "2001:db8::1"),
        slice_of("IPv6", "10.0.0.1"),
        ("InvalidValue", "endpoints[0].addresses[0]"),
    ),
    (
        "FQDN slices have DNS names",
        slice_of("FQDN", "a.test"),
        slice_of("FQDN", "a_test"),
        ("InvalidValue", "endpoints[0].addresses[0]"),
    ),
    (
        "names in slices have several parts, and may end with a dot",
        slice_of("FQDN", "a.test."),
        slice_of("FQDN", "a"),
        ("InvalidValue", "endpoints[0].addresses[0]"),
    ),
    (
        "addresses in slices are written in one way",
        slice_of("IPv6", "2001:db8::1"),
        slice_of("IPv6", "2001:DB8::1"),
        ("InvalidValue", "endpoints[0].addresses[0]"),
    ),
    (
        "IPv4 addresses are not dressed up as IPv6",
        slice_of("IPv6", "::1"),
        slice_of("IPv6", "::ffff:10.0.0.1"),
        ("InvalidValue", "endpoints[0].addresses[0]"),
    ),
    (
        "addresses in slices lead to another host, or to this one",
        slice_of("IPv4", "224.1.0.1"),
        slice_of("IPv4", "224.0.0.1"),
        ("InvalidValue", "endpoints[0].addresses[0]"),
    ),
    (
        "no slice leads anywhere",
        slice_of("IPv4", "127.0.0.1"),
        slice_of("IPv4", "0.0.0.0"),
        ("InvalidValue", "endpoints[0].addresses[0]"),
    ),
    (
        "no slice leads to the link alone",
        slice_of("IPv4", "169.253.1.1"),
        slice_of("IPv4", "169.254.1.1"),
        ("InvalidValue", "endpoints[0].addresses[0]"),
    ),
    ("an endpoint has a host name", slice_with(hostname="a"), slice_with(hostname="a.b"), endpoint("hostname")),
    ("an endpoint is on a node", slice_with(nodeName="a.b"), slice_with(nodeName="A"), endpoint("nodeName")),
    (
        "an endpoint is for zones",
        slice_with(hints={"forZones": [{"name": "A_b"}]}),
        slice_with(hints={"forZones": [{"name": "a b"}]}),
        endpoint("hints.forZones[0].name"),
    ),
    (
        "an endpoint is for nodes",
        slice_with(hints={"forNodes": [{"name": "a.b"}]}),
        slice_with(hints={"forNodes": [{"name": "a.b"}, {"name": "a.b"}]}),
        ("DuplicateName", "endpoints[0].hints.forNodes[1].name"),
    ),
    ("fields that are not kept have types too", slice_with(zone="a"), slice_with(zone=1), wrong("endpoints[0].zone")),
    (
        "an application protocol is a name",
        slice_of("IPv4", ports=[{"port": 80, "appProtocol": "a.test/b"}]),
        slice_of("IPv4", ports=[{"port": 80, "appProtocol": "a b"}]),
        ("InvalidValue", "ports[0].appProtocol"),
    ),
    ("there are three address types", slice_of("IPv4"), slice_of("IP"), ("InvalidValue", "addressType")),
    (
        "an endpoint has an address",
        slice_of("IPv4"),
        slice_of("IPv4", endpoints=[{"addresses": []}]),
        ("TooFew", "endpoints[0].addresses"),
    ),
    ("ports of a slice differ", slice_ports("a", ""), slice_ports("", ""), ("DuplicateName", "ports[1].name")),
    (
        "a TLS Secret has a key",
        tls_secret(**TLS_DATA),
        tls_secret(**{"tls.crt": "YQ=="}),
        ("MissingField", "data[tls.key]"),
    ),
    (
        "a login Secret has a name or a password",
        secret(type="kubernetes.io/basic-auth", stringData={"password": ""}),
        secret(type="kubernetes.io/basic-auth", stringData={"passwort": ""}),
        ("MissingField", "data[username]"),
    ),
    (
        "an ssh Secret has a key",
        secret(type="kubernetes.io/ssh-auth", data={"ssh-privatekey": "YQ=="}),
        secret(type="kubernetes.io/ssh-auth", data={"ssh-privatekey": ""}),
        ("MissingField", "data[ssh-privatekey]"),
    ),
    (
        "a registry Secret is JSON",
        secret(type="kubernetes.io/dockercfg", stringData={".dockercfg": "{}"}),
        secret(type="kubernetes.io/dockercfg", stringData={".dockercfg": "[]"}),
        ("InvalidValue", "data[.dockercfg]"),
    ),
    (
        "a token names its service account",
        secret(type="bootstrap.kubernetes.io/token"),
        secret(type="kubernetes.io/service-account-token"),
        ("MissingField", "metadata.annotations[kubernetes.io/service-account.name]"),
    ),
    ("data of a Secret is base64", secret(data={"a": "YQ\n=="}), secret(data={"a": "YQ"}), ("InvalidValue", "data[a]")),
    ("data keys are file names", secret(data={"a.b": ""}), secret(data={"a/b": ""}), ("InvalidValue", "data")),
    (
        "keys of a ConfigMap are text or binary",
        config_map(data={"a": ""}, binaryData={"b": "YQ=="}),
        config_map(data={"a": ""}, binaryData={"a": "YQ=="}),
        ("DuplicateName", "binaryData[a]"),
    ),
    (
        "binary data is base64",
        config_map(binaryData={"b": ""}),
        config_map(binaryData={"b": "*"}),
        ("InvalidValue", "binaryData[b]"),
    ),
    (
        "data is at most 1 MiB",
        config_map(data={"a": "a" * 2**20}),
        config_map(data={"a": "a" * (2**20 + 1)}),
        ("TooBig", "data"),
    ),
    (
        "finalizers of a Namespace have domains",
        core("Namespace", spec={"finalizers": ["kubernetes", "a.test/a"]}),
        core("Namespace", spec={"finalizers": ["a"]}),
        ("InvalidValue", "spec.finalizers[0]"),
    ),
    ("an endpoint is something", backend(IP, HOST), backend({}), ("MissingField", ENDPOINT)),
    ("an endpoint is one thing", backend(IP, UNIX), backend({**IP, **UNIX}), ("ConflictingFields", ENDPOINT)),
    ("an ip is an IP address", ip("::1"), ip("a.test"), ("InvalidValue", f"{ENDPOINT}.ip.address")),
    ("an ip has no brackets", ip("127.0.0.1"), ip("[::1]"), ("InvalidValue", f"{ENDPOINT}.ip.address")),
    ("an ip has no leading zeros", ip("10.0.0.1"), ip("010.0.0.1"), ("InvalidValue", f"{ENDPOINT}.ip.address")),
    (
        "a hostname is no IP address",
        host("a.test"),
        host("10.0.0.1"),
        ("InvalidValue", f"{ENDPOINT}.hostname.hostname"),
    ),
    ("a hostname is a DNS name", host("localhost"), host("a test"), ("InvalidValue", f"{ENDPOINT}.hostname.hostname")),
    ("a socket has an absolute path", socket("@name"), socket("a.sock"), ("InvalidValue", f"{ENDPOINT}.unix.path")),
    (
        "a socket's path has 107 bytes",
        socket("/" + "a" * 106),
        socket("/" + "é" * 106),
        ("InvalidValue", f"{ENDPOINT}.unix.path"),
    ),
    ("a socket's path has no zero byte", socket("/a"), socket("/a\0"), ("InvalidValue", f"{ENDPOINT}.unix.path")),
    (
        "sockets and hostnames do not mix",
        backend(HOST, IP),
        backend(HOST, UNIX),
        ("ConflictingFields", "spec.endpoints[1].unix"),
    ),
    ("a Backend has endpoints", backend(IP), backend(), ("TooFew", "spec.endpoints")),
]


@pytest.mark.parametrize(("good", "bad", "expected"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_rule(good: dict[str, Any], bad: dict[str, Any], expected: tuple[str, str]) -> None:
    assert errors(good) == []
    assert errors(bad) == [expected]


def test_string_data_wins_over_data() -> None:
    found = decode(secret(data={"a": "YQ==", "b": "Yg=="}, stringData={"a": "c"})).resource
    assert isinstance(found, Secret)
    assert (found.get("a"), found.get("b"), found.get("c"), found.type) == (b"c", b"b", None, "Opaque")


@pytest.mark.parametrize(
    "fields",
    [
        {"data": {"a": "hunter2!"}},
        {"data": {"a": ["hunter2"]}},
        {"data": "hunter2"},
        {"stringData": {"a": 1, "b": "hunter2"}},
        {"type": ["hunter2"], "data": {"a": "hunter2!"}},
        {"stringData": {"a": "hunter2\ud800"}},
        {"immutable": "hunter2"},
        {"data": {"a": base64.b64encode(b"hunter2").decode()}, "type": "kubernetes.io/tls"},
    ],
)
def test_no_message_holds_a_value_of_a_secret(fields: dict[str, Any]) -> None:
    decoded = decode(secret(**fields))
    assert decoded.refused
    assert "hunter2" not in repr(decoded)
    assert base64.b64encode(b"hunter2").decode() not in repr(decoded)


def test_a_secret_shows_no_value() -> None:
    assert "c3VwZXI=" not in repr(decode(secret(data={"a": "c3VwZXI="})))
    assert "super" not in repr(decode(secret(data={"a": "c3VwZXI="})))


def test_a_config_map_keeps_its_texts_in_order() -> None:
    found = decode(config_map(data={"b": "2", "a": "1"}, binaryData={"c": "YQ=="})).resource
    assert isinstance(found, ConfigMap)
    assert found.data == (("a", "1"), ("b", "2"))


def test_a_namespace_has_the_label_of_its_name() -> None:
    labels = {"team": "a", "kubernetes.io/metadata.name": "other"}
    written = core("Namespace", metadata={"name": "a", "labels": labels}, spec={"finalizers": ["kubernetes"]})
    decoded = decode(written)
    assert isinstance(decoded.resource, Namespace)
    assert decoded.resource.labels == (("kubernetes.io/metadata.name", "a"), ("team", "a"))
    assert decoded.problems == ()


def test_an_endpoint_slice_knows_its_service() -> None:
    metadata = {"name": "a", "labels": {"kubernetes.io/service-name": "web"}}
    found = decode(slice_of("IPv4", "10.0.0.1", metadata=metadata)).resource
    assert isinstance(found, EndpointSlice)
    assert (found.service, found.endpoints[0].addresses, found.ports[0].port) == ("web", ("10.0.0.1",), 80)


def test_a_slice_keeps_no_port_that_is_none() -> None:
    written = slice_of("IPv4", "10.0.0.1", ports=[{"name": "a", "port": 0}, {"name": "b", "port": 80}, {"name": "c"}])
    found = decode(written).resource
    assert isinstance(found, EndpointSlice)
    assert [port.name for port in found.ports] == ["b", "c"]
    assert warnings(written) == [("InvalidValue", "ports[0].port", "")]


def test_messages_help() -> None:
    assert message(ip("[::1]")) == '"[::1]" is not an IP address (write it without brackets)'
    assert message(host("10.0.0.1")) == '"10.0.0.1" is an IP address (use ip.address for it)'
    assert message(secret(data={"a": "b"})) == "the value is not base64 (put plain text under stringData)"
