"""Objects read straight from their bytes: the same resources as from documents, and every mistake costs one object."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.resources.upstream import MODULE, manifests, module_folder
from tests.resources.world import core, document, gateway, route
from trilithon.resources.core import Secret
from trilithon.resources.decode import decode
from trilithon.resources.kinds import KINDS
from trilithon.resources.meta import Key
from trilithon.resources.stored import ObjectReader, StoredObject

READERS = {kind.name: ObjectReader(kind) for kind in KINDS}
BY_VERSION = {(version, kind.name): kind for kind in KINDS for version in kind.api_versions}
MANAGED = [{"manager": "tests", "operation": "Apply", "fieldsV1": {"f:spec": {".": {}}}}]


def read(found: dict[str, Any], **metadata: Any) -> StoredObject:
    whole = {**found, "metadata": {"namespace": "shop", "managedFields": MANAGED, **found["metadata"], **metadata}}
    return READERS[found["kind"]](msgspec.json.encode(whole))


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
            assert stored.resource == expected.resource, file
            if expected.resource is None:
                assert {each.path for each in stored.problems} == {each.path for each in expected.problems}, file
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


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        pytest.param(
            {"rules": [{"filters": [{"type": "Invented"}]}]}, "spec.rules[0].filters[0].type", id="an unknown value"
        ),
        pytest.param({"hostnames": "a.test"}, "spec.hostnames", id="a wrong shape"),
        pytest.param(
            {"rules": [{"filters": [{"type": "URLRewrite"}]}]}, "spec.rules[0].filters[0]", id="a broken rule"
        ),
    ],
)
def test_a_mistake_refuses_the_object_and_names_the_field(spec: dict[str, Any], path: str) -> None:
    found = read(document("HTTPRoute", spec=spec))
    assert found.resource is None
    assert any(each.path.startswith(path) and each.key == found.key for each in found.problems)


def test_an_unknown_field_of_the_spec_is_a_warning_and_one_elsewhere_is_nothing() -> None:
    known = gateway()
    newer = {**known, "spec": {**known["spec"], "invented": 1}, "other": 1}
    found = read(newer, invented=1)
    assert found.resource == read(known).resource
    assert [(each.path, each.severity) for each in found.problems] == [("spec.invented", "warning")]


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
