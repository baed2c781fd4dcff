"""What a Gateway's listeners take, which conflict and which serve (Gateway.spec.listeners)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import pytest

from trilithon.model.listener import Listeners
from trilithon.model.problem import condition_of
from trilithon.model.settings import Installation, Settings
from trilithon.model.tables import LISTENERS
from trilithon.pipeline import build, edits
from trilithon.resources.decode import decode
from trilithon.resources.kinds import KINDS
from trilithon.resources.meta import Key
from trilithon.resources.stored import ObjectReader

CLASS = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "GatewayClass",
    "metadata": {"name": "trilithon"},
    "spec": {"controllerName": "trilithon.dev/gateway-controller"},
}


def gateway(*listeners: Mapping[str, Any], name: str = "gw", created: str = "", **spec: Any) -> dict[str, Any]:
    numbered = [{"name": f"l{index}", **listener} for index, listener in enumerate(listeners)]
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": name, "namespace": "infra", **({"creationTimestamp": created} if created else {})},
        "spec": {"gatewayClassName": "trilithon", "listeners": numbered, **spec},
    }


def http(port: int = 80, **more: Any) -> dict[str, Any]:
    return {"port": port, "protocol": "HTTP", **more}


def settled(*documents: Mapping[str, Any], settings: Settings | None = None) -> Mapping[Key, Listeners]:
    decoded = [decode(document) for document in (CLASS, *documents)]
    engine = build(settings or Settings())
    # What validation refuses for the API server's sake is a conflict here all the same.
    engine.apply(edits(each.resource for each in decoded if each.resource is not None))
    assert dict(engine.faults) == {}
    return engine.rows(LISTENERS)


def listeners(document: Mapping[str, Any], **more: Any) -> Listeners:
    return settled(document, **more)[Key("Gateway", "infra", "gw")]


def codes(row: Listeners) -> list[list[str]]:
    return [[problem.code for problem in item.problems] for item in row.items]


@pytest.mark.parametrize(
    ("written", "expected", "serves"),
    [
        pytest.param([http()], [[]], [True], id="an HTTP listener serves"),
        pytest.param(
            [http(protocol="TCP")], [["ProtocolNotYetSupported"]], [False], id="TCP is known and not supported yet"
        ),
        pytest.param(
            [http(protocol="example.com/x")], [["ProtocolUnknown"]], [False], id="a foreign protocol is not known"
        ),
        pytest.param(
            [http(hostname="a.test"), http(hostname="b.test")], [[], []], [True, True], id="hostnames keep them apart"
        ),
        pytest.param([http(), http(81)], [[], []], [True, True], id="ports keep them apart"),
        pytest.param(
            [http(), http(protocol="TCP", port=80), http(81)],
            [["ProtocolConflict"], ["ProtocolNotYetSupported", "ProtocolConflict"], []],
            [False, False, True],
            id="TCP beside HTTP on one port: no winner is picked, and other ports serve",
        ),
        pytest.param(
            [http(), http(protocol="UDP")],
            [[], ["ProtocolNotYetSupported"]],
            [True, False],
            id="UDP has ports of its own",
        ),
        pytest.param(
            [http(), http(protocol="HTTPS")],
            [["ProtocolConflict"], ["TLSMissing", "ProtocolConflict"]],
            [False, False],
            id="HTTP with HTTPS on one port is a protocol conflict",
        ),
        pytest.param(
            [http(allowedRoutes={"namespaces": {"from": "Selector"}})],
            [["SelectorMissing"]],
            [False],
            id="Selector without a selector selects nothing",
        ),
        pytest.param(
            [http(allowedRoutes={"kinds": [{"kind": "HTTPRoute"}, {"kind": "TCPRoute"}]})],
            [["RouteKindUnsupported"]],
            [True],
            id="one bad kind costs itself",
        ),
    ],
)
def test_each_listener_says_what_is_wrong(
    written: Iterable[Mapping[str, Any]], expected: list[list[str]], serves: list[bool]
) -> None:
    row = listeners(gateway(*written))
    assert codes(row) == expected
    assert [item.serves for item in row.items] == serves


def test_supported_kinds_are_those_listed_that_fit_the_protocol() -> None:
    kinds = [{"kind": "TCPRoute"}, {"kind": "HTTPRoute"}, {"group": "example.com", "kind": "HTTPRoute"}]
    row = listeners(
        gateway(http(), http(81, allowedRoutes={"kinds": kinds}), http(82, allowedRoutes={"kinds": kinds[:1]}))
    )
    assert [item.kinds for item in row.items] == [("HTTPRoute",), ("HTTPRoute",), ()]


def test_an_unsupported_protocol_supports_no_kind() -> None:
    assert listeners(gateway(http(protocol="UDP"))).items[0].kinds == ()


def test_where_gateways_share_an_address_the_oldest_has_the_port() -> None:
    young = gateway(http(), name="a-young", created="2026-02-01T00:00:00Z")
    old = gateway(http(), http(81), name="old", created="2026-01-01T00:00:00Z")
    undated = gateway(http(81), name="gw")
    rows = settled(young, old, undated)
    found = {key.name: codes(row) for key, row in rows.items()}
    assert found == {"a-young": [["PortTakenByGateway"]], "old": [[], []], "gw": [["PortTakenByGateway"]]}


def test_without_dates_the_first_name_has_the_port() -> None:
    rows = settled(gateway(http(), name="b"), gateway(http(), name="a"))
    assert {key.name: row.items[0].serves for key, row in rows.items()} == {"a": True, "b": False}


def test_gateways_with_addresses_of_their_own_do_not_meet() -> None:
    rows = settled(gateway(http(), name="b"), gateway(http(), name="a"), settings=Settings(shared_address=False))
    assert all(row.items[0].serves for row in rows.values())


def test_an_offset_can_push_a_port_over_the_edge() -> None:
    row = listeners(gateway(http(8080), http(60000)), settings=Settings(port_offset=8000))
    assert codes(row) == [[], ["PortTooHigh"]]


def test_client_certificates_asked_for_are_never_skipped() -> None:
    validation = {"validation": {"caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "ca"}]}}
    https = {"port": 443, "protocol": "HTTPS", "tls": {"certificateRefs": [{"name": "tls"}]}}
    row = listeners(gateway(https, http(), tls={"frontend": {"default": validation}}))
    assert "ClientValidationUnsupported" in codes(row)[0]
    assert [item.serves for item in row.items] == [False, True]
    lenient = {"default": validation, "perPort": [{"port": 443, "tls": {}}]}
    assert "ClientValidationUnsupported" not in codes(listeners(gateway(https, tls={"frontend": lenient})))[0]


@pytest.mark.parametrize(
    ("spec", "code"),
    [
        pytest.param({"addresses": [{"type": "NamedAddress", "value": "x"}]}, "AddressTypeUnsupported", id="type"),
        pytest.param({"addresses": [{"value": "192.0.2.1"}]}, "AddressNotUsable", id="another address"),
    ],
)
def test_at_a_shared_address_a_gateway_that_asks_for_another_serves_nothing(spec: dict[str, Any], code: str) -> None:
    row = listeners(gateway(http(), **spec))
    assert [problem.code for problem in row.problems] == [code]
    assert not row.items[0].serves


LOCAL = Settings(shared_address=False)
CLUSTER = Settings(shared_address=False, installation=Installation())


def stored(**spec: Any) -> Any:
    """A Gateway as an API server holds it, whose definition may be newer."""
    reader = ObjectReader(next(kind for kind in KINDS if kind.name == "Gateway"))
    return reader(msgspec.json.encode(gateway(http(), **spec))).resource


@pytest.mark.parametrize(("settings", "serves"), [(Settings(), False), (LOCAL, False), (CLUSTER, True)])
@pytest.mark.parametrize("address", [{"type": "example.com/pool", "value": "internal"}, {"type": 5}])
def test_without_a_cluster_nothing_is_served_where_the_address_that_is_asked_for_is_unknown(
    address: dict[str, Any], settings: Settings, serves: bool
) -> None:
    """One machine does not tell a Gateway that served before from a new one. In a cluster what runs it tells."""
    engine = build(settings)
    engine.apply(edits([decode(CLASS).resource, stored(addresses=[address])]))
    (row,) = engine.rows(LISTENERS).values()
    assert [condition_of(problem) for problem in row.problems] == ["Accepted"]
    assert row.items[0].serves == serves


def test_what_else_is_not_understood_of_a_gateway_ends_no_listener() -> None:
    engine = build(LOCAL)
    engine.apply(edits([decode(CLASS).resource, stored(defaultScope=5)]))
    (row,) = engine.rows(LISTENERS).values()
    assert [problem.path for problem in row.problems] == ["spec.defaultScope"]
    assert row.items[0].serves


@pytest.mark.parametrize("settings", [Settings(), LOCAL])
def test_parameters_that_cannot_be_used_end_no_listener(settings: Settings) -> None:
    ref = {"group": "x.io", "kind": "Y", "name": "z"}
    row = listeners(gateway(http(), infrastructure={"parametersRef": ref}), settings=settings)
    assert [problem.code for problem in row.problems] == ["GatewayParametersUnsupported"]
    assert row.items[0].serves


def test_no_value_means_any_address() -> None:
    assert listeners(gateway(http(), addresses=[{"type": "IPAddress"}, {"value": "127.0.0.1"}])).problems == ()


def test_a_gateway_of_another_class_is_not_ours() -> None:
    assert settled(gateway(http(), gatewayClassName="other")) == {}
