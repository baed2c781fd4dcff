"""What decoding answers: kinds and versions, metadata, Lists, unknown fields, wrong types, limits."""

from __future__ import annotations

from typing import Any

import pytest

from tests.resources.world import (
    HTTP,
    WEB,
    core,
    document,
    errors,
    gateway,
    message,
    path,
    route,
    rule,
    service,
    slice_of,
    warnings,
)
from trilithon.resources.core import Secret
from trilithon.resources.decode import MAX_PROBLEMS, decode, decode_all
from trilithon.resources.documents import MAX_CHARACTERS, MAX_VALUES
from trilithon.resources.gateways import Gateway, GatewayClass
from trilithon.resources.meta import Key
from trilithon.resources.routes import HTTPRoute, HTTPRouteMatch, HTTPRouteRule

OF_ROUTE = "the apiVersion of HTTPRoute is gateway.networking.k8s.io/v1"
OF_GATEWAY = "the apiVersion of Gateway is gateway.networking.k8s.io/v1"
CLASS_SPEC = {"controllerName": "trilithon.dev/gateway-controller"}


def named(metadata: Any, kind: str = "HTTPRoute", **fields: Any) -> dict[str, Any]:
    return {**document(kind, **fields), "metadata": metadata}


def labelled(**labels: Any) -> dict[str, Any]:
    return named({"name": "a", "labels": labels}, spec={})


def owned(*owners: dict[str, Any]) -> dict[str, Any]:
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": "u"}
    return named({"name": "a", "ownerReferences": [{**owner, **fields} for fields in owners]}, spec={})


# --- Kinds and versions -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_both_versions_give_one_resource(version: str) -> None:
    decoded = decode(document("HTTPRoute", f"gateway.networking.k8s.io/{version}", spec={}))
    assert decoded.resource == decode(route()).resource
    assert decoded.key == Key("HTTPRoute", "default", "a")


@pytest.mark.parametrize(
    ("api_version", "kind", "code", "path", "hint"),
    [
        ("gateway.networking.k8s.io/v1alpha2", "HTTPRoute", "UnservedVersion", "apiVersion",
         "use gateway.networking.k8s.io/v1 or gateway.networking.k8s.io/v1beta1"),
        ("trilithon.dev/v1", "Backend", "UnservedVersion", "apiVersion", "use trilithon.dev/v1alpha1"),
        ("gateway.networking.k8s.io/v1", "HTTProute", "UnknownKind", "kind", "did you mean HTTPRoute?"),
        ("gateway.networking.k8s.io/v1", "GRPCRoutes", "UnknownKind", "kind", "did you mean GRPCRoute?"),
        ("gateway.networking.k8s.io/v1", "Deployment", "UnknownKind", "kind", ""),
        ("trilithon.dev/v1alpha1", "Backends", "UnknownKind", "kind", "did you mean Backend?"),
        ("v1", "Servce", "UnknownKind", "kind", "did you mean Service?"),
        ("v1", "HTTPRoute", "UnknownKind", "kind", OF_ROUTE),
        ("networking.k8s.io/v1", "Gateway", "UnknownKind", "kind", OF_GATEWAY),
        ("gateway.networking.k8.io/v1", "Gateway", "UnknownKind", "apiVersion",
         "did you mean gateway.networking.k8s.io?"),
        ("a/b/c", "HTTPRoute", "InvalidValue", "apiVersion", ""),
        ("v1", "No\x1b[31m", "InvalidValue", "kind", ""),
        (None, "HTTPRoute", "MissingField", "apiVersion", OF_ROUTE),
        ("v1", None, "MissingField", "kind", ""),
        (1, "HTTPRoute", "WrongType", "apiVersion", ""),
    ],
)  # fmt: skip
def test_a_wrong_kind_or_version_is_an_error_that_helps(
    api_version: Any, kind: Any, code: str, path: str, hint: str
) -> None:
    (problem,) = decode({"apiVersion": api_version, "kind": kind, "metadata": {"name": "a"}}).problems
    assert (problem.severity, problem.code, problem.path, problem.hint) == ("error", code, path, hint)


