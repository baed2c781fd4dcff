"""The controller is killed, stands still, or is told that history is forgotten: nobody who is served notices."""

from __future__ import annotations

import calendar
import signal
import time
from collections.abc import Mapping
from functools import partial

import pytest

from testcluster.api import Object
from tests.cluster.faults.installed import Installed
from tests.cluster.faults.processes import send
from tests.cluster.faults.world import PATHS, World
from trilithon.kube.lease_state import DURATION_SECONDS

pytestmark = pytest.mark.timeout(600)

KILLS = 5
SUCCESSION_SECONDS = 2 * DURATION_SECONDS + 5.0
PATIENCE_SECONDS = 60.0


def test_replicas_killed_again_and_again_are_missed_by_nobody(world: World) -> None:
    """All at once, with every route there: no request fails, no Envoy gives anything up, nothing is written anew."""
    controllers, envoy = world.controllers, world.envoy("edge")
    given, mark = envoy.given(), world.cluster.audit.mark()
    with world.traffic() as traffic:
        for _ in range(KILLS):
            before = set(controllers.pids())
            controllers.kill()
            world.cluster.wait_for("new replicas", partial(_are_new, controllers, before))
            controllers.wait_ready()
            world.cluster.wait_for("Envoy to be connected again", envoy.has_lasting_stream)
            world.cluster.wait_for("one to lead", partial(_renewed_since, controllers, time.time()))
        assert envoy.given() == given
        assert [(event.verb, event.resource, event.name) for event in controllers.writes(mark)] == []
        world.turn("r-201", "two")
        world.wait_backend("r-201", "two")
        world.cluster.wait_for("its status", lambda: world.observed("r-201"))
    assert traffic.verdict() == ""
    print(f"\n{KILLS} kills: {len(traffic.failures)} of {traffic.total} requests failed")


def test_forgotten_history_makes_nothing_flicker(world: World) -> None:
    """Whoever watched is told 410 and lists again; what is listed is what was known."""
    controllers, envoy = world.controllers, world.envoy("edge")
    given, mark = envoy.given(), world.cluster.audit.mark()
    with world.traffic() as traffic:
        routes = PATHS["routes"].format(world.namespace)
        old = world.cluster.get(routes)["metadata"]["resourceVersion"]
        _make_history(world)
        world.cluster.compact()
        world.cluster.wait_ready()
        assert [event["object"].get("code") for event in world.cluster.api.watch(routes, old, 1)] == [410]
        world.turn("r-202", "two")
        world.wait_backend("r-202", "two")
        world.cluster.wait_for("its status", lambda: world.observed("r-202"))
        written = [(event.resource, event.name) for event in controllers.writes(mark)]
        assert set(written) == {("httproutes/status", "r-202")}
        _is_only_changed(given, envoy.given())
    assert traffic.verdict() == ""
    print(f"\ncompaction: {len(traffic.failures)} of {traffic.total} requests failed")


def test_another_leads_when_the_leader_stands_still_or_dies(world: World) -> None:
    """It writes soon after the Lease has run out, and at no time do two."""
    controllers = world.controllers
    # After what other tests did the leader may have to find its feet, or be followed by another.
    world.cluster.wait_for("one to lead", partial(_renewed_since, controllers, time.time()))
    first = _leader(controllers)
    with world.traffic() as traffic:
        stopped = controllers.pids_of(first)
        send(stopped, signal.SIGSTOP)
        mark = world.cluster.audit.mark()
        try:
            stood = _succession(world, "r-203", _name(first))
        finally:
            send(stopped, signal.SIGCONT)
        # It may believe that it leads until it looks; meanwhile there is something to write.
        for number in range(210, 220):
            world.turn(f"r-{number:03}", "two")
        world.cluster.wait_for("every status", lambda: all(world.observed(f"r-{n:03}") for n in range(210, 220)))
        second = _leader(controllers)
        send(controllers.pids_of(second), signal.SIGKILL)
        # The same pod would be started again and hold what it held.
        world.cluster.api.delete(f"/api/v1/namespaces/{controllers.namespace}/pods/{_name(second)}", 0)
        died = _succession(world, "r-204", _name(second))
        controllers.wait_ready()
    turns = _turns(controllers, world, mark)
    assert turns[-2:] == [_name(second), _leader_name(controllers)]
    # Who followed was not interrupted.
    assert len(turns) == len(set(turns))
    assert traffic.verdict() == ""
    print(f"\nsuccession: {stood:.1f} s after standing still, {died:.1f} s after dying")
    print(f"{len(traffic.failures)} of {traffic.total} requests failed")


def _are_new(controllers: Installed, before: set[int]) -> bool:
    return len(now := set(controllers.pids())) == 2 and not now & before


def _renewed_since(controllers: Installed, moment: float) -> bool:
    stamp = controllers.lease()["spec"]["renewTime"].rstrip("Z")
    return calendar.timegm(time.strptime(stamp.partition(".")[0], "%Y-%m-%dT%H:%M:%S")) >= moment


def _make_history(world: World) -> None:
    path = f"/api/v1/namespaces/{world.namespace}/configmaps"
    for number in range(20):
        world.cluster.api.call("POST", path, {"metadata": {"name": f"history-{number}"}})


def _is_only_changed(before: Mapping[str, str], after: Mapping[str, str]) -> None:
    """Nothing was given up or taken over again but the route table of the one route that turned."""
    changed = {name for name in before if before[name] != after.get(name)}
    assert all(name.startswith("dynamic_route_configs") for name in changed)


def _leader(controllers: Installed) -> Object:
    name = controllers.leader()
    return next(pod for pod in controllers.pods() if _name(pod) == name)


def _leader_name(controllers: Installed) -> str:
    return _name(_leader(controllers))


def _name(pod: Object) -> str:
    return str(pod["metadata"]["name"])


def _succession(world: World, route: str, former: str) -> float:
    """Change a route, and wait until another replica than the former has written its status; in how many seconds."""
    began = time.monotonic()
    world.turn(route, "two")
    world.cluster.wait_for("a status by another", lambda: world.observed(route), PATIENCE_SECONDS)
    seconds = time.monotonic() - began
    assert world.controllers.leader() != former
    assert seconds < SUCCESSION_SECONDS
    return seconds


def _turns(controllers: Installed, world: World, mark: int) -> list[str]:
    """Who wrote since a mark, in order, each once for all that it wrote in a row."""
    events = sorted(
        (event for event in world.cluster.audit.writes(mark) if event.by == controllers.account),
        key=lambda event: event.received,
    )
    writers = [event.pod for event in events if event.code < 300]
    return [pod for number, pod in enumerate(writers) if number == 0 or writers[number - 1] != pod]
