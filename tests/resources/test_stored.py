"""Objects read straight from their bytes: the same resources as from documents, and every mistake costs one object."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from tests.resources.upstream import MODULE, manifests, module_folder
from tests.resources.world import HTTP, HTTPS, TLS, WEB, core, document, gateway, route
from trilithon.resources.core import Secret
from trilithon.resources.decode import decode
from trilithon.resources.flaw import Flaw
from trilithon.resources.kinds import KINDS
from trilithon.resources.meta import Key
from trilithon.resources.routes import HTTPRoute
from trilithon.resources.stored import ObjectReader, StoredObject

READERS = {kind.name: ObjectReader(kind) for kind in KINDS}
BY_VERSION = {(version, kind.name): kind for kind in KINDS for version in kind.api_versions}
MANAGED = [{"manager": "tests", "operation": "Apply", "fieldsV1": {"f:spec": {".": {}}}}]


def read(found: dict[str, Any], **metadata: Any) -> StoredObject:
    whole = {**found, "metadata": {"namespace": "shop", "managedFields": MANAGED, **found["metadata"], **metadata}}
    return READERS[found["kind"]](msgspec.json.encode(whole))


def flaws_of(found: StoredObject) -> tuple[Flaw, ...]:
    flaws: tuple[Flaw, ...] = getattr(found.resource, "flaws", ())
    return flaws


def test_both_ways_of_reading_agree() -> None:
    compared = 0
    folder = module_folder(MODULE)
    for part in ("examples", "hack/invalid-examples", "conformance"):
        for file, found in manifests(folder / part):
            kind = BY_VERSION.get((found["apiVersion"], found["kind"]))
            if kind is None:
                continue
            found["metadata"].setdefault("namespace", "default")
            expected, stored = decode(found), READERS[kind.name](msgspec.json.encode(found))
            if expected.resource is not None:
                bare: Any = stored.resource
                assert (replace(bare, flaws=()) if flaws_of(stored) else bare) == expected.resource, file
            else:
                told = {*(each.path for each in stored.problems), *(each.path for each in flaws_of(stored))}
                assert told == {each.path for each in expected.problems}, file
            compared += 1
    assert compared > 100


def test_what_is_stored_beside_the_spec_is_told() -> None:
    status = {"parents": [{"controllerName": "x"}]}
    found = read({**route(), "status": status}, uid="u", resourceVersion="7", generation=3, finalizers=["a/b"])
    assert found.key == Key("HTTPRoute", "shop", "a")
    metadata = found.metadata
    assert (metadata.uid, metadata.resource_version, metadata.generation) == ("u", "7", 3)
    assert metadata.finalizers == ("a/b",)
    assert msgspec.json.decode(found.status) == status
    assert read(route()).status == b""


@pytest.mark.parametrize("kind", ["GatewayClass", "Namespace"])
def test_kinds_of_the_whole_cluster_have_no_namespace(kind: str) -> None:
    spec = {"controllerName": "a.test/b"} if kind == "GatewayClass" else {}
    found = READERS[kind](msgspec.json.encode({"metadata": {"name": "a"}, "spec": spec}))
    assert found.key == Key(kind, "", "a")
    assert found.resource is not None


def test_a_list_of_core_objects_names_neither_version_nor_kind() -> None:
    found = READERS["Service"](
        msgspec.json.encode({"metadata": {"name": "a", "namespace": "b"}, "spec": {"ports": []}})
    )
    assert (found.key, found.resource is not None) == (Key("Service", "b", "a"), True)


PARENT = {"name": "gw"}
WEB_PATH = {"path": {"value": "/web"}}
NEW_FILTER = {"type": "FutureThing", "futureThing": {}}


@pytest.mark.parametrize(
    ("found", "part", "path"),
    [
        pytest.param(
            route(rules=[{"matches": [WEB_PATH], "filters": [NEW_FILTER], "backendRefs": [WEB]}, {}]),
            "spec.rules[0]",
            "spec.rules[0].filters[0].type",
            id="a filter of a new type",
        ),
        pytest.param(
            route(rules=[{}, {"backendRefs": [{**WEB, "filters": [NEW_FILTER]}]}]),
            "spec.rules[1]",
            "spec.rules[1].backendRefs[0].filters[0].type",
            id="a filter of a new type in a backend",
        ),
        pytest.param(
            route(rules=[{"filters": [{"type": "RequestRedirect", "requestRedirect": {"statusCode": 305}}]}]),
            "spec.rules[0]",
            "spec.rules[0].filters[0].requestRedirect.statusCode",
            id="a new status of redirects",
        ),
        pytest.param(
            route(rules=[{"matches": [WEB_PATH, {"path": {"type": "Future", "value": "/a"}}]}]),
            "spec.rules[0].matches[1]",
            "spec.rules[0].matches[1].path.type",
            id="a new type of path match",
        ),
        pytest.param(
            route(rules=[{"matches": [{"method": "QUERY"}]}]),
            "spec.rules[0]",
            "spec.rules[0].matches[0].method",
            id="a new method",
        ),
        pytest.param(
            route(rules=[{"matches": [{**WEB_PATH, "headers": [{"type": "Prefix", "name": "a", "value": "b"}]}]}]),
            "spec.rules[0]",
            "spec.rules[0].matches[0].headers[0].type",
            id="a new type of header match",
        ),
        pytest.param(
            route(rules=[{"backendRefs": [{**WEB, "weight": -1}]}]),
            "spec.rules[0]",
            "spec.rules[0].backendRefs[0].weight",
            id="a new weight",
        ),
        pytest.param(
            route(rules=[{"name": "a"}, {"name": "a", "filters": [{"type": "URLRewrite"}]}]),
            "spec.rules[1]",
            "spec.rules[1].filters[0].urlRewrite",
            id="a rule of definitions that was not there yet",
        ),
        pytest.param(
            route(rules=[{"matches": [{"path": {"value": "relative"}}]}]),
            "spec.rules[0].matches[0]",
            "spec.rules[0].matches[0].path.value",
            id="a rule about a match",
        ),
        pytest.param(route(hostnames=["UPPER"]), "spec", "spec.hostnames[0]", id="a hostname"),
        pytest.param(route(hostnames="a.test"), "spec", "spec.hostnames", id="a wrong shape"),
        pytest.param(
            route(hostnames=["a.test", "a*.test"]), "spec.rules", "spec.hostnames[1]", id="a hostname beside another"
        ),
        pytest.param(
            route(rules=[{"matches": 5}]),
            "spec.rules[0].matches",
            "spec.rules[0].matches",
            id="matches of another shape",
        ),
        pytest.param(route(rules=[{"matches": [{}] * 65}]), "spec.rules", "spec.rules[0].matches", id="more matches"),
        pytest.param(route(rules=[{}] * 17), "spec.rules", "spec.rules", id="more rules"),
        pytest.param(route(useDefaultGateways="Future"), "", "spec.useDefaultGateways", id="no effect anyway"),
        pytest.param(
            gateway({**HTTPS, "tls": {**TLS, "mode": "Future"}}, HTTP),
            "spec.listeners[https]",
            "spec.listeners[0].tls.mode",
            id="a new mode of TLS",
        ),
        pytest.param(
            gateway({**HTTP, "allowedRoutes": {"namespaces": {"from": "Future"}}}),
            "spec.listeners[http]",
            "spec.listeners[0].allowedRoutes.namespaces.from",
            id="new namespaces of a listener",
        ),
        pytest.param(
            gateway(HTTP, {**HTTP, "name": "b"}), "spec.listeners[b]", "spec.listeners[1]", id="listeners that conflict"
        ),
        pytest.param(
            gateway(HTTP, {**HTTP, "name": "b", "hostname": "a*.test"}),
            "spec.listeners[b]",
            "spec.listeners[1].hostname",
            id="a listener of who knows which host",
        ),
        pytest.param(
            gateway(HTTP, {**HTTP, "name": "b", "port": 0}),
            "spec.listeners",
            "spec.listeners[1].port",
            id="a listener that is nowhere",
        ),
        pytest.param(
            gateway(HTTP, {**HTTP, "port": 81}), "spec.listeners", "spec.listeners[1].name", id="two of one name"
        ),
        pytest.param(
            gateway(*({**HTTP, "name": f"l{port}", "port": port} for port in range(1, 70))),
            "spec.listeners",
            "spec.listeners",
            id="more listeners",
        ),
        pytest.param(
            gateway(HTTP, tls={"frontend": {"default": {"validation": {"mode": "Future"}}}}),
            "spec.tls.frontend",
            "spec.tls.frontend.default.validation.mode",
            id="a new mode of client validation",
        ),
        pytest.param(
            gateway(HTTP, tls={"frontend": {"default": {}, "perPort": [{"port": 443, "tls": 5}]}}),
            "spec.tls.frontend.perPort[443]",
            "spec.tls.frontend.perPort[0].tls",
            id="TLS of one port",
        ),
        pytest.param(
            gateway(HTTP, tls={"backend": {"clientCertificateRef": 5}}),
            "",
            "spec.tls.backend.clientCertificateRef",
            id="TLS towards backends",
        ),
        pytest.param(
            gateway(HTTP, allowedListeners={"namespaces": {"from": "Future"}}),
            "spec.allowedListeners",
            "spec.allowedListeners.namespaces.from",
            id="new namespaces of listeners",
        ),
        pytest.param(gateway(HTTP, defaultScope="Future"), "spec.defaultScope", "spec.defaultScope", id="a new scope"),
        pytest.param(
            document("GatewayClass", spec={"controllerName": "a.test/b", "description": "x" * 65}),
            "",
            "spec.description",
            id="a longer description of a class",
        ),
        pytest.param(
            document("GatewayClass", spec={"controllerName": "a.test/b", "parametersRef": {"kind": 5}}),
            "spec.parametersRef",
            "spec.parametersRef.kind",
            id="parameters of a class",
        ),
    ],
)
def test_what_is_not_understood_costs_the_smallest_part_and_names_the_field(
    found: dict[str, Any], part: str, path: str
) -> None:
    if found["kind"] == "HTTPRoute":
        found["spec"]["parentRefs"] = [PARENT]
    assert decode(found).refused, "as a document it is refused"
    stored = read(found)
    assert stored.resource is not None
    assert not [each for each in stored.problems if each.severity == "error"]
    assert (part, path) in [(each.part, each.path) for each in flaws_of(stored)]
    assert {each.part for each in flaws_of(stored)} == {part}


def test_a_route_that_is_not_understood_as_a_whole_has_its_parents_left() -> None:
    found = read(route(parentRefs=[PARENT], hostnames=["UPPER"], rules=[{"backendRefs": [WEB]}]))
    assert isinstance(found.resource, HTTPRoute)
    assert [each.name for each in found.resource.spec.parent_refs] == ["gw"]
    assert found.resource.spec.rules == ()
    assert [(each.part, each.path) for each in found.resource.flaws] == [("spec", "spec.hostnames[0]")]


def test_a_parent_that_is_not_understood_costs_all_rules_at_the_others() -> None:
    found = read(route(parentRefs=[{"name": "other", "port": "eighty"}, PARENT], rules=[{"backendRefs": [WEB]}]))
    assert isinstance(found.resource, HTTPRoute)
    assert [each.name for each in found.resource.spec.parent_refs] == ["gw"]
    assert len(found.resource.spec.rules) == 1
    assert [(each.part, each.path) for each in found.resource.flaws] == [("spec.rules", "spec.parentRefs[0].port")]


HEADERS = [{"name": "x", "type": "Future", "value": "1"}, {"name": "X", "value": "2"}, {"name": "y", "value": "3"}]


def test_a_match_keeps_what_is_understood_of_it_and_takes_no_less() -> None:
    found = read(route(rules=[{"matches": [{**WEB_PATH, "method": "QUERY", "headers": HEADERS}]}]))
    assert isinstance(found.resource, HTTPRoute)
    (kept,) = found.resource.spec.rules[0].matches
    assert (kept.path.value, kept.method, [each.name for each in kept.headers]) == ("/web", None, ["y"])


def test_paths_are_those_of_what_was_written() -> None:
    bad = {"name": "a*", "value": ""}
    parents = [{"name": "other", "port": "eighty"}, {**PARENT, "kind": "Service", "group": ""}, {"name": "gw", "x": 1}]
    found = read(route(parentRefs=parents, rules=[{"matches": [{"headers": [bad, bad, HEADERS[2]]}]}]))
    listeners: list[Any] = [
        5,
        {**HTTP, "name": "b", "hostname": "a*.test"},
        {**HTTP, "name": "b", "port": 81},
        {**HTTP, "x": 1},
    ]
    told = {each.path for each in (*flaws_of(found), *flaws_of(read(gateway(*listeners))))}
    assert {
        "spec.parentRefs[0].port",
        "spec.parentRefs[2].x",
        "spec.listeners[0]",
        "spec.listeners[1].hostname",
    } <= told
    assert {"spec.listeners[2].name", "spec.listeners[3].x"} <= told


def test_a_mistake_in_the_metadata_is_told_and_the_spec_is_used() -> None:
    found = read(route(hostnames=None, rules=[{"backendRefs": [WEB]}]), labels={"a b": "c"})
    assert (found.resource is not None, flaws_of(found)) == (True, ())
    assert [(each.path, each.severity) for each in found.problems] == [("metadata.labels", "error")]


WIDENING = [
    (route, {"rules": [{"matches": [{"cookies": [{"name": "a"}]}]}]}, "spec.rules[0]"),
    (route, {"rules": [{"matches": [{"path": {"value": "/a", "fold": True}}]}]}, "spec.rules[0].matches[0]"),
    (route, {"rules": [{"matches": [{"headers": [{**HEADERS[2], "invert": True}]}]}]}, "spec.rules[0]"),
    (route, {"rules": [{"filters": [{"type": "CORS", "cors": {"strict": True}}]}]}, "spec.rules[0]"),
    (route, {"rules": [{"backendRefs": [{**WEB, "filters": [{"type": "CORS", "cors": {"x": 1}}]}]}]}, "spec.rules[0]"),
    (route, {"parentRefs": [{"name": "gw", "sectionNames": ["internal"]}]}, "spec.rules"),
    (gateway, {"listeners": [{**HTTP, "sourceRanges": ["10.0.0.0/8"]}]}, "spec.listeners[http]"),
    (gateway, {"listeners": [{**HTTPS, "tls": {**TLS, "minVersion": "1.3"}}]}, "spec.listeners[https]"),
    (gateway, {"listeners": [{**HTTP, "allowedRoutes": {"names": ["a"]}}]}, "spec.listeners[http]"),
    (gateway, {"tls": {"frontend": {"default": {"spiffe": {}}}}}, "spec.tls.frontend"),
    (gateway, {"tls": {"minVersion": "1.3"}}, "spec.tls"),
    (gateway, {"tls": {"backend": {"pinned": True}}}, ""),
    (route, {"rules": [{"timeouts": {"idle": "1s"}, "weightless": 1}]}, ""),
]


@pytest.mark.parametrize(("make", "spec", "part"), WIDENING)
def test_an_unknown_field_costs_what_it_may_narrow(make: Any, spec: dict[str, Any], part: str) -> None:
    found = make()
    found["spec"] = {**found["spec"], **({"parentRefs": [PARENT]} if make is route else {}), **spec}
    assert not decode(found).refused, "of a document it is a warning"
    stored = read(found)
    assert flaws_of(stored)
    assert {each.part for each in flaws_of(stored)} == {part}
    assert stored.problems == ()


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(route(hostnames="a.test"), id="a route that names no parent"),
        pytest.param(document("HTTPRoute"), id="no spec"),
        pytest.param(document("HTTPRoute", spec=[]), id="a spec of another shape"),
        pytest.param(document("Gateway", spec={"listeners": [HTTP]}), id="a gateway of no class"),
        pytest.param(document("GatewayClass", spec={"controllerName": ""}), id="a class of nobody"),
        pytest.param(document("ReferenceGrant", spec={"from": [], "to": []}), id="consent"),
        pytest.param(core("Service", spec={"ports": 5}), id="a service"),
    ],
)
def test_of_what_says_nothing_there_is_no_resource_and_the_problems_say_why(found: dict[str, Any]) -> None:
    stored = read(found)
    assert stored.resource is None
    assert any(each.severity == "error" and each.key == stored.key for each in stored.problems)


def test_an_unknown_field_of_the_spec_is_told_and_one_elsewhere_is_nothing() -> None:
    known = gateway()
    newer = {**known, "spec": {**known["spec"], "invented": 1}, "other": 1}
    found = read(newer, invented=1)
    assert found.resource is not None
    assert replace(found.resource, flaws=()) == read(known).resource
    assert [(each.part, each.path) for each in flaws_of(found)] == [("", "spec.invented")]
    assert found.problems == ()


def test_lists_that_are_null_are_empty() -> None:
    found = read(document("EndpointSlice", "discovery.k8s.io/v1", addressType="IPv4", endpoints=None, ports=None))
    assert found.resource is not None
    assert found.problems == ()


def test_no_value_of_a_secret_is_told() -> None:
    found = read(core("Secret", type="Opaque", data={"x": "not base64: hush"}))
    assert found.resource is None
    assert found.problems
    assert "hush" not in str(found.problems)
    good = read(core("Secret", data={"x": "aHVzaA=="})).resource
    assert isinstance(good, Secret)
    assert "hush" not in repr(good)


@pytest.mark.parametrize("written", [b"{}", b'{"metadata":{}}', b"[]", b"", b'{"metadata":{"name":"a","labels":5}}'])
def test_what_has_no_readable_metadata_is_no_object(written: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        READERS["HTTPRoute"](written)


def test_what_only_the_standard_channel_stores_is_read() -> None:
    """Its definition of HTTPRoute lets two rules have one name, which matters to nobody."""
    found = route(rules=[{"name": "a"}, {"name": "a"}])
    assert decode(found).refused
    stored = read(found)
    assert stored.problems == ()
    assert stored.resource is not None
