"""Each of the four people of Gateway API can do their part with the roles of ``deploy/roles``, and not the others'."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from testcluster import Cluster
from testcluster.api import Object
from tests.cli.invoking import json_of, refusal

ROLES = Path(__file__).parents[2] / "deploy/roles"
PROVIDER, OPERATOR = "infrastructure-provider", "cluster-operator"
ADMIN, DEVELOPER = "application-admin", "application-developer"
EVERYONE = (PROVIDER, OPERATOR, ADMIN, DEVELOPER)
GATEWAY_API = "gateway.networking.k8s.io/v1"


def manifest(kind: str, api_version: str = GATEWAY_API, **content: Any) -> Object:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": "roles-test"}, **content}


LISTENER = {"name": "http", "port": 80, "protocol": "HTTP"}
SELECTING = {
    **LISTENER,
    "allowedRoutes": {"namespaces": {"from": "Selector", "selector": {"matchLabels": {"of": "roles-test"}}}},
}
# What each person makes, changes and removes, by its plural.
PARTS: dict[str, tuple[Object, frozenset[str], frozenset[str]]] = {
    # plural: (manifest, who makes it in the application's namespace, who makes it in another one)
    "gatewayclasses": (
        manifest("GatewayClass", spec={"controllerName": "example.com/none"}),
        frozenset({PROVIDER}),
        frozenset({PROVIDER}),
    ),
    "gatewayparameters": (
        manifest("GatewayParameters", "trilithon.dev/v1alpha1", spec={"replicas": 2}),
        frozenset({PROVIDER}),
        frozenset({PROVIDER}),
    ),
    "gateways": (
        manifest("Gateway", spec={"gatewayClassName": "none", "listeners": [LISTENER]}),
        frozenset({OPERATOR, ADMIN}),
        frozenset({OPERATOR}),
    ),
    "referencegrants": (
        manifest(
            "ReferenceGrant",
            spec={
                "from": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "a"}],
                "to": [{"group": "", "kind": "Service"}],
            },
        ),
        frozenset({OPERATOR, ADMIN}),
        frozenset({OPERATOR}),
    ),
    "secrets": (manifest("Secret", "v1", stringData={"a": "b"}), frozenset({OPERATOR, ADMIN}), frozenset({OPERATOR})),
    "httproutes": (manifest("HTTPRoute", spec={}), frozenset({ADMIN, DEVELOPER}), frozenset()),
    "services": (manifest("Service", "v1", spec={"ports": [{"port": 80}]}), frozenset({DEVELOPER}), frozenset()),
    "backends": (
        manifest(
            "Backend",
            "trilithon.dev/v1alpha1",
            spec={"endpoints": [{"ip": {"address": "10.0.0.1", "port": 80}}]},
        ),
        # An address reaches pods of every namespace, without a grant of theirs.
        frozenset({OPERATOR}),
        frozenset({OPERATOR}),
    ),
}


@pytest.fixture(scope="module")
def application(cluster: Cluster, own_kinds: None) -> Iterator[str]:
    """The namespace of an application, with the four people bound to their roles."""
    namespace = f"test-roles-{secrets.token_hex(4)}"
    roles = sorted(file for file in ROLES.glob("*.yaml") if file.stem != "kustomization")
    cluster.apply(*roles)
    cluster.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": {"of": "roles-test"}}}
    )
    bindings = [
        *(_binding("ClusterRoleBinding", person) for person in (PROVIDER, OPERATOR)),
        *(_binding("RoleBinding", person) for person in (ADMIN, DEVELOPER)),
    ]
    cluster.apply(*bindings, namespace=namespace)
    # The API server hears of roles and bindings a moment after they are stored; a role's rights come all at once.
    signs = {PROVIDER: "gatewayclasses", OPERATOR: "gateways", ADMIN: "gateways", DEVELOPER: "services"}
    for person, plural in signs.items():
        path = path_of(plural, namespace)
        cluster.wait_for(f"rights of the {person}", partial(_may_list, cluster, person, path))
    yield namespace
    cluster.delete(*bindings, *roles, namespace=namespace)
    cluster.api.delete(f"/api/v1/namespaces/{namespace}")


def _binding(kind: str, person: str) -> Object:
    group = "rbac.authorization.k8s.io"
    return {
        "apiVersion": f"{group}/v1",
        "kind": kind,
        "metadata": {"name": f"test-roles-{person}"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": f"trilithon-{person}"},
        "subjects": [{"apiGroup": group, "kind": "User", "name": person}],
    }


def asked(cluster: Cluster, person: str, method: str, path: str, body: object = None) -> int:
    """The status of a request of a person."""
    return cluster.api.request(method, path, body, headers={"Impersonate-User": person})[0]


def _may_list(cluster: Cluster, person: str, path: str) -> bool:
    return asked(cluster, person, "GET", path) == 200


def path_of(plural: str, namespace: str) -> str:
    api_version = str(PARTS[plural][0]["apiVersion"])
    root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
    return f"{root}/{plural}" if plural == "gatewayclasses" else f"{root}/namespaces/{namespace}/{plural}"


@pytest.mark.parametrize("plural", PARTS)
def test_each_can_do_their_part_and_not_the_others(
    cluster: Cluster, application: str, namespace: str, plural: str
) -> None:
    written, inside, outside = PARTS[plural]
    for place, allowed in ((application, inside), (namespace, outside)):
        path = path_of(plural, place)
        for person in EVERYONE:
            expected = (201, 200) if person in allowed else (403, 403)
            made = asked(cluster, person, "POST", path, written)
            assert (person, place, made) == (person, place, expected[0])
            if person in allowed:
                assert asked(cluster, person, "DELETE", f"{path}/roles-test") == expected[1]


def test_only_operators_say_whose_namespace_it_is(cluster: Cluster, application: str) -> None:
    allowed = [person for person in EVERYONE if _may_label(cluster, person, application)]
    assert allowed == [OPERATOR]


def _may_label(cluster: Cluster, person: str, namespace: str) -> bool:
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": person,
            "resourceAttributes": {"verb": "patch", "resource": "namespaces", "name": namespace},
        },
    }
    answer = cluster.api.call("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
    return bool(answer["status"]["allowed"])


def test_nobody_writes_statuses(cluster: Cluster, application: str) -> None:
    """They are the controller's."""
    cluster.apply(PARTS["httproutes"][0], namespace=application)
    path = f"{path_of('httproutes', application)}/roles-test/status"
    assert {asked(cluster, person, "PUT", path, {}) for person in EVERYONE} == {403}


