"""What installs Trilithon: rights and no more, pods that can do little, names that agree with each other."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from trilithon.infrastructure.installation import Values, installation_manifests
from trilithon.resources.decode import decode
from trilithon.resources.kinds import KINDS
from trilithon.resources.meta import GATEWAY_GROUP, TRILITHON_GROUP, LabelSelector
from trilithon.sources.kubernetes.guard import HOLD_SECONDS

# Kinds that are read from a cluster, each of which needs to be listed and watched.
READ = {(kind.group, kind.name) for kind in KINDS}
PLURALS = {"GatewayClass": "gatewayclasses", "GatewayParameters": "gatewayparameters"}


def manifests(**chosen: Any) -> dict[tuple[str, str], dict[str, Any]]:
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for document in installation_manifests(Values(**chosen)):
        manifest: dict[str, Any] = document
        found[manifest["kind"], manifest["metadata"]["name"]] = manifest
    return found


def deployment(**chosen: Any) -> dict[str, Any]:
    (found,) = (manifest for (kind, _), manifest in manifests(**chosen).items() if kind == "Deployment")
    return found


def container(**chosen: Any) -> dict[str, Any]:
    (found,) = deployment(**chosen)["spec"]["template"]["spec"]["containers"]
    return dict(found)


def granted(**chosen: Any) -> set[tuple[str, str, str]]:
    """(group, resource, verb) of every right, wherever it holds."""
    return {
        (group, resource, verb)
        for (kind, _), manifest in manifests(**chosen).items()
        if kind in ("ClusterRole", "Role")
        for rule in manifest["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def test_every_kind_that_is_read_may_be_listed_and_watched() -> None:
    rights = granted()
    wanted = {
        (group, PLURALS.get(name, f"{name.lower()}s"), verb) for group, name in READ for verb in ("list", "watch")
    }
    assert wanted <= rights


def test_no_right_is_for_everything() -> None:
    rights = granted()
    assert not any("*" in part for right in rights for part in right)
    # Only what is generated is ever created or deleted.
    made = {resource for group, resource, verb in rights if verb in ("create", "delete", "update")}
    assert made == {
        *("secrets", "services", "serviceaccounts", "deployments", "poddisruptionbudgets", "horizontalpodautoscalers"),
        *("events", "leases"),
    }
    assert {verb for group, _, verb in rights if group == GATEWAY_GROUP} == {"get", "list", "watch", "patch"}
    assert {verb for group, _, verb in rights if group == TRILITHON_GROUP} == {"list", "watch"}


def test_with_chosen_namespaces_nothing_is_read_in_others() -> None:
    every = manifests(watch_namespaces=("a", "b"))
    cluster = every["ClusterRole", "trilithon-system-trilithon"]
    resources = {resource for rule in cluster["rules"] for resource in rule["resources"]}
    assert resources == {"gatewayclasses", "gatewayclasses/status", "customresourcedefinitions", "namespaces"}
    documents: list[dict[str, Any]] = list(installation_manifests(Values(watch_namespaces=("a", "b"))))
    roles = [document["metadata"] for document in documents if document["kind"] == "Role"]
    assert [(role["namespace"], role["name"]) for role in roles] == [
        ("a", "trilithon-system-trilithon"),
        ("b", "trilithon-system-trilithon"),
        ("default", "trilithon-system-trilithon"),
        ("trilithon-system", "trilithon"),
    ]
    assert container(watch_namespaces=("a", "b"))["args"][-4:] == ["--namespace", "a", "--namespace", "b"]


def test_events_of_classes_may_be_written_whatever_namespaces_are_chosen() -> None:
    """They are in the namespace "default", and nothing else is done there unless it is chosen."""

    def in_default(*chosen: str) -> list[set[str]]:
        documents: list[dict[str, Any]] = list(installation_manifests(Values(watch_namespaces=chosen)))
        roles = [each for each in documents if each["kind"] == "Role" and each["metadata"]["namespace"] == "default"]
        return [{resource for rule in role["rules"] for resource in rule["resources"]} for role in roles]

    assert in_default("a") == [{"events"}]
    assert in_default() == []
    (resources,) = in_default("a", "default")
    assert {"events", "httproutes"} < resources


@pytest.mark.parametrize(
    ("chosen", "granted"),
    [((), 0), (("a",), 1), (("a", "trilithon-system"), 0)],
    ids=["all namespaces", "others", "its own"],
)
def test_parameters_of_classes_may_be_watched_beside_the_controller(chosen: tuple[str, ...], granted: int) -> None:
    """Where no other rights say so."""
    documents: list[dict[str, Any]] = list(installation_manifests(Values(watch_namespaces=chosen)))
    (role,) = (each for each in documents if (each["kind"], each["metadata"]["name"]) == ("Role", "trilithon"))
    assert [rule["verbs"] for rule in role["rules"] if "gatewayparameters" in rule["resources"]] == [
        ["list", "watch"]
    ] * granted


def test_each_binding_names_a_role_that_is_there_and_the_service_account() -> None:
    every = manifests(namespace="n", name="x")
    bindings = [manifest for (kind, _), manifest in every.items() if kind.endswith("Binding")]
    assert len(bindings) == 2
    for binding in bindings:
        assert (binding["roleRef"]["kind"], binding["roleRef"]["name"]) in every
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "x", "namespace": "n"}]
    assert ("ServiceAccount", "x") in every


def test_the_controller_can_do_little_to_its_node() -> None:
    pod = deployment()["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container()["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_replicas_and_selectors_agree() -> None:
    every = manifests(name="x", replicas=3, labels={"team": "edge", "app.kubernetes.io/name": "other"})
    spec = every["Deployment", "x"]["spec"]
    labels = spec["template"]["metadata"]["labels"]
    assert spec["replicas"] == 3
    for selector in (
        spec["selector"]["matchLabels"],
        every["Service", "x"]["spec"]["selector"],
        every["PodDisruptionBudget", "x"]["spec"]["selector"]["matchLabels"],
    ):
        assert selector.items() <= labels.items()
    assert labels["app.kubernetes.io/name"] == "trilithon"
    assert all(
        manifest["metadata"]["labels"]["team"] == "edge"
        for manifest in every.values()
        if "labels" in manifest["metadata"]
    )


def test_the_port_of_proxies_is_the_same_everywhere() -> None:
    every = manifests(xds_port=19000)
    assert every["Service", "trilithon"]["spec"]["ports"][0]["port"] == 19000
    assert {"name": "xds", "containerPort": 19000, "protocol": "TCP"} in container(xds_port=19000)["ports"]
    assert "0.0.0.0:19000" in container(xds_port=19000)["args"]


def test_a_cluster_of_ipv6_is_listened_to_everywhere() -> None:
    arguments = container(address_family="IPv6")["args"]
    assert "[::]:18000" in arguments
    assert "[::]:8081" in arguments
    assert arguments[-2:] == ["--address-family", "IPv6"]
    assert "--address-family" not in container()["args"]


def test_names_of_backends_are_allowed_only_where_the_values_say_so() -> None:
    assert "--backend-hostnames" not in container()["args"]
    assert container(backend_hostnames=True)["args"][-1] == "--backend-hostnames"


def test_secrets_of_the_image_are_for_the_controller_and_the_pods_of_gateways() -> None:
    secrets = ("one", "two.three")
    assert deployment(image_pull_secrets=secrets)["spec"]["template"]["spec"]["imagePullSecrets"] == [
        {"name": "one"},
        {"name": "two.three"},
    ]
    arguments = container(image_pull_secrets=secrets)["args"]
    assert arguments[-4:] == ["--image-pull-secret", "one", "--image-pull-secret", "two.three"]
    assert "imagePullSecrets" not in deployment()["spec"]["template"]["spec"]


def test_namespaces_are_selected_as_everywhere_in_kubernetes() -> None:
    selector = msgspec.convert(
        {
            "matchLabels": {"edge": "yes", "a.b/c": ""},
            "matchExpressions": [
                {"key": "team", "operator": "In", "values": ["a", "b"]},
                {"key": "env", "operator": "NotIn", "values": ["test"]},
                {"key": "open", "operator": "Exists"},
                {"key": "shut", "operator": "DoesNotExist"},
            ],
        },
        LabelSelector,
    )
    arguments = container(namespace_selector=selector)["args"]
    assert arguments[-2:] == ["--namespace-selector", "a.b/c=,edge=yes,team in (a,b),env notin (test),open,!shut"]
    assert "--namespace-selector" not in container()["args"]


def test_how_long_the_vanished_is_held_is_said_where_it_is_chosen() -> None:
    assert container(hold_vanished_seconds=0)["args"][-2:] == ["--hold-vanished", "0"]
    assert "--hold-vanished" not in container()["args"]
    assert Values().hold_vanished_seconds == HOLD_SECONDS


@pytest.mark.parametrize(("chosen", "is_there"), [({}, True), ({"class_name": ""}, False)])
def test_a_class_is_made_unless_it_has_no_name(chosen: dict[str, str], is_there: bool) -> None:
    assert ("GatewayClass", "trilithon") in manifests() if is_there else True
    assert any(kind == "GatewayClass" for kind, _ in manifests(**chosen)) is is_there


def test_what_is_printed_of_kinds_that_are_read_is_right() -> None:
    for (kind, _), manifest in manifests().items():
        if kind in ("Namespace", "Service", "GatewayClass"):
            assert decode(manifest).problems == ()
