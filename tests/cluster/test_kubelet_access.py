"""Reading what pods write, and running commands in them."""

from __future__ import annotations

import re

import pytest

from testcluster import Cluster
from tests.cluster.kubelet_world import FOREVER, World, container, pod


@pytest.fixture
def world(cluster: Cluster, namespace: str) -> World:
    """Where these tests work, with a pod ``one`` that wrote three lines."""
    made = World(cluster, namespace)
    script = f"echo 1; echo 2 >&2; printf 3; sleep 0.2; {FOREVER}"
    made.apply(pod("one", container(script, workingDir="/usr")))
    made.wait_ready("one")
    cluster.wait_for("its output", lambda: made.logs("one").startswith("1\n2\n"))
    return made


def test_logs_hold_both_outputs_in_order(world: World) -> None:
    """Standard output and standard error."""
    assert world.logs("one").splitlines()[:2] == ["1", "2"]


def test_logs_are_limited_and_dated(world: World) -> None:
    """The last lines only, from a time on, up to a size."""
    assert re.fullmatch(r"20[0-9-]{8}T[0-9:.]{18}Z 2\n", world.logs("one", "--tail=1", "--timestamps"))
    assert world.logs("one", "--since=1h") == world.logs("one") == "1\n2\n"
    assert world.logs("one", "--since-time=2099-01-01T00:00:00Z") == ""
    assert world.logs("one", "--limit-bytes=3") == "1\n2"
    assert world.logs("one", "--tail=0") == ""


def test_a_container_that_did_not_run_before_has_no_earlier_log(world: World) -> None:
    """Which is said, rather than an empty log given."""
    answer = world.kubectl("logs", "one", "--previous", check=False)
    assert answer.returncode != 0
    assert "previous terminated container main" in answer.stderr


def test_a_command_runs_where_the_container_does(world: World) -> None:
    """Its output and errors come apart, and so does its exit code."""
    answer = world.kubectl("exec", "one", "--", "sh", "-c", "hostname; pwd; echo bad >&2; exit 7", check=False)
    assert (answer.returncode, answer.stdout) == (7, "one\n/usr\n")
    assert answer.stderr.startswith("bad\n")


def test_a_command_is_given_input(world: World) -> None:
    """To its end."""
    assert world.kubectl("exec", "-i", "one", "--", "wc", "-c", stdin="12345").stdout.strip() == "5"


def test_a_command_that_is_not_there_says_so(world: World) -> None:
    """And fails."""
    answer = world.kubectl("exec", "one", "--", "no-such-command", check=False)
    assert answer.returncode != 0
    assert "no-such-command" in answer.stderr


def test_a_command_has_a_terminal_where_it_is_asked_for(world: World) -> None:
    """And none otherwise."""
    inner = f"kubectl --namespace {world.namespace} exec -it one -- tty"
    with_terminal = world.cluster.run_in_hub(["script", "--quiet", "--command", inner, "/dev/null"]).stdout
    assert "/dev/pts/" in with_terminal
    assert "not a tty" in world.inside("one", "tty || true")


def test_a_command_is_who_the_container_is(world: World) -> None:
    """The same user, and no more rights."""
    identity = {"runAsUser": 1234, "runAsGroup": 5678, "capabilities": {"drop": ["ALL"]}}
    world.apply(pod("two", container(securityContext=identity)))
    world.wait_ready("two")
    said = world.inside("two", "id -u; id -g; grep CapBnd /proc/self/status | cut -f 2").split()
    assert said == ["1234", "5678", "0" * 16]