def test_a_role_that_is_not_bound_gives_nothing(cluster: Cluster, application: str) -> None:
    assert {asked(cluster, "nobody", "GET", path_of(plural, application)) for plural in PARTS} == {403}


def test_a_developer_has_the_application_checked(cluster: Cluster, application: str) -> None:
    """With that role alone, which holds in one namespace: classes and Secrets cannot be read, and that is said."""
    account = {"kind": "ServiceAccount", "name": "default", "namespace": application}
    binding = {**_binding("RoleBinding", DEVELOPER), "metadata": {"name": "developers-tools"}, "subjects": [account]}
    gateway = manifest("Gateway", spec={"gatewayClassName": "of-nobody-here", "listeners": [SELECTING]})
    backend = {"name": "nowhere", "port": 80}
    route = manifest("HTTPRoute", spec={"parentRefs": [{"name": "roles-test"}], "rules": [{"backendRefs": [backend]}]})
    cluster.apply(binding, gateway, route, namespace=application)
    config = cluster.service_account_kubeconfig(application, "default")
    here = ("--cluster", "--kubeconfig", config, "--namespace", application)
    found = json_of("check", *here, status=1)
    cluster.delete(binding, gateway, route, namespace=application)
    assert {each["code"]: each["object"] for each in found if each["severity"] == "error"} == {
        "BackendNotFound": f"HTTPRoute {application}/roles-test"
    }
    unread = {each["message"].partition(", so ")[2].split()[0] for each in found if each["code"] == "NotRead"}
    assert unread == {"every", "classes", "certificates", "those"}


def test_somebody_without_rights_is_told_what_is_lacking(cluster: Cluster, namespace: str) -> None:
    config = cluster.service_account_kubeconfig(namespace, "default")
    line = refusal("check", "--cluster", "--kubeconfig", config, "--namespace", namespace, status=3)
    assert "you may not list" in line
    assert "HTTPRoute" in line
