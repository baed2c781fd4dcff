"""The API server ends for a minute, or stands still for longer: who is served notices nothing, and new Envoys start."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from testcluster.api import Object
from tests.cluster.faults.objects import route
from tests.cluster.faults.processes import send
from tests.cluster.faults.world import SPARE_ROUTES, World

pytestmark = [pytest.mark.timeout(600), pytest.mark.usefixtures("restored")]

SERVER = "kube-apiserver"
KILLED_SECONDS = 60.0
STOPPED_SECONDS = 90.0
CONVERGED_SECONDS = 60.0
NOTICED_SECONDS = 60.0
TOLD_SECONDS = 20.0
"""Problems are told together, some seconds after they are noticed."""
WATCHED = frozenset({"Gateway", "HTTPRoute", "Service", "EndpointSlice", "Secret", "ReferenceGrant"})
NEW_ENVOY_SECONDS = 50.0
ALONE_SECONDS = 10.0
"""How long replicas have to do something rash."""


def test_a_killed_api_server_is_missed_by_nobody(world: World) -> None:
    """A minute without it, with changes just before and just after."""
    with world.traffic() as traffic:
        outage = Outage(world, ("r-100", "r-101"))
        outage.change_before()
        world.cluster.kill(SERVER)
        outage.last(KILLED_SECONDS, lambda: world.cluster.start(SERVER))
    assert traffic.verdict() == ""
    print(f"\nkilled: {len(traffic.failures)} of {traffic.total} requests failed; {outage}")


def test_an_api_server_that_stands_still_is_missed_by_nobody(world: World) -> None:
    """Its connections stay open and say nothing: that is noticed within a minute, and told."""
    with world.traffic() as traffic:
        outage = Outage(world, ("r-102", "r-103"))
        outage.change_before()
        stopped = datetime.now(UTC)
        world.cluster.pause(SERVER)
        try:
            outage.last(STOPPED_SECONDS, lambda: world.cluster.resume(SERVER))
        finally:
            world.cluster.resume(SERVER)
        noticed = [_noticed(world, pod, stopped) for pod in world.controllers.pods()]
    assert traffic.verdict() == ""
    assert all(seconds < NOTICED_SECONDS + TOLD_SECONDS for seconds in noticed)
    print(f"\nstopped: {len(traffic.failures)} of {traffic.total} requests failed; {outage}")
    print(f"noticed after {', '.join(f'{seconds:.1f}' for seconds in noticed)} s")


def test_replicas_that_start_without_an_api_server_wait_for_it(world: World) -> None:
    """They give Envoys nothing rather than too little, and everything once they know it."""
    edge = world.envoy("edge")
    given, pods = edge.given(), world.controllers.pods()
    with world.traffic() as traffic:
        world.turn("r-104", "two")
        world.wait_backend("r-104", "two")
        world.cluster.kill(SERVER)
        try:
            pids = [pid for pod in pods for pid in world.controllers.pids_of(pod)]
            send(pids, signal.SIGKILL)
            world.cluster.wait_for("new replicas", lambda: all(map(world.controllers.pids_of, pods)))
            time.sleep(ALONE_SECONDS)
            assert given.keys() <= edge.given().keys()
            # For a moment it may seem to have one: whenever it asks for one.
            world.cluster.wait_for("no stream that lasts", lambda: not edge.is_connected(), 10)
        finally:
            world.cluster.start(SERVER)
        world.cluster.wait_ready()
        began = time.monotonic()
        world.turn("r-104", "one-00")
        world.wait_backend("r-104", "one", CONVERGED_SECONDS)
        seconds = time.monotonic() - began
    assert traffic.verdict() == ""
    print(f"\nstarted without: {len(traffic.failures)} of {traffic.total} requests failed")
    print(f"converged {seconds:.1f} s after")


class Outage:
    """Two routes turn, one before and one after; an Envoy starts meanwhile; then a route comes and another goes."""

    def __init__(self, world: World, routes: tuple[str, str]) -> None:
        self._world = world
        self._before, self._after = routes
        self._came, self._goes = f"came-{self._before}", f"goes-{self._before}"
        self._spare = world.pods("spare")[0]
        self._edge = world.envoy("edge")
        self._given = self._edge.given()
        self._new_envoy = self._converged = 0.0
        world.create([route(self._goes, "one-00", "edge")])
        world.wait_backend(self._goes, "one")

    def __str__(self) -> str:
        return f"a new Envoy served after {self._new_envoy:.1f} s, converged {self._converged:.1f} s after"

    def change_before(self) -> None:
        """Change a route and endpoints; who is told may have heard of it or not when the server goes."""
        self._world.turn(self._before, "two")
        self._world.move("two", "three")

    def last(self, seconds: float, end: Callable[[], None]) -> None:
        """Let it last so long from now, end it, and see everything converge."""
        until = time.monotonic() + seconds
        self._new_envoy = self._start_envoy()
        time.sleep(max(0.0, until - time.monotonic()))
        assert self._lost() == set()
        end()
        self._world.cluster.wait_ready()
        self._converged = self._converge()

    def _start_envoy(self) -> float:
        """End the second Gateway's Envoy and wait until the next one serves everything, from the controllers alone."""
        world, address = self._world, self._spare["status"]["podIP"]
        before = set(world.envoy_pids(self._spare))
        began = time.monotonic()
        send(sorted(before), signal.SIGKILL)
        names = world.names[:SPARE_ROUTES]

        def serves() -> bool:
            now = set(world.envoy_pids(self._spare))
            return bool(now) and not now & before and all(world.backend_of(name, address) == "one" for name in names)

        world.cluster.wait_for("a new Envoy to serve everything", serves, NEW_ENVOY_SECONDS)
        return time.monotonic() - began

    def _converge(self) -> float:
        """Change more at once, and wait until all of it and what was changed before is served; in how many seconds."""
        world, began = self._world, time.monotonic()
        world.turn(self._after, "two")
        world.create([route(self._came, "one-00", "edge")])
        world.remove(self._goes)
        wanted = {self._before: "three", self._after: "three", self._came: "one", self._goes: "404"}

        def is_served() -> bool:
            return all(world.backend_of(name) == backend for name, backend in wanted.items())

        world.cluster.wait_for("all changes to be served", is_served, CONVERGED_SECONDS)
        left = CONVERGED_SECONDS - (time.monotonic() - began)
        changed = (self._before, self._after, self._came)
        world.cluster.wait_for("their statuses", lambda: all(map(world.observed, changed)), left)
        seconds = time.monotonic() - began
        world.remove(self._came)
        world.move("two", "two")
        return seconds

    def _lost(self) -> set[str]:
        """What the first Gateway's Envoy had and has no longer."""
        return self._given.keys() - self._edge.given().keys()


def _noticed(world: World, pod: Object, since: datetime) -> float:
    """Seconds until a replica had told of every kind that it could not watch it."""
    moments: dict[str, float] = {}
    for line in world.controllers.log(pod):
        seconds = (datetime.fromisoformat(line["timestamp"]) - since).total_seconds()
        if line["event"] == "problem" and line["code"] == "KindNotWatched" and seconds > 0:
            # Kinds that have the same trouble are told together.
            for kind in line["object"].split(", "):
                moments.setdefault(kind.partition(".")[0], seconds)
    assert moments.keys() >= WATCHED
    return max(moments.values())
