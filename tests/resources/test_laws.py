"""Laws of decoding for any input: it never raises, and the answer is a resource or a problem, in our own words."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.resources.world import HTTP, HTTPS, WEB, backend, core, document, gateway, route, service, slice_of
from trilithon.resources.decode import decode, decode_all
from trilithon.resources.kinds import KINDS

NAMES = ["apiVersion", "kind", "metadata", "spec", "name", "items", "rules", "matches", "data", "type", "path", "value"]
KEYS = st.sampled_from(NAMES) | st.text(max_size=5) | st.integers() | st.booleans() | st.none() | st.floats()
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None), max_size=8)
    | st.binary(max_size=4)
    | st.dates()
    | st.sampled_from([kind.name for kind in KINDS] + [version for kind in KINDS for version in kind.api_versions])
)
ANYTHING = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4) | st.tuples(inner, inner),
    max_leaves=20,
)
EXAMPLES: list[dict[str, Any]] = [
    document("GatewayClass", spec={"controllerName": "trilithon.dev/gateway-controller"}),
    gateway(HTTP, HTTPS, addresses=[{"value": "192.0.2.1"}], infrastructure={"labels": {"a": "b"}}),
    route(
        parentRefs=[{"name": "gw", "sectionName": "http"}],
        hostnames=["*.a.test"],
        rules=[
            {
                "name": "a",
                "matches": [{"path": {"type": "Exact", "value": "/a"}, "headers": [{"name": "a", "value": "b"}]}],
                "filters": [
                    {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "a", "value": "b"}]}},
                    {"type": "RequestMirror", "requestMirror": {"backendRef": WEB, "fraction": {"numerator": 1}}},
                    {"type": "CORS", "cors": {"allowOrigins": ["*"], "allowMethods": ["GET"]}},
                ],
                "backendRefs": [{**WEB, "weight": 3}],
                "timeouts": {"request": "10s", "backendRequest": "1s"},
                "retry": {"codes": [500], "attempts": 2},
            }
        ],
    ),
    document(
        "ReferenceGrant",
        spec={
            "from": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "a"}],
            "to": [{"group": "", "kind": "Service"}],
        },
    ),
    service({"port": 80, "name": "a"}, {"port": 81, "name": "b"}),
    slice_of("IPv4", "10.0.0.1"),
    core("Secret", type="kubernetes.io/tls", data={"tls.crt": "YQ==", "tls.key": "YQ=="}),
    core("ConfigMap", data={"a": "b"}, binaryData={"c": "YQ=="}),
    core("Namespace"),
    backend({"ip": {"address": "::1", "port": 80}}, {"unix": {"path": "/a"}}),
]


def check(written: object) -> None:
    """The laws of one document."""
    before = repr(written)
    for decoded in decode_all(written):
        assert (decoded.resource is None) == (decoded.refused or bool(decoded.problems and unread(decoded.problems)))
        assert all(problem.message.isprintable() and problem.path.isprintable() for problem in decoded.problems)
        # msgspec's own words begin so.
        assert not any(problem.message.startswith(("Expected `", "Object ")) for problem in decoded.problems)
    assert repr(written) == before


def unread(problems: tuple[Any, ...]) -> bool:
    return problems[0].code in ("UnsupportedKind", "IgnoredKind")


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in a document."""
    found: list[tuple[Any, Any]] = []
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(entries):
        found += [(value, key), *places(inner)]
    return found


@given(written=ANYTHING)
def test_anything_is_answered(written: object) -> None:
    check(written)


@given(kind=st.sampled_from(KINDS), metadata=ANYTHING, part=ANYTHING)
def test_anything_under_a_known_kind_is_answered(kind: Any, metadata: object, part: object) -> None:
    fields = {"spec": part} if kind.has_spec else dict.fromkeys(kind.part.__struct_encode_fields__, part)
    check({"apiVersion": kind.api_versions[0], "kind": kind.name, "metadata": metadata, **fields})
    check({"apiVersion": kind.api_versions[0], "kind": kind.name, "metadata": {"name": "a"}, **fields})


@pytest.mark.parametrize("written", EXAMPLES, ids=[written["kind"] for written in EXAMPLES])
def test_examples_are_good(written: dict[str, Any]) -> None:
    assert decode(written).problems == ()


@settings(max_examples=400)
@given(data=st.data())
def test_a_changed_example_is_answered(data: st.DataObject) -> None:
    written = copy.deepcopy(data.draw(st.sampled_from(EXAMPLES)))
    for _ in range(data.draw(st.integers(1, 3))):
        container, key = data.draw(st.sampled_from(places(written)))
        if not (key < len(container) if isinstance(container, list) else key in container):
            continue
        if data.draw(st.booleans()):
            container[key] = data.draw(ANYTHING)
        elif isinstance(container, dict):
            del container[key]
        else:
            container.insert(key, container[key])
    check(written)


@given(data=st.data())
def test_a_null_field_is_an_absent_one(data: st.DataObject) -> None:
    written = copy.deepcopy(data.draw(st.sampled_from(EXAMPLES)))
    absent = copy.deepcopy(written)
    # In the tables of Kubernetes' own kinds null is an empty text.
    tables = [written.get(name) for name in ("data", "binaryData")]
    spots = [
        index
        for index, (container, _) in enumerate(places(written))
        if isinstance(container, dict) and not any(container is table for table in tables)
    ]
    index = data.draw(st.sampled_from(spots))
    container, key = places(written)[index]
    container[key] = None
    container, key = places(absent)[index]
    del container[key]
    assert decode(written) == decode(absent)


@given(data=st.data())
def test_an_unknown_field_changes_nothing_but_a_warning(data: st.DataObject) -> None:
    written = copy.deepcopy(data.draw(st.sampled_from(EXAMPLES)))
    spec = [container for container, _ in places(written) if isinstance(container, dict)]
    before = decode(written).resource
    holder = data.draw(st.sampled_from(spec))
    free = ("labels", "data", "binaryData")
    if any(
        container.get(name) is holder
        for container, _ in places(written)
        if isinstance(container, dict)
        for name in free
    ):
        return
    holder["zzz"] = data.draw(st.none() | st.integers() | st.text(max_size=3))
    decoded = decode(written)
    assert decoded.resource == before
    assert {problem.code for problem in decoded.problems} <= {"UnknownField"}
