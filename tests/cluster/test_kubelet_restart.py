"""What becomes of pods when the kubelet itself ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from testcluster import Cluster
from testcluster.kubelet.leftovers import over
from tests.cluster.kubelet_world import World, pod, pod_namespaces


@pytest.fixture
def world(cluster: Cluster, namespace: str) -> Iterator[World]:
    """Where these tests work, with a running pod ``one``."""
    made = World(cluster, namespace)
    made.apply(pod("one"), pod("host", hostNetwork=True))
    made.wait_ready("one")
    made.wait_ready("host")
    yield made
    # Nothing if it runs, which everybody else needs.
    if not cluster.processes["kubelet"].alive:
        cluster.start("kubelet")


@pytest.mark.parametrize("is_killed", [pytest.param(True, id="killed"), pytest.param(False, id="ended")])
def test_pods_run_again_under_the_next_kubelet(world: World, is_killed: bool) -> None:
    """Their processes end with their kubelet; the next one counts a restart and leaves nothing of the first."""
    cluster = world.cluster
    before = pod_namespaces(cluster.layout)
    if is_killed:
        cluster.kill("kubelet")
    else:
        cluster.processes.end("kubelet")
    cluster.wait_for("all containers to end", lambda: not containers(cluster.layout.pods))
    # Deleted while nobody looks.
    cluster.api.delete(world.path("host"))
    cluster.start("kubelet")
    cluster.wait_for("the pod to run again", lambda: world.container("one")["restartCount"] == 1, 40)
    world.wait_ready("one")
    world.wait_gone("host")
    assert world.inside("one", "echo here") == "here\n"
    # Those of other tests' pods may come and go meanwhile; none is there twice.
    assert len(pod_namespaces(cluster.layout)) <= len(before)


def containers(pods: Path) -> list[int]:
    """The processes of containers."""
    is_meant = over(pods)
    return [int(path.name) for path in Path("/proc").glob("[0-9]*") if is_meant(int(path.name))]
