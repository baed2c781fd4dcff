"""Which pods get the node."""

from __future__ import annotations

from testcluster.kubelet.objects import Pod
from testcluster.kubelet.scheduler import is_to_bind
from tests.testcluster.kubelet.pods import pod


def asking(*cpus: str) -> Pod:
    return pod(*({"name": f"c{each}", "resources": {"requests": {"cpu": each}}} for each in cpus))


def test_a_pod_gets_the_node_unless_something_speaks_against_it() -> None:
    """It has one, waits for somebody, or goes."""
    assert is_to_bind(pod())
    assert not is_to_bind(pod(nodeName="elsewhere"))
    assert not is_to_bind(pod(schedulingGates=[{"name": "wait"}]))
    assert not is_to_bind(pod(metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"}))


def test_a_pod_gets_no_more_than_there_is() -> None:
    """All its containers count together."""
    assert is_to_bind(asking("100m", "63"))
    assert not is_to_bind(asking("1", "63", "1m"))
    unknown = {"name": "main", "resources": {"requests": {"example.com/gpu": "1"}}}
    assert not is_to_bind(pod(unknown))
