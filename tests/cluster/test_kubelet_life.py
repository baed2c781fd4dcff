"""How pods live and end: starts, restarts, probes, hooks, and that nothing of them stays."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import pytest

from testcluster import Cluster
from testcluster.api import Object
from tests.cluster.kubelet_world import FOREVER, World, container, pod, pod_namespaces

GRPC_SERVER = """
import asyncio, grpc
async def check(request, context):
    return b"\\x08\\x01" if request == b"\\x0a\\x02me" else b"\\x08\\x02"
async def main():
    server = grpc.aio.server()
    health = {"Check": grpc.unary_unary_rpc_method_handler(check)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("grpc.health.v1.Health", health),))
    server.add_insecure_port("0.0.0.0:9000")
    await server.start()
    await server.wait_for_termination()
asyncio.run(main())
"""


@pytest.fixture
def world(cluster: Cluster, namespace: str) -> World:
    """Where these tests work."""
    return World(cluster, namespace)


def restarts(world: World, name: str) -> int:
    return int(world.container(name)["restartCount"])


def test_a_container_that_ends_is_started_again(world: World) -> None:
    """The count goes up, what it ended with is told, and what it wrote before is kept."""
    mounts = [{"name": "memory", "mountPath": "/memory"}]
    script = "echo run; if mkdir /memory/ran; then exit 3; fi; exec sleep infinity"
    volumes = [{"name": "memory", "emptyDir": {}}]
    world.apply(pod("one", container(script, volumeMounts=mounts), volumes=volumes))
    world.cluster.wait_for("a restart", lambda: restarts(world, "one") == 1 and world.is_ready("one"))
    assert world.container("one")["lastState"]["terminated"]["exitCode"] == 3
    assert world.logs("one", "--previous") == "run\n"


def test_a_container_that_always_ends_waits_longer_and_longer(world: World) -> None:
    """Its status says that it is a crash loop."""
    world.apply(pod("one", container("exit 1")))
    world.cluster.wait_for(
        "a crash loop",
        lambda: world.container("one")["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff",
    )
    assert restarts(world, "one") < 10


@pytest.mark.parametrize(
    ("code", "phase"), [pytest.param(0, "Succeeded", id="well"), pytest.param(7, "Failed", id="badly")]
)
def test_a_pod_that_runs_once_ends(world: World, code: int, phase: str) -> None:
    """Its phase says how, and nothing of its network stays."""
    before = pod_namespaces(world.cluster.layout)
    world.apply(pod("one", container(f"exit {code}"), restartPolicy="Never"))
    world.cluster.wait_for(phase, lambda: world.phase("one") == phase)
    assert world.container("one")["state"]["terminated"]["exitCode"] == code
    world.cluster.wait_for("its network to go", lambda: pod_namespaces(world.cluster.layout) <= before)


def test_a_job_completes(world: World) -> None:
    """Its controller sees the end of its pod, and may then let the pod go."""
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "job"},
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [container("echo done")]}}},
    }
    world.apply(job)
    world.kubectl("wait", "--for=condition=Complete", "job/job", "--timeout=55s")
    assert world.kubectl("logs", "job/job").stdout == "done\n"


def test_containers_start_in_their_order(world: World) -> None:
    """Each init container after the one before it ended, sidecars after the one before them started."""
    mounts = [{"name": "order", "mountPath": "/order"}]

    def step(name: str, then: str, **fields: object) -> Object:
        return container(f"echo {name} >> /order/file; {then}", name, volumeMounts=mounts, **fields)

    inits = [
        step("first", "sleep 0.3"),
        step("second", FOREVER, restartPolicy="Always"),
        step("third", "true"),
    ]
    volumes = [{"name": "order", "emptyDir": {}}]
    world.apply(pod("one", step("main", FOREVER), initContainers=inits, volumes=volumes))
    world.wait_ready("one")
    # Ready means started.
    world.cluster.wait_for("the last one", lambda: "main" in world.inside("one", "cat /order/file"))
    assert world.inside("one", "cat /order/file").split() == ["first", "second", "third", "main"]


def test_sidecars_end_after_the_rest(world: World) -> None:
    """And the pod is over when the rest is."""
    script = "trap 'echo bye; exit 0' TERM; touch /up; while :; do sleep 0.1; done"
    probe = {"exec": {"command": ["test", "-e", "/up"]}, "periodSeconds": 1, "failureThreshold": 60}
    sidecar = container(script, "side", restartPolicy="Always", startupProbe=probe)
    world.apply(pod("one", container("sleep 0.5"), grace=20, restartPolicy="Never", initContainers=[sidecar]))
    world.cluster.wait_for("the end", lambda: world.phase("one") == "Succeeded")
    assert world.logs("one", "-c", "side") == "bye\n"


@pytest.mark.parametrize(
    "action",
    [
        pytest.param({"exec": {"command": ["test", "-e", "/ready"]}}, id="exec"),
        pytest.param({"httpGet": {"path": "/ready", "port": "web"}}, id="httpGet"),
    ],
)
def test_a_pod_is_ready_while_its_probe_says_so(world: World, action: Object) -> None:
    """It becomes ready, and unready again."""
    probe: Object = {"readinessProbe": {**action, "periodSeconds": 1, "failureThreshold": 1, "timeoutSeconds": 10}}
    ports = [{"name": "web", "containerPort": 8080}]
    world.apply(pod("one", container("exec python3 -m http.server 8080", ports=ports, **probe)))
    world.cluster.wait_for("the pod to run", lambda: world.container("one").get("started"))
    time.sleep(0.5)
    assert not world.is_ready("one")
    world.inside("one", "touch /ready")
    world.wait_ready("one")
    world.inside("one", "rm /ready")
    world.cluster.wait_for("the pod to be unready", lambda: not world.is_ready("one"))
    assert restarts(world, "one") == 0


@pytest.mark.parametrize(("service", "is_ready"), [("me", True), ("other", False)])
def test_a_pod_is_asked_over_grpc(world: World, service: str, is_ready: bool) -> None:
    """For the health of the service that the probe names."""
    probe: Object = {"readinessProbe": {"grpc": {"port": 9000, "service": service}, "periodSeconds": 1}}
    # The port, so that there is a moment from which on the answer counts.
    probe["startupProbe"] = {"tcpSocket": {"port": 9000}, "failureThreshold": 30, "periodSeconds": 1}
    serving = {**container(**probe), "command": [sys.executable, "-c", GRPC_SERVER]}
    world.apply(pod("one", serving))
    world.cluster.wait_for("the pod to start", lambda: world.container("one").get("started"))
    if is_ready:
        world.wait_ready("one")
    else:
        time.sleep(1.5)
        assert not world.is_ready("one")


def test_a_container_that_is_not_alive_is_replaced(world: World) -> None:
    """And one that is, is not."""
    said = {"exec": {"command": ["test", "-e", "/alive"]}}
    probe = {**said, "periodSeconds": 1, "failureThreshold": 1, "timeoutSeconds": 10}
    # It is asked as soon as it runs, which is before it has a file.
    first = {**said, "periodSeconds": 1, "failureThreshold": 60, "timeoutSeconds": 10}
    world.apply(pod("one", container(f"touch /alive; {FOREVER}", livenessProbe=probe, startupProbe=first)))
    world.wait_ready("one")
    time.sleep(2.5)
    assert restarts(world, "one") == 0
    world.inside("one", "rm /alive")
    # Its files are new, so it is well again.
    world.cluster.wait_for("a restart", lambda: restarts(world, "one") >= 1 and world.is_ready("one"))


def test_a_container_that_never_starts_is_replaced(world: World) -> None:
    """After as many periods as its startup probe allows; until it starts, nothing else is asked."""
    probe = {"exec": {"command": ["false"]}, "periodSeconds": 1, "failureThreshold": 2}
    world.apply(pod("one", container(startupProbe=probe)))
    world.cluster.wait_for("a restart", lambda: restarts(world, "one") >= 1)
    assert not world.is_ready("one")


def test_a_pod_ends_in_good_order(world: World) -> None:
    """The hook first, then SIGTERM; the pod goes when the container has ended, and its log was there to the last."""
    ended = "[ -e /hooked ] && echo hooked and terminated; exit 0"
    script = f"trap '{ended}' TERM; echo up; while :; do sleep 0.05; done"
    hook = {"preStop": {"exec": {"command": ["sh", "-c", "touch /hooked; sleep 1"]}}}
    world.apply(pod("one", container(script, lifecycle=hook), grace=60))
    world.wait_ready("one")
    follower = f"follow-{world.namespace}"
    following = world.cluster.spawn(follower, ["kubectl", "--namespace", world.namespace, "logs", "--follow", "one"])
    log = world.cluster.processes.log(follower)
    try:
        # From then on the container does something when it is told to end.
        world.cluster.wait_for("the follower to follow", lambda: "up" in log.read_text())
        began = time.monotonic()
        world.cluster.api.delete(world.path("one"))
        world.wait_gone("one")
        # The hook's second, and not the minute that it has.
        assert 1.0 <= time.monotonic() - began < 40.0
        world.cluster.wait_for("the follower to end", lambda: not following.alive)
        assert "hooked and terminated" in log.read_text()
    finally:
        world.cluster.processes.forget(follower)
        log.unlink()


def test_a_pod_that_does_not_end_is_killed(world: World) -> None:
    """When its time is over."""
    world.apply(pod("one", container("trap '' TERM; while :; do sleep 0.1; done"), grace=1))
    world.wait_ready("one")
    began = time.monotonic()
    world.cluster.api.delete(world.path("one"))
    world.wait_gone("one")
    # Not the half minute that is usual.
    assert 1.0 <= time.monotonic() - began < 20.0


def test_a_pod_can_be_deleted_at_once(world: World) -> None:
    """Without grace, whatever it does."""
    world.apply(pod("one", container("trap '' TERM; while :; do sleep 0.1; done"), grace=60))
    world.wait_ready("one")
    began = time.monotonic()
    world.cluster.api.delete(world.path("one"), grace=0)
    world.wait_gone("one")
    assert time.monotonic() - began < 20.0


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"volumes": [{"name": "v", "configMap": {"name": "none"}}]}, id="waits for a volume"),
        pytest.param({"containers": [{"name": "main", "image": "none"}]}, id="has no program"),
        pytest.param({"containers": [container("exit 1")]}, id="crashes"),
        pytest.param({"initContainers": [container("sleep 100", "init")]}, id="initializes"),
        pytest.param({"containers": [container("true")], "restartPolicy": "Never"}, id="is over"),
    ],
)
def test_a_pod_ends_whatever_it_does(world: World, fields: dict[str, Any]) -> None:
    """In every state of its life, and not only when its time is over."""
    made = pod("one", grace=60)
    made["spec"] |= fields
    world.apply(made)
    world.cluster.wait_for("the pod to be bound", lambda: world.pod("one")["spec"].get("nodeName"))
    time.sleep(0.5)
    world.cluster.api.delete(world.path("one"))
    world.wait_gone("one", 40)


def test_nothing_of_a_pod_stays(world: World) -> None:
    """Also not what its processes left running, nor its network, nor its files."""
    marked = f"{world.namespace}-left"
    left = f"setsid sh -c 'exec -a {marked} sleep 1000' & exec sleep infinity"
    running = {**container(), "command": ["bash", "-c", left.replace("sh -c", "bash -c")]}
    world.apply(pod("one", running))
    uid = world.wait_ready("one")["metadata"]["uid"]
    world.cluster.wait_for("what is left running", lambda: is_running(marked))
    folder = world.cluster.layout.pods / uid
    assert folder.exists()
    network = f"{world.cluster.layout.pod_prefix}{uid[:8]}{uid[-4:]}"
    assert network in pod_namespaces(world.cluster.layout)
    world.cluster.api.delete(world.path("one"))
    world.wait_gone("one")
    world.cluster.wait_for("its files to go", lambda: not folder.exists())
    world.cluster.wait_for("its network to go", lambda: network not in pod_namespaces(world.cluster.layout))
    assert not is_running(marked)


def test_a_pod_that_asks_for_too_much_waits(world: World) -> None:
    """Nobody gives it the node."""
    world.apply(pod("one", container(resources={"requests": {"cpu": "1000"}})), pod("two"))
    world.wait_ready("two")
    assert "nodeName" not in world.pod("one")["spec"]
    assert world.phase("one") == "Pending"


@pytest.mark.timeout(300)
def test_a_deployment_is_rolled_out_and_its_namespace_goes(world: World) -> None:
    """New pods replace the old ones; deleting the namespace ends them all."""
    probe: Object = {"readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}}
    template = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {
            "containers": [container("exec python3 -m http.server 8080", **probe)],
            # Whoever deletes a namespace looks again when half of it is over.
            "terminationGracePeriodSeconds": 2,
        },
    }
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": template},
    }
    world.apply(deployment)
    world.kubectl("rollout", "status", "deployment/web", "--timeout=55s")
    world.kubectl("set", "env", "deployment/web", "A=B")
    world.kubectl("rollout", "status", "deployment/web", "--timeout=55s")
    world.cluster.api.delete(f"/api/v1/namespaces/{world.namespace}")
    gone = f"/api/v1/namespaces/{world.namespace}"
    world.cluster.wait_for("the namespace to go", lambda: world.cluster.find(gone) is None, 90)


def is_running(name: str) -> bool:
    """Whether any process of the machine is called so."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().startswith(name.encode()):
                return True
        except OSError:
            continue
    return False