@pytest.mark.parametrize(
    ("api_version", "kind", "code"),
    [
        ("gateway.networking.k8s.io/v1", "GRPCRoute", "UnsupportedKind"),
        ("gateway.networking.k8s.io/v1alpha3", "TLSRoute", "UnsupportedKind"),
        ("gateway.networking.x-k8s.io/v1alpha1", "XBackend", "UnsupportedKind"),
        ("networking.x-k8s.io/v1alpha1", "BackendPolicy", "UnsupportedKind"),
        ("apps/v1", "Deployment", "IgnoredKind"),
        ("batch/v1", "Job", "IgnoredKind"),
        ("v1", "Pod", "IgnoredKind"),
        ("networking.istio.io/v1", "Gateway", "IgnoredKind"),
        ("networking.k8s.io/v1", "Ingress", "IgnoredKind"),
    ],
)
def test_other_kinds_are_left_alone_and_named(api_version: str, kind: str, code: str) -> None:
    decoded = decode(document(kind, api_version))
    (problem,) = decoded.problems
    assert (problem.severity, problem.code, decoded.key) == ("warning", code, Key(kind, "default", "a"))
    assert kind in problem.message
    assert not decoded.refused


@pytest.mark.parametrize("nothing", [None, [], "text", 1, True])
def test_a_document_is_a_mapping(nothing: object) -> None:
    assert errors(nothing) == [("WrongType", "")]


# --- Defaults ---------------------------------------------------------------------------------------------------------
def test_defaults_are_those_of_the_crd() -> None:
    found = decode(rule(backendRefs=[{"name": "a", "port": 80, "weight": None}], matches=[{"path": None}])).resource
    assert isinstance(found, HTTPRoute)
    (only,) = found.spec.rules
    assert (only.backend_refs[0].weight, only.backend_refs[0].kind, only.matches) == (1, "Service", (HTTPRouteMatch(),))
    without = decode(route()).resource
    assert isinstance(without, HTTPRoute)
    assert without.spec.rules == (HTTPRouteRule(),)
    listening = decode(gateway(HTTP)).resource
    assert isinstance(listening, Gateway)
    assert listening.spec.listeners[0].allowed_routes.namespaces.from_ == "Same"


def test_an_unknown_field_is_named_also_if_it_is_null() -> None:
    assert warnings(rule(backendRef=None)) == [
        ("UnknownField", "spec.rules[0].backendRef", "did you mean backendRefs?")
    ]


def test_null_is_an_empty_entry_in_kinds_of_kubernetes_itself() -> None:
    assert errors(slice_of("IPv4", "10.0.0.1", ports=[None])) == []
    secret = decode(core("Secret", data={"a": None})).resource
    assert isinstance(secret, Secret)
    assert secret.get("a") == b""


def test_null_is_no_value_but_no_entry_of_a_list() -> None:
    assert errors(rule(backendRefs=None, filters=None, name=None)) == []
    assert errors(rule(backendRefs=[None])) == [("WrongType", "spec.rules[0].backendRefs[0]")]
    assert errors(document("GatewayClass", spec={"controllerName": None})) == [("MissingField", "spec.controllerName")]
    assert errors(document("HTTPRoute", spec=None)) == [("MissingField", "spec")]


def test_status_and_managed_fields_are_not_looked_at() -> None:
    deep: list[Any] = []
    deep.append(deep)
    written = {**route(), "status": {"parents": "nonsense", "deep": deep}}
    written["metadata"] = {"name": "a", "managedFields": deep, "uid": "7", "ownerReferences": None}
    assert decode(written).problems == ()


