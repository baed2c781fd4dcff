"""The audit log tells who did what: tests judge by it how a controller behaves."""

from __future__ import annotations

import pytest

from testcluster import Api, ApiError, Cluster
from tests.cluster.pods import service


def test_a_write_is_recorded_with_its_author(cluster: Cluster, namespace: str) -> None:
    """Ours, and what the load balancer wrote because of it."""
    mark = cluster.audit.mark()
    cluster.apply(service("web", type="LoadBalancer"), namespace=namespace)

    def seen() -> set[tuple[str, str, str, int]]:
        events = [event for event in cluster.audit.writes(mark) if event.namespace == namespace and event.name == "web"]
        return {(event.by, event.verb, event.resource, event.code) for event in events}

    expected = {("admin", "patch", "services", 201), ("cluster:balancer", "patch", "services/status", 200)}
    cluster.wait_for("both writes", lambda: expected <= seen())


def test_a_service_accounts_reads_are_recorded_and_ours_are_not(cluster: Cluster, namespace: str) -> None:
    """Also those that were refused."""
    config = cluster.service_account_kubeconfig(namespace, "default")
    mark = cluster.audit.mark()
    path = f"/api/v1/namespaces/{namespace}/secrets"
    cluster.get(path)
    cluster.run_in_hub(
        ["kubectl", "--kubeconfig", str(config), "--namespace", namespace, "get", "secrets"], check=False
    )
    account = f"system:serviceaccount:{namespace}:default"

    def reads() -> list[tuple[str, str, int]]:
        events = [event for event in cluster.audit.read(mark) if event.namespace == namespace]
        return [(event.by, event.verb, event.code) for event in events if event.resource == "secrets"]

    cluster.wait_for("the refused read", reads)
    assert set(reads()) == {(account, "list", 403)}


def test_a_service_account_has_its_own_rights_only(cluster: Cluster, namespace: str) -> None:
    """The kubeconfig made for one is not the administrator's."""
    token = cluster.service_account_token(namespace, "default")
    with pytest.raises(ApiError, match="403"):
        Api(cluster.layout, token).get(f"/api/v1/namespaces/{namespace}/pods")
