"""As whom a container runs, what it may do, and what it sees of the machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from testcluster import Cluster
from testcluster.layout import DNS_ADDRESS, NODE_ADDRESS
from tests.cluster.kubelet_world import World, config_map, container, pod, secret

CAPABILITIES = "grep -E '^Cap(Eff|Bnd)' /proc/self/status | cut -f 2"
RESTRICTED = {
    "runAsUser": 65532,
    "runAsGroup": 65532,
    "runAsNonRoot": True,
    "readOnlyRootFilesystem": True,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


@pytest.fixture
def world(cluster: Cluster, namespace: str) -> World:
    """Where these tests work."""
    return World(cluster, namespace)


def test_a_restricted_container_can_do_next_to_nothing(world: World) -> None:
    """It is nobody, writes nowhere, and can never become more."""
    world.apply(pod("one", container(securityContext=RESTRICTED)))
    world.wait_ready("one")
    assert world.inside("one", "id -u; id -g; id -G").split() == ["65532", "65532", "65532"]
    assert world.inside("one", CAPABILITIES).split() == ["0" * 16] * 2
    assert world.inside("one", "grep NoNewPrivs /proc/self/status | cut -f 2").strip() == "1"
    assert world.inside("one", "for f in / /tmp /run /etc; do touch $f/x 2>/dev/null && echo $f; done; true") == ""


def test_a_restricted_container_runs_this_repositorys_programs(world: World) -> None:
    """Even where they are below a folder that only root may enter."""
    script = "python3 -c 'import trilithon; print(trilithon.__version__)'; exec sleep infinity"
    environment = [{"name": "PYTHONDONTWRITEBYTECODE", "value": "1"}]
    world.apply(pod("one", container(script, securityContext=RESTRICTED, env=environment)))
    world.wait_ready("one")
    world.cluster.wait_for("the version", lambda: world.logs("one").strip().replace(".", "").isalnum())


def test_a_program_is_found_wherever_it_is(world: World, tmp_path: Path) -> None:
    """Also in a folder of /tmp, which is empty in containers, that only root may enter; nothing else of it is there."""
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\necho found; ls /tmp; exec sleep infinity\n")
    program.chmod(0o755)
    world.apply(pod("one", {**container(securityContext=RESTRICTED), "command": [str(program)]}))
    world.wait_ready("one")
    world.cluster.wait_for("its output", lambda: len(world.logs("one").splitlines()) == 2)
    assert world.logs("one").splitlines() == ["found", tmp_path.parts[2]]


@pytest.mark.parametrize(
    ("sysctls", "outcome"),
    [
        pytest.param([{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}], "bound", id="with the sysctl"),
        pytest.param([], "PermissionError", id="without it"),
    ],
)
def test_low_ports_need_a_sysctl(world: World, sysctls: list[dict[str, str]], outcome: str) -> None:
    """A user without rights binds port 80 exactly where the pod's network allows it."""
    program = """
import socket, sys
try:
    socket.create_server(("", 80))
    print("bound", flush=True)
except OSError as error:
    print(type(error).__name__, flush=True)
"""
    done = container(f"python3 - <<'end'\n{program}end\nexec sleep infinity", securityContext=RESTRICTED)
    # Its here-document is a file, which needs a place.
    done["volumeMounts"] = [{"name": "tmp", "mountPath": "/tmp"}]
    volumes = [{"name": "tmp", "emptyDir": {}}]
    world.apply(pod("one", done, securityContext={"sysctls": sysctls}, volumes=volumes))
    world.wait_ready("one")
    world.cluster.wait_for(outcome, lambda: world.logs("one").strip() == outcome)


def test_root_must_not_run_where_it_is_forbidden(world: World) -> None:
    """And the status says so."""
    world.apply(pod("one", securityContext={"runAsNonRoot": True}))
    world.cluster.wait_for(
        "the reason",
        lambda: (
            world.container("one")["state"].get("waiting", {}).get("reason") == "CreateContainerConfigError"
            and "runAsNonRoot" in world.container("one")["state"]["waiting"]["message"]
        ),
    )


def test_root_has_the_usual_capabilities_only(world: World) -> None:
    """Those that container runtimes give, plus and minus what the pod says."""
    changed = {"capabilities": {"add": ["NET_ADMIN"], "drop": ["NET_RAW"]}}
    world.apply(pod("one", container(), container(name="changed", securityContext=changed)))
    world.wait_ready("one")
    usual = int(world.inside("one", CAPABILITIES).split()[0], 16)
    assert f"{usual:016x}" == "00000000a80425fb"
    other = world.kubectl("exec", "one", "-c", "changed", "--", "sh", "-c", CAPABILITIES).stdout.split()
    net_admin, net_raw = 1 << 12, 1 << 13
    assert {int(each, 16) for each in other} == {(usual | net_admin) & ~net_raw}


def test_what_a_container_writes_is_its_own(world: World) -> None:
    """It finds the machine's programs, and the machine finds nothing of what it did; /tmp and /run are its own."""
    name = f"kubelet-test-{world.namespace}"
    world.apply(pod("one"))
    world.wait_ready("one")
    world.inside("one", f"touch /{name} /etc/{name} /tmp/{name}")
    assert world.inside("one", "ls /tmp").split() == [name]
    assert not any(Path(folder, name).exists() for folder in ("/", "/etc", "/tmp"))


def test_a_container_knows_where_and_who_it_is(world: World) -> None:
    """Host name, resolver, hosts and the variables of every kind."""
    world.apply(config_map("plain", one="1", two="2"), secret("hidden", three="3"))
    environment = [
        {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "ADDRESS", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "LIMIT", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}},
        {"name": "THREE", "valueFrom": {"secretKeyRef": {"name": "hidden", "key": "three"}}},
        {"name": "NONE", "valueFrom": {"configMapKeyRef": {"name": "plain", "key": "none", "optional": True}}},
        {"name": "JOINED", "value": "$(NAME)-$(THREE)-$(NONE)-$$(NAME)"},
    ]
    script = 'hostname; echo "$NAME $ADDRESS $LIMIT $JOINED $P_one$P_two"; exec sleep infinity'
    whole = [{"prefix": "P_", "configMapRef": {"name": "plain"}}]
    limits = {"limits": {"memory": "64Mi"}}
    world.apply(pod("one", container(script, env=environment, envFrom=whole, resources=limits)))
    address = world.wait_ready("one")["status"]["podIP"]
    world.cluster.wait_for("its output", lambda: len(world.logs("one").splitlines()) == 2)
    assert world.logs("one").splitlines() == ["one", f"one {address} 64 one-3-$(NONE)-$(NAME) 12"]
    resolver = world.inside("one", "cat /etc/resolv.conf").splitlines()
    assert f"nameserver {DNS_ADDRESS}" in resolver
    assert any(line.startswith(f"search {world.namespace}.svc.") for line in resolver)
    assert f"{address} one" in world.inside("one", "cat /etc/hosts").splitlines()


def test_a_pod_may_be_on_the_nodes_network(world: World) -> None:
    """Its address is the node's, and its interfaces too."""
    world.apply(pod("one", hostNetwork=True))
    assert world.wait_ready("one")["status"]["podIP"] == str(NODE_ADDRESS)
    assert str(NODE_ADDRESS) in world.inside("one", "hostname -I || ip -o addr")