# --- Metadata ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (named({}, spec={}), ("MissingField", "metadata.name")),
        (named(None, spec={}), ("MissingField", "metadata.name")),
        (named({"name": ""}, spec={}), ("MissingField", "metadata.name")),
        (named({"generateName": "a-"}, spec={}), ("MissingField", "metadata.name")),
        (named("a", spec={}), ("WrongType", "metadata")),
        (named({"name": 1}, spec={}), ("WrongType", "metadata.name")),
        (named({"name": "Upper"}, spec={}), ("InvalidValue", "metadata.name")),
        (named({"name": "a" * 254}, spec={}), ("InvalidValue", "metadata.name")),
        (named({"name": "a\n"}, spec={}), ("InvalidValue", "metadata.name")),
        (named({"name": "a", "namespace": "a.b"}, spec={}), ("InvalidValue", "metadata.namespace")),
        (named({"name": "a", "generation": "1"}, spec={}), ("WrongType", "metadata.generation")),
        (named({"name": "a", "creationTimestamp": "now"}, spec={}), ("InvalidValue", "metadata.creationTimestamp")),
        (named({"name": "a", "creationTimestamp": "2024-13-01T00:00:00Z"}, spec={}),
         ("InvalidValue", "metadata.creationTimestamp")),
        (named({"name": "a", "annotations": {"a": True}}, spec={}), ("WrongType", "metadata.annotations[a]")),
        (named({"name": "a", "annotations": {"a": "b" * 2**18}}, spec={}), ("TooBig", "metadata.annotations")),
        (labelled(a="b c"), ("InvalidValue", "metadata.labels[a]")),
        (named({"name": "a", "labels": {"a b": "c"}}, spec={}), ("InvalidValue", "metadata.labels")),
        (named({"name": "a", "creationTimestamp": ""}, spec={}), ("InvalidValue", "metadata.creationTimestamp")),
        (named({"name": "a", "deletionTimestamp": "never"}, spec={}), ("InvalidValue", "metadata.deletionTimestamp")),
        (named({"name": "a", "generateName": "a_b-"}, spec={}), ("InvalidValue", "metadata.generateName")),
        (named({"name": "a", "uid": 7}, spec={}), ("WrongType", "metadata.uid")),
        (named({"name": "a", "labels": {"a b": None}}, spec={}), ("InvalidValue", "metadata.labels")),
        (named({"name": "a", "finalizers": ["a b"]}, spec={}), ("InvalidValue", "metadata.finalizers[0]")),
        (named({"name": "a", "finalizers": ["orphan", "foregroundDeletion"]}, spec={}),
         ("ConflictingFields", "metadata.finalizers")),
        ({**core("Namespace"), "metadata": {"name": "a", "finalizers": ["a"]}},
         ("InvalidValue", "metadata.finalizers[0]")),
        (owned({"apiVersion": "a/b/c"}), ("InvalidValue", "metadata.ownerReferences[0].apiVersion")),
        (owned({"kind": "Event"}), ("InvalidValue", "metadata.ownerReferences[0].kind")),
        (owned({"uid": ""}), ("MissingField", "metadata.ownerReferences[0].uid")),
        (owned({"name": ""}), ("MissingField", "metadata.ownerReferences[0].name")),
        (owned({"controller": True}, {"controller": True}), ("ConflictingFields", "metadata.ownerReferences")),
        ({**service({"port": 80}), "metadata": {"name": "a.b"}}, ("InvalidValue", "metadata.name")),
        ({**core("Namespace"), "metadata": {"name": "a.b"}}, ("InvalidValue", "metadata.name")),
    ],
)  # fmt: skip
def test_metadata_is_checked_as_the_api_server_does(written: dict[str, Any], expected: tuple[str, str]) -> None:
    assert errors(written) == [expected]


def test_good_metadata_is_taken_as_the_api_server_does() -> None:
    labels = {"a": None}
    assert errors(owned({}, {"controller": True})) == []
    assert errors(named({"name": "a", "labels": labels, "finalizers": ["a"], "deletionTimestamp": None}, spec={})) == []
    assert errors({**core("Namespace"), "metadata": {"name": "a", "finalizers": ["kubernetes", "a.test/a"]}}) == []
    assert errors({**service({"port": 80}), "metadata": {"name": "1a"}}) == []


def test_an_object_without_a_namespace_gets_that_of_its_origin() -> None:
    assert decode(route(), origin_namespace="shop").key == Key("HTTPRoute", "shop", "a")
    own = named({"name": "a", "namespace": "own"}, spec={})
    assert decode(own, origin_namespace="shop").key == Key("HTTPRoute", "own", "a")


def test_a_cluster_scoped_object_has_no_namespace() -> None:
    decoded = decode(named({"name": "a", "namespace": "b"}, "GatewayClass", spec=CLASS_SPEC))
    assert decoded.key == Key("GatewayClass", "", "a")
    assert isinstance(decoded.resource, GatewayClass)
    assert [problem.code for problem in decoded.problems] == ["IgnoredField"]


@pytest.mark.parametrize(
    ("written", "created"),
    [
        ("2024-01-02T03:04:05Z", "2024-01-02T03:04:05Z"),
        ("2024-01-02T05:04:05+02:00", "2024-01-02T03:04:05Z"),
        (None, ""),
    ],
)
def test_times_are_kept_so_that_they_compare_as_text(written: str | None, created: str) -> None:
    found = decode(named({"name": "a", "generation": 7, "creationTimestamp": written}, spec={})).resource
    assert found is not None
    assert (found.generation, found.created) == (7, created)


