"""What tests do to a cluster: the API server ends and returns, stands still and goes on, forgets old versions."""

from __future__ import annotations

import pytest

from testcluster import Cluster
from tests.cluster.pods import ask, client_pod, server_pod, service, wait_ready

pytestmark = pytest.mark.usefixtures("disturbed")

SERVER = "kube-apiserver"


def config_map(name: str) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}


def test_a_killed_api_server_returns_with_everything(cluster: Cluster, namespace: str) -> None:
    """Pods serve meanwhile; what was stored is there after; new pods start."""
    cluster.apply(server_pod("web"), service("web"), config_map("kept"), namespace=namespace)
    address = wait_ready(cluster, namespace, "web")["web"]
    cluster.kill(SERVER)
    assert not cluster.api.ready()
    assert ask(address, 8080)["pod"] == "web"
    cluster.start(SERVER)
    cluster.wait_ready()
    assert cluster.find(f"/api/v1/namespaces/{namespace}/configmaps/kept")
    cluster.apply(client_pod(), namespace=namespace)
    wait_ready(cluster, namespace, "client")


def test_a_paused_api_server_answers_nobody_until_it_goes_on(cluster: Cluster, namespace: str) -> None:
    """Its port is open, and it does not say a word."""
    cluster.pause(SERVER)
    try:
        with pytest.raises(TimeoutError):
            cluster.api.request("GET", "/api", timeout=1.0)
    finally:
        cluster.resume(SERVER)
    cluster.wait_ready()
    cluster.apply(config_map("after"), namespace=namespace)


def test_after_a_compaction_old_versions_are_gone(cluster: Cluster, namespace: str) -> None:
    """A watch from before is told 410, and a new list works."""
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    old = cluster.get(path)["metadata"]["resourceVersion"]
    cluster.apply(config_map("one"), config_map("two"), namespace=namespace)
    # There may be more in a new namespace.
    added = {
        event["object"]["metadata"]["name"] for event in cluster.api.watch(path, old, 3) if event["type"] == "ADDED"
    }
    assert added >= {"one", "two"}
    cluster.compact()
    events = list(cluster.api.watch(path, old, 1))
    assert [(event["type"], event["object"]["code"]) for event in events] == [("ERROR", 410)]
    assert {item["metadata"]["name"] for item in cluster.get(path)["items"]} >= {"one", "two"}
