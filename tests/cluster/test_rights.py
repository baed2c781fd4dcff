"""The installed controller has every right that it needs, and none that it never uses: asked of the audit log."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest
import trustme

from testcluster import Cluster
from testcluster.api import MERGE_PATCH, Object
from testcluster.audit import AuditEvent
from trilithon.infrastructure.installation import AUTHORITY_SECRET, Values, installation_manifests
from trilithon.infrastructure.rights import CLUSTER, SERVED, Right, own

NAME = "testrights"
ACCOUNT = f"system:serviceaccount:{NAME}:{NAME}"
GATEWAYS = "/apis/gateway.networking.k8s.io/v1"
# Needed, and not seen in a minute, by what for.
RARE: dict[tuple[str, str, str], str] = {
    ("", "secrets", "update"): "the authority is renewed long before it ends, after months",
    ("gateway.networking.k8s.io", "httproutes", "get"): "the status is read again where another writer was in between",
}

# A class of another controller.
OTHER: Object = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "GatewayClass",
    "metadata": {"name": "test-rights-other"},
    "spec": {"controllerName": "example.com/other"},
}


@pytest.fixture(scope="module")
def controller(cluster: Cluster) -> Iterator[int]:
    """An installation of its own; the place in the audit log at which it begins."""
    mark = cluster.audit.mark()
    values = Values(namespace=NAME, name=NAME, class_name=NAME, controller_name="trilithon.dev/test-rights", replicas=1)
    manifests: list[Object] = [dict(manifest) for manifest in installation_manifests(values)]
    cluster.apply(*manifests)
    path = f"/apis/apps/v1/namespaces/{NAME}/deployments/{NAME}"
    cluster.wait_for("the controller", lambda: cluster.get(path).get("status", {}).get("availableReplicas") == 1, 90)
    yield mark
    own_objects = [manifest for manifest in manifests if manifest["kind"] != "CustomResourceDefinition"]
    cluster.delete(*reversed(own_objects))
    cluster.wait_for("its namespace to go", lambda: cluster.find(f"/api/v1/namespaces/{NAME}") is None, 90)


def gateway(name: str = "gw", **spec: Any) -> Object:
    """A Gateway with all that makes the controller read and make something."""
    listener = {
        "name": "https",
        "port": 8443,
        "protocol": "HTTPS",
        "tls": {"certificateRefs": [{"name": "certificate"}]},
    }
    authority = {"group": "", "kind": "ConfigMap", "name": "authority"}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": name},
        "spec": {
            "gatewayClassName": NAME,
            "listeners": [{"name": "http", "port": 8080, "protocol": "HTTP"}, listener],
            "infrastructure": {
                "parametersRef": {"group": "trilithon.dev", "kind": "GatewayParameters", "name": "scaled"}
            },
            "tls": {"frontend": {"default": {"validation": {"caCertificateRefs": [authority]}}}},
            **spec,
        },
    }


def parameters(**spec: Any) -> Object:
    """How the Gateway runs."""
    return {
        "apiVersion": "trilithon.dev/v1alpha1",
        "kind": "GatewayParameters",
        "metadata": {"name": "scaled"},
        "spec": {"service": {"type": "ClusterIP"}, **spec},
    }


def route(backend: str = "none") -> Object:
    """A route; where its backend is missing there is something to complain of."""
    rule = {"backendRefs": [{"name": backend, "port": 80}]}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "r"},
        "spec": {"parentRefs": [{"name": "gw"}], "rules": [rule]},
    }


def material() -> list[Object]:
    """A certificate, and an authority for those of clients."""
    authority = trustme.CA()
    issued = authority.issue_cert("a.test")
    data = {
        "tls.crt": base64.b64encode(b"".join(blob.bytes() for blob in issued.cert_chain_pems)).decode(),
        "tls.key": base64.b64encode(issued.private_key_pem.bytes()).decode(),
    }
    text = {"ca.crt": authority.cert_pem.bytes().decode()}
    return [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "certificate"},
            "type": "kubernetes.io/tls",
            "data": data,
        },
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "authority"}, "data": text},
    ]


def exercise(cluster: Cluster, namespace: str) -> None:
    """A Gateway comes, changes in every way that makes or removes something, and goes to another controller."""
    autoscaler = f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers"
    deployments = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    path = f"{GATEWAYS}/namespaces/{namespace}/gateways/gw"
    scaled = parameters(autoscaling={"maxReplicas": 2})
    cluster.apply(*material(), parameters(replicas=2), gateway(), route(), namespace=namespace)
    cluster.wait_for("the deployment", lambda: cluster.get(deployments)["items"], 60)
    cluster.apply(scaled, namespace=namespace)
    cluster.wait_for("the autoscaler", lambda: cluster.get(autoscaler)["items"], 60)
    cluster.wait_for("a word about the route", lambda: events(cluster, namespace), 60)
    # Somebody else changes what was generated: it is put right.
    # It is mended, and broken again.
    cluster.apply(service("some"), route("some"), namespace=namespace)
    cluster.wait_for("the route to be mended", lambda: is_resolved(cluster, namespace), 30)
    cluster.apply(route(), namespace=namespace)
    cluster.wait_for("the same word again", lambda: any("series" in event for event in events(cluster, namespace)), 60)
    (made,) = cluster.get(deployments)["items"]
    taken = made["metadata"]["name"].replace("gw", "taken")
    cluster.apply(*in_the_way(taken), gateway("taken"), namespace=namespace)
    complained = f"{GATEWAYS}/namespaces/{namespace}/gateways/taken"
    cluster.wait_for("a word about what is in the way", lambda: taken in str(cluster.get(complained).get("status")), 60)
    own_path = f"{deployments}/{made['metadata']['name']}"
    cluster.api.call("PATCH", own_path, {"spec": {"replicas": 2, "minReadySeconds": 7}}, MERGE_PATCH)
    cluster.apply(parameters(replicas=1), namespace=namespace)
    gone = f"{autoscaler}/{made['metadata']['name']}"
    cluster.wait_for("the autoscaler to go", lambda: cluster.find(gone) is None, 60)
    cluster.apply(OTHER)
    cluster.api.call("PATCH", path, {"spec": {"gatewayClassName": OTHER["metadata"]["name"]}}, MERGE_PATCH)
    cluster.wait_for("the deployment to go", lambda: cluster.find(own_path) is None, 60)
    cluster.delete(*in_the_way(taken), gateway("taken"), service("some"), namespace=namespace)
    cluster.delete(route(), gateway(), scaled, *material(), OTHER, namespace=namespace)


def service(name: str) -> Object:
    """A Service without pods."""
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": [{"port": 80}]}}


def in_the_way(name: str) -> list[Object]:
    """Objects of others that have the names of those that would be generated."""
    metadata, labels = {"name": name}, {"a": "b"}
    pods = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "a", "image": "none"}]}}
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "none"}
    return [
        service(name),
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": metadata,
            "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": pods},
        },
        {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata, "spec": {"maxUnavailable": 1}},
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": metadata,
            "spec": {"scaleTargetRef": target, "maxReplicas": 2},
        },
    ]


def is_resolved(cluster: Cluster, namespace: str) -> bool:
    """Whether the controller has found what the route refers to."""
    status = cluster.get(f"{GATEWAYS}/namespaces/{namespace}/httproutes/r").get("status", {})
    conditions = [each for parent in status.get("parents", []) for each in parent["conditions"]]
    return any(each["type"] == "ResolvedRefs" and each["status"] == "True" for each in conditions)


def events(cluster: Cluster, namespace: str) -> list[Object]:
    """What the controller tells."""
    found: list[Object] = cluster.get(f"/apis/events.k8s.io/v1/namespaces/{namespace}/events")["items"]
    return [event for event in found if event.get("regarding", {}).get("kind") == "HTTPRoute"]


def end_watches(cluster: Cluster) -> None:
    """Have the controller end: a watch is in the log when it has been answered to its end."""
    path = f"/apis/apps/v1/namespaces/{NAME}/deployments/{NAME}"
    cluster.api.call("PATCH", path, {"spec": {"replicas": 0}}, MERGE_PATCH)
    cluster.wait_for("its end", lambda: not cluster.get(f"/api/v1/namespaces/{NAME}/pods")["items"], 60)


def is_creation(event: AuditEvent) -> bool:
    """Whether an object was made by applying it, which takes the right to create as well."""
    return event.verb == "patch" and event.code == 201


def granted(rights: tuple[Right, ...]) -> set[tuple[str, str, str]]:
    return {(right.group, resource, verb) for right in rights for resource in right.resources for verb in right.verbs}


def test_every_right_is_used_and_none_is_missing(cluster: Cluster, controller: int, namespace: str) -> None:
    exercise(cluster, namespace)
    end_watches(cluster)
    asked = [event for event in cluster.audit.read(controller) if event.by == ACCOUNT]
    assert [f"{event.verb} {event.request_uri}" for event in asked if event.is_forbidden] == []
    used = {(event.target.api_group, event.resource, event.verb) for event in asked}
    every = granted((*CLUSTER, *SERVED, *own(NAME, AUTHORITY_SECRET)))
    # Where the API server streams lists, as here, none is asked for; RBAC cannot tell the two apart either.
    used |= {(event.target.api_group, event.resource, "create") for event in asked if is_creation(event)}
    used |= {(group, resource, "list") for group, resource, verb in used if verb == "watch"}
    unused = every - used - set(RARE)
    assert not unused, ", ".join(f"{verb} {resource}" for _, resource, verb in sorted(unused))