def test_a_refused_object_keeps_its_key() -> None:
    decoded = decode(rule(backendRefs="web"))
    assert (decoded.resource, decoded.key) == (None, Key("HTTPRoute", "default", "a"))
    assert {problem.key for problem in decoded.problems} == {decoded.key}


# --- Lists ------------------------------------------------------------------------------------------------------------
def test_a_list_is_its_objects() -> None:
    nested = {"apiVersion": "v1", "kind": "List", "items": [document("Job", "batch/v1")]}
    every = decode_all({"apiVersion": "v1", "kind": "List", "items": [route(), nested, 7]})
    assert [one.within for one in every] == ["items[0]", "items[1].items[0]", "items[2]"]
    assert [problem.code for one in every for problem in one.problems] == ["IgnoredKind", "WrongType"]


def test_objects_of_a_typed_list_need_no_kind() -> None:
    items = [{"metadata": {"name": name}, "spec": {}} for name in ("a", "b")]
    every = decode_all({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRouteList", "items": items})
    assert [one.key for one in every] == [Key("HTTPRoute", "default", name) for name in ("a", "b")]


def test_one_object_is_asked_for() -> None:
    assert errors({"apiVersion": "v1", "kind": "List", "items": [route(), route()]}) == [("InvalidValue", "")]
    assert errors({"apiVersion": "v1", "kind": "List", "items": []}) == [("InvalidValue", "")]


def test_lists_that_share_entries_end() -> None:
    items: list[Any] = [route()]
    for _ in range(12):
        items = [{"apiVersion": "v1", "kind": "List", "items": items}] * 10
    every = decode_all({"apiVersion": "v1", "kind": "List", "items": items})
    assert every[-1].problems[0].code == "TooBig"


# --- Unknown fields ---------------------------------------------------------------------------------------------------
def test_an_unknown_field_is_a_warning_with_the_nearest_name() -> None:
    written = {**route(rules=[{"backendRefs": [{**WEB, "wieght": 1}], "match": []}], parentref=[]), "specs": {}}
    written["metadata"]["label"] = {}
    assert warnings(written) == [
        ("UnknownField", "metadata.label", "did you mean labels?"),
        ("UnknownField", "specs", "did you mean spec?"),
        ("UnknownField", "spec.parentref", "did you mean parentRefs?"),
        ("UnknownField", "spec.rules[0].match", "did you mean matches?"),
        ("UnknownField", "spec.rules[0].backendRefs[0].wieght", "did you mean weight?"),
    ]
    assert decode(written).resource == decode(rule(backendRefs=[WEB])).resource


def test_core_kinds_have_more_fields_than_are_kept() -> None:
    written = service({"port": 80, "targetPort": "http", "nodePort": 30000}, selector={"app": "a"}, sesionAffinity="x")
    assert warnings(written) == [("UnknownField", "spec.sesionAffinity", "did you mean sessionAffinity?")]
    assert warnings(core("ConfigMap", dta={})) == [("UnknownField", "dta", "did you mean data?")]


# --- Shape ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (rule(backendRefs=[{"name": "a", "port": "80"}]), 'expected a number, got the text "80" (remove the quotes)'),
        (rule(backendRefs=[{**WEB, "weight": 1.5}]), "expected a whole number, got the number 1.5"),
        (rule(backendRefs=[{**WEB, "weight": True}]), "expected a number, got the value true"),
        (rule(backendRefs=[{**WEB, "weight": -1}]), "the number -1 is not between 0 and 1000000"),
        (rule(backendRefs=WEB), "expected a list, got a mapping (begin each entry with a dash)"),
        (rule(name=1), "expected a text, got the number 1 (put it in quotes)"),
        (rule(timeouts={"request": 5}), "expected a text, got the number 5 (write 5s)"),
        (rule(backendRefs=[{**WEB, "weight": float("inf")}]),
         "expected a whole number, got the number beyond 300 digits"),
        (rule(name=""), "must not be empty"),
        (rule(name="a" * 254), "is 254 characters long, and 253 are allowed"),
        (route(rules=[]), "needs at least 1 entry"),
        (route(rules=[{}] * 17), "has 17 entries, and 16 are allowed"),
        (path("Prefix", "/"),
         '"Prefix" is not one of Exact, PathPrefix or RegularExpression (did you mean PathPrefix?)'),
        (rule(timeouts={"request": "10 s"}),
         '"10 s" is not a duration: one to four whole numbers with a unit, such as 15s, 200ms or 1h30m'),
        (route(hostnames=["a.test\x1b[31m"]),
         '"a.test\\x1b[31m" is not a hostname in lower case without a port, such as shop.example.com or *.example.com'),
        (rule(retry={"attempts": 2**63}), f"the number {2**63} is not between 1 and {2**63 - 1}"),
        (rule(retry={"attempts": 10**5000}), "the number beyond 300 digits is not between 1 and 9223372036854775807"),
    ],
)  # fmt: skip
def test_messages_say_what_was_written_and_what_is_expected(written: dict[str, Any], expected: str) -> None:
    assert message(written) == expected


