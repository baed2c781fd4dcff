"""Pods need no API server to go on."""

from __future__ import annotations

import pytest

from testcluster import Cluster
from tests.cluster.kubelet_world import FOREVER, World, config_map, container, mounted, pod

API = "kube-apiserver"


@pytest.fixture
def world(cluster: Cluster, namespace: str, disturbed: None) -> World:
    """Where these tests work."""
    return World(cluster, namespace)


def test_a_container_is_started_again_without_an_api_server(world: World) -> None:
    """Nothing that it needs is asked for again; what happened is told when there is somebody to tell."""
    cluster = world.cluster
    mounts = [{"name": "memory", "mountPath": "/memory"}]
    script = f"[ -e /memory/ran ] && {FOREVER}; touch /memory/ran; while [ ! -e /memory/end ]; do sleep 0.1; done"
    volumes = [{"name": "memory", "emptyDir": {}}]
    world.apply(pod("one", container(script, volumeMounts=mounts), volumes=volumes))
    before = world.wait_ready("one")
    cluster.kill(API)
    (cluster.layout.pods / before["metadata"]["uid"] / "volumes" / "memory" / "end").touch()
    second = cluster.layout.pods / before["metadata"]["uid"] / "containers" / "main" / "1" / "log"
    cluster.wait_for("the second run", second.exists)
    cluster.start(API)
    cluster.wait_ready()
    cluster.wait_for("the news", lambda: world.container("one")["restartCount"] == 1 and world.is_ready("one"), 60)
    assert world.pod("one")["status"]["podIP"] == before["status"]["podIP"]


@pytest.mark.parametrize("is_killed", [pytest.param(True, id="killed"), pytest.param(False, id="silent")])
def test_changes_are_seen_after_an_outage(world: World, is_killed: bool) -> None:
    """Those from before it ended, and those after."""
    cluster = world.cluster
    world.apply(config_map("object", key="1"), pod("one", **mounted("/conf", configMap={"name": "object"})))
    world.wait_ready("one")
    if is_killed:
        cluster.kill(API)
        cluster.start(API)
        cluster.wait_ready()
    else:
        cluster.pause(API)
        assert not cluster.api.ready()
        cluster.resume(API)
        cluster.wait_ready()
    world.apply(config_map("object", key="2"), pod("two"))
    world.until("one", "cat /conf/key", "2", 40)
    world.wait_ready("two", 40)
