"""Pods are read with the defaults that an API server leaves unsaid, and with names as it writes them."""

from __future__ import annotations

from tests.testcluster.kubelet.pods import pod


def test_fields_have_the_names_of_the_api() -> None:
    """Also those that break the rule for capitals."""
    items = [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]
    mounts = [{"name": "me", "mountPath": "/me", "subPathExpr": "$(A)"}]
    read = pod(
        {"name": "main", "volumeMounts": mounts, "readinessProbe": {"httpGet": {"port": "web"}}},
        volumes=[{"name": "me", "downwardAPI": {"items": items}}],
        hostNetwork=True,
    )
    fields = read.spec.volumes[0].downward_api
    assert fields is not None
    assert fields.items[0].field_ref is not None
    assert read.spec.containers[0].volume_mounts[0].sub_path_expr == "$(A)"
    probe = read.spec.containers[0].readiness_probe
    assert probe is not None
    assert probe.http_get is not None
    assert (probe.http_get.port, probe.failure_threshold) == ("web", 3)
    assert read.spec.host_network


def test_a_deleted_pod_is_ending_and_a_finished_one_is_over() -> None:
    """The two ways in which nothing more is started."""
    assert pod(metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"}).is_ending
    assert not pod().is_ending
    assert pod(status={"phase": "Failed"}).is_over
    assert not pod(status={"phase": "Running"}).is_over


def test_containers_start_in_their_order() -> None:
    """Init containers first."""
    read = pod({"name": "main"}, initContainers=[{"name": "one"}, {"name": "two", "restartPolicy": "Always"}])
    assert [(each.name, each.is_sidecar) for each in read.spec.all_containers] == [
        ("one", False),
        ("two", True),
        ("main", False),
    ]
