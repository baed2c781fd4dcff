"""What ``trilithon install`` prints installs: it is applied as it is, comes up, and may do what it does and no more."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from testcluster import Cluster, Failure
from testcluster.api import Object
from tests.cli.invoking import trilithon
from trilithon.infrastructure.installation import AUTHORITY_SECRET
from trilithon.infrastructure.rights import CLUSTER, SERVED, Right, own

NAME = "test-install"
REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
LEASE = f"/apis/coordination.k8s.io/v1/namespaces/{NAME}/leases/{NAME}"


@pytest.fixture(scope="module")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> list[Object]:
    """An installation beside others: of another name, for a class and a controller of its own."""
    values = {"name": NAME, "className": NAME, "controllerName": "trilithon.dev/test-install", "labels": {"team": "a"}}
    file: Path = tmp_path_factory.mktemp("values") / "values.yaml"
    file.write_bytes(msgspec.json.encode(values))
    result = trilithon("install", "--namespace", NAME, "--values", file)
    assert result.exit_code == 0, result.output
    return list(yaml.safe_load_all(result.stdout))


@pytest.fixture(scope="module")
def installed(cluster: Cluster, manifests: list[Object]) -> Iterator[list[Object]]:
    """What the API server has of it."""
    yield cluster.apply(*manifests, namespace=NAME)
    # The definitions are those of every installation.
    own_objects = [manifest for manifest in manifests if manifest["kind"] != "CustomResourceDefinition"]
    cluster.delete(*reversed(own_objects), namespace=NAME)
    cluster.wait_for("its namespace to go", lambda: cluster.find(f"/api/v1/namespaces/{NAME}") is None, 90)


def is_allowed(cluster: Cluster, verb: str, group: str, resource: str, namespace: str = "", name: str = "") -> bool:
    """Whether the service account of the installation may do it."""
    whole, _, subresource = resource.partition("/")
    attributes = {
        "verb": verb,
        "group": group,
        "resource": whole,
        "subresource": subresource,
        "namespace": namespace,
        "name": name,
    }
    spec = {"user": f"system:serviceaccount:{NAME}:{NAME}", "resourceAttributes": attributes}
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
    return bool(cluster.api.call("POST", REVIEWS, review)["status"]["allowed"])


def questions(rights: tuple[Right, ...]) -> Iterator[tuple[str, str, str, str]]:
    for right in rights:
        for resource in right.resources:
            for verb in right.verbs:
                yield from ((verb, right.group, resource, name) for name in right.names or ("",))


@pytest.mark.usefixtures("installed")
def test_the_service_account_may_do_what_the_controller_does(cluster: Cluster) -> None:
    # The API server hears of roles and bindings a moment after they are stored.
    with suppress(Failure):
        cluster.wait_for("its rights", lambda: not refused(cluster))
    assert refused(cluster) == []


def refused(cluster: Cluster) -> list[tuple[str, str, str, str]]:
    """What the service account needs and may not do."""
    return [
        *(each for each in questions(CLUSTER) if not is_allowed(cluster, *each[:3], name=each[3])),
        *(each for each in questions(SERVED) if not is_allowed(cluster, *each[:3], "default", each[3])),
        *(each for each in questions(own(NAME, AUTHORITY_SECRET)) if not is_allowed(cluster, *each[:3], NAME, each[3])),
    ]


@pytest.mark.parametrize(
    ("verb", "group", "resource", "namespace", "name"),
    [
        ("update", "", "secrets", "default", "a"),
        ("update", "", "secrets", NAME, "another"),
        ("patch", "gateway.networking.k8s.io", "gateways", "default", "a"),
        ("patch", "gateway.networking.k8s.io", "httproutes", "default", "a"),
        ("delete", "gateway.networking.k8s.io", "gatewayclasses", "", "a"),
        ("patch", "trilithon.dev", "gatewayparameters", "default", "a"),
        ("create", "rbac.authorization.k8s.io", "clusterrolebindings", "", ""),
        ("create", "", "pods", "default", ""),
        ("get", "", "nodes", "", "node"),
        ("get", "coordination.k8s.io", "leases", "default", NAME),
        ("patch", "apiextensions.k8s.io", "customresourcedefinitions", "", "gateways.gateway.networking.k8s.io"),
        ("impersonate", "", "users", "", "admin"),
    ],
)
@pytest.mark.usefixtures("installed")
def test_the_service_account_may_do_nothing_else(
    cluster: Cluster, verb: str, group: str, resource: str, namespace: str, name: str
) -> None:
    assert not is_allowed(cluster, verb, group, resource, namespace, name)


def test_it_is_applied_as_it_is_printed(manifests: list[Object], installed: list[Object]) -> None:
    assert len(installed) == len(manifests)
    for manifest, stored in zip(manifests, installed, strict=True):
        assert missing(manifest, stored) == []


def missing(wanted: Any, stored: Any, path: str = "") -> list[str]:
    """The fields that the API server did not keep as they were sent."""
    if isinstance(wanted, dict):
        fields = [(name, wanted[name], stored.get(name) if isinstance(stored, dict) else None) for name in wanted]
        return [each for name, one, other in fields for each in missing(one, other, f"{path}.{name}")]
    if isinstance(wanted, list) and isinstance(stored, list) and len(wanted) == len(stored):
        pairs = enumerate(zip(wanted, stored, strict=True))
        return [each for index, (one, other) in pairs for each in missing(one, other, f"{path}[{index}]")]
    return [] if wanted == stored else [f"{path}: {wanted!r} was stored as {stored!r}"]


@pytest.mark.usefixtures("installed")
def test_its_replicas_come_up_and_one_of_them_leads(cluster: Cluster) -> None:
    path = f"/apis/apps/v1/namespaces/{NAME}/deployments/{NAME}"
    cluster.wait_for("both replicas", lambda: cluster.get(path).get("status", {}).get("availableReplicas") == 2, 90)
    pods = cluster.get(f"/api/v1/namespaces/{NAME}/pods")["items"]
    names = {pod["metadata"]["name"] for pod in pods}

    def holder() -> str | None:
        lease = cluster.find(LEASE)
        return lease["spec"].get("holderIdentity") if lease else None

    assert cluster.wait_for("a leader", holder) in names
    gateway_class = f"/apis/gateway.networking.k8s.io/v1/gatewayclasses/{NAME}"

    def accepted() -> bool:
        conditions = cluster.get(gateway_class).get("status", {}).get("conditions", [])
        return any(each["type"] == "Accepted" and each["status"] == "True" for each in conditions)

    cluster.wait_for("its class to be accepted", accepted)