def test_numbers_are_those_of_json() -> None:
    # YAML's 80.0 reaches an API server as 80.
    assert decode(rule(backendRefs=[{**WEB, "port": 80.0}])).resource == decode(rule(backendRefs=[WEB])).resource
    assert errors(rule(backendRefs=[{**WEB, "port": float("nan")}])) == [
        ("WrongType", "spec.rules[0].backendRefs[0].port")
    ]


def test_keys_are_text_as_for_kubectl() -> None:
    found = decode(gateway(HTTP, infrastructure={"labels": {7: "a", True: "b"}})).resource
    assert isinstance(found, Gateway)
    assert found.spec.infrastructure is not None
    assert found.spec.infrastructure.labels == {"7": "a", "true": "b"}
    assert errors(gateway(HTTP, infrastructure={"labels": {(1, 2): "a"}})) == [
        ("WrongType", "spec.infrastructure.labels")
    ]


def test_every_mistake_is_reported() -> None:
    written = route(
        hostnames=["UPPER"],
        rules=[
            {"matches": [{"path": {"value": "relative"}}, {"method": "get"}], "backendRefs": [{"name": "a"}]},
            {"filters": [{"type": "CORS"}, {"type": "Unknown"}], "timeouts": {"request": "1s", "backendRequest": "2s"}},
            {"backendRefs": [{"port": 80}]},
        ],
    )
    assert sorted(errors(written)) == [
        ("ConflictingFields", "spec.rules[1].timeouts.backendRequest"),
        ("InvalidValue", "spec.hostnames[0]"),
        ("InvalidValue", "spec.rules[0].matches[0].path.value"),
        ("InvalidValue", "spec.rules[0].matches[1].method"),
        ("InvalidValue", "spec.rules[1].filters[1].type"),
        ("MissingField", "spec.rules[0].backendRefs[0].port"),
        ("MissingField", "spec.rules[1].filters[0].cors"),
        ("MissingField", "spec.rules[2].backendRefs[0].name"),
    ]


# --- Limits -----------------------------------------------------------------------------------------------------------
def test_a_document_within_itself_ends() -> None:
    circle: dict[str, Any] = {}
    circle["again"] = circle
    assert errors(route(rules=[circle]))[0][0] == "TooBig"
    endless: list[Any] = []
    endless.append(endless)
    assert errors(route(rules=endless)) == [("TooBig", "")]


def test_aliases_do_not_unfold_without_end() -> None:
    many: Any = "x"
    for _ in range(20):
        many = [many] * 10
    assert errors(rule(nonsense=many)) == [("TooBig", "")]


def test_size_is_limited() -> None:
    assert errors(rule(nonsense="x" * (MAX_CHARACTERS + 1))) == [("TooBig", "")]
    assert errors(rule(nonsense=[0] * (MAX_VALUES + 1))) == [("TooBig", "")]


def test_problems_are_limited_and_errors_come_first() -> None:
    written = rule(**{f"unknown{number}": 1 for number in range(1000)}, backendRefs=7)
    problems = decode(written).problems
    assert len(problems) == MAX_PROBLEMS + 1
    assert (problems[0].code, problems[-1].code) == ("WrongType", "MoreProblems")
    assert problems[-1].message == "and 951 more problems in this object"


def test_what_is_no_manifest_at_all_is_told_in_one_line() -> None:
    assert message({"replicaCount": 1}) == (
        "not a Kubernetes object: it has neither apiVersion nor kind (move it out of the folder)"
    )


def test_a_route_with_too_many_matches_is_told_how_many_routes_it_needs() -> None:
    matches = [{"path": {"value": f"/{number}"}} for number in range(64)]
    (problem,) = decode(route(rules=[{"matches": matches}] * 16)).problems
    assert problem.hint == "split it into 8 routes"
