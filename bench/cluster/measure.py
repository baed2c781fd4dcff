"""What is measured of one contender with so many routes: creation, changes, rest, cost, its sudden end."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial

from msgspec import Struct

from bench.client import Client, SteadyLoad
from bench.cluster.objects import PORT, STEADY_HOST
from bench.cluster.requests import Connection
from bench.cluster.site import POLL_SECONDS, Site
from bench.cluster.writes import Writes
from bench.contender import host
from bench.figures import Fault, quantile
from bench.programs import cpu_seconds, resident_mib, say

PER_SECOND = 200.0
CONNECTIONS = 8
CREATED_SECONDS = 240.0
CHANGED_SECONDS = 30.0
# A configuration taken in at most every two seconds must not make one change pay for another.
COST_PAUSE_SECONDS = 2.2
BASELINE_SECONDS = 9.0
# Traffic goes on for so long after the controller works again.
AFTER_KILL_SECONDS = 2.0
# Prime, so that edits wander over all routes.
STRIDE = 37
API_SERVER = ("kube-apiserver", "etcd")


# However long they take.
LEAST_CHANGES = 6


class Plan(Struct, frozen=True):
    """How often each sort of change is made, and how long a contender is watched at rest (0: not).

    A sort of change for which ``change_seconds`` are over is not made more often.
    """

    edits: int = 40
    adds: int = 15
    moves: int = 15
    costed: int = 5
    change_seconds: float = 15.0
    idle_seconds: float = 60.0


class Times(Struct, frozen=True):
    """Milliseconds from the first byte of the request to the first answer that shows the change."""

    count: int
    p50: float
    p90: float
    worst: float


class Traffic(Struct, frozen=True):
    """Requests that were made, and how many of them failed, by status or "no answer"."""

    requests: int
    failures: dict[str, int]

    @property
    def failed(self) -> int:
        return sum(self.failures.values())


class Figures(Struct, frozen=True):
    """One contender with so many routes. Times of creation are seconds after the last route was created."""

    contender: str
    routes: int
    create_seconds: float
    served_seconds: float
    statuses_seconds: float
    writes_per_route: float
    edit: Times
    add: Times
    move: Times
    control_cpu_ms: float
    proxy_cpu_ms: float
    server_cpu_ms: float
    control_mib: float
    replicas: int
    proxy_mib: float
    traffic: Traffic
    kill_traffic: Traffic
    recovered_seconds: float
    idle_writes: int | None


def times(milliseconds: Sequence[float]) -> Times:
    """The spread of at least one time."""
    p50, p90 = (quantile(milliseconds, share) for share in (0.5, 0.9))
    return Times(len(milliseconds), p50, p90, max(milliseconds))


def measure(site: Site, plan: Plan) -> Figures:
    """Everything, with progress on stderr."""
    label = f"{site.size:,} routes: {site.contender.name}"
    with _load(site) as load:
        created = _created(site)
        say(f"{label}: served {created.served:.2f} s, statuses {created.statuses:.2f} s after the last of them")
        changes = _Changes(site, plan.change_seconds)
        edit, add, move = (
            changes.edits(plan.edits),
            changes.adds(plan.adds),
            changes.moves(plan.moves),
        )
        say(f"{label}: changed route p50 {edit.p50:.1f} ms, new {add.p50:.1f} ms, endpoint {move.p50:.1f} ms")
    failures = changes.failures + Counter(load.failures)
    traffic = Traffic(load.requests + changes.asked, dict(failures))
    idle = _idle(site, plan.idle_seconds) if plan.idle_seconds else None
    cost = _cost(site, plan.costed)
    control, proxy = (pick(site.cluster) for pick in (site.contender.control_pids, site.contender.proxy_pids))
    memory = resident_mib(control), resident_mib(proxy)
    recovered, kill_traffic = _killed(site, control)
    say(f"{label}: failed {traffic.failed} of {traffic.requests:,}; by a kill {kill_traffic.failed}")
    return Figures(
        contender=site.contender.name,
        routes=site.size,
        create_seconds=created.create,
        served_seconds=created.served,
        statuses_seconds=created.statuses,
        writes_per_route=created.writes_per_route,
        edit=edit,
        add=add,
        move=move,
        control_cpu_ms=cost[0],
        proxy_cpu_ms=cost[1],
        server_cpu_ms=cost[2],
        control_mib=memory[0],
        replicas=len(control),
        proxy_mib=memory[1],
        traffic=traffic,
        kill_traffic=kill_traffic,
        recovered_seconds=recovered,
        idle_writes=idle,
    )


def _load(site: Site) -> SteadyLoad:
    return SteadyLoad(PORT, STEADY_HOST, connections=CONNECTIONS, per_second=PER_SECOND, address=site.address)


# Creation


class _Created(Struct, frozen=True):
    create: float
    served: float
    statuses: float
    writes_per_route: float


def _created(site: Site) -> _Created:
    writes = Writes(site.cluster.layout.audit_log, site.contender.account)
    last, create = site.create_routes()
    # The audit log tells the time of day.
    last_of_day = time.time() - (time.perf_counter() - last)
    with closing(site.client()) as client:
        served = _all_served(site, client) - last
    deadline = time.perf_counter() + CREATED_SECONDS
    while len(writes.first_status) < site.size:
        if time.perf_counter() > deadline:
            raise Fault(f"{site.contender.name}: {len(writes.first_status)} of {site.size} statuses were written")
        time.sleep(0.1)
        writes.read()
    statuses = max(writes.first_status.values()) - last_of_day
    if missing := site.unanswered():
        raise Fault(f"{site.contender.name}: {missing} routes are not accepted")
    time.sleep(1.0)
    writes.read()
    return _Created(create, max(0.0, served), max(0.0, statuses), writes.statuses / site.size)


def _all_served(site: Site, client: Client) -> float:
    """The moment at which the last of all routes was seen to be served that was not served when it was asked first.

    The newest is asked until it is there; what is asked after it, and is there at once, was there before.
    """
    served = 0.0
    for route in sorted(site.routes, reverse=True):
        if not served or not site.serves(client, route):
            served = site.wait_served(client, route, CREATED_SECONDS)
    return served


# Changes


class _Changes:
    """Makes changes one at a time; nothing that is asked of a route that there was may fail."""

    def __init__(self, site: Site, seconds: float) -> None:
        self._site = site
        self._seconds = seconds
        self._connection = Connection(site.cluster)
        self._client = site.client()
        self._pauses = random.Random(7)
        self._next = 0
        self.asked = 0
        self.failures: Counter[str] = Counter()

    def edits(self, count: int) -> Times:
        """Routes sent to another Service."""
        return self._times(count, partial(self._changed, self._site.begin_edit))

    def moves(self, count: int) -> Times:
        """Services whose endpoint is another."""
        return self._times(count, partial(self._changed, self._site.begin_move))

    def adds(self, count: int) -> Times:
        """New routes; that nobody answers before they are there is no failure."""
        return self._times(count, self._added)

    def _times(self, count: int, make: Callable[[], float]) -> Times:
        taken: list[float] = []
        ends = time.perf_counter() + self._seconds
        while len(taken) < count and (len(taken) < LEAST_CHANGES or time.perf_counter() < ends):
            taken.append(make())
        return times(taken)

    def _changed(self, begin: Callable[[Connection, int], float]) -> float:
        self._rest()
        route = self._next * STRIDE % self._site.size
        self._next += 1
        # A connection of the right age: it was not just opened.
        self._client.get(host(route))
        began = begin(self._connection, route)
        seconds = self._until_served(route) - began
        self._connection.end()
        return seconds * 1000

    def _added(self) -> float:
        self._rest()
        route, began = self._site.begin_add(self._connection)
        seconds = self._site.wait_served(self._client, route, CHANGED_SECONDS) - began
        self._connection.end()
        return seconds * 1000

    def _until_served(self, route: int) -> float:
        wanted, deadline = self._site.body(route), time.perf_counter() + CHANGED_SECONDS
        while True:
            answer = self._client.get(host(route))
            self.asked += 1
            if answer.status != 200:
                self.failures[str(answer.status) if answer.status else "no answer"] += 1
            if answer.body == wanted:
                return time.perf_counter()
            if time.perf_counter() > deadline:
                raise Fault(f"{self._site.contender.name}: a change is not served after {CHANGED_SECONDS:g} s")
            time.sleep(POLL_SECONDS)

    def _rest(self) -> None:
        """Changes do not come at even intervals."""
        time.sleep(self._pauses.uniform(0.1, 0.3))


# Cost


def _cost(site: Site, changes: int) -> tuple[float, ...]:
    """Milliseconds of CPU time of one changed route: controller, proxies, API server with its store.

    Nobody asks for anything meanwhile, and what all use at rest is taken off.
    """
    server = [site.cluster.processes[name].pid for name in API_SERVER]
    groups = [site.contender.control_pids(site.cluster), site.contender.proxy_pids(site.cluster), server]
    used = partial(_used, groups)
    began, before = time.perf_counter(), used()
    time.sleep(BASELINE_SECONDS)
    rates = [(now - then) / (time.perf_counter() - began) for now, then in zip(used(), before, strict=True)]
    with closing(Connection(site.cluster)) as connection:
        began, before = time.perf_counter(), used()
        for number in range(changes):
            site.begin_edit(connection, (number * STRIDE + 1) % site.size)
            connection.end()
            time.sleep(COST_PAUSE_SECONDS)
        after, seconds = used(), time.perf_counter() - began
    return tuple(
        max(0.0, now - then - rate * seconds) * 1000 / changes
        for now, then, rate in zip(after, before, rates, strict=True)
    )


def _used(groups: Sequence[Sequence[int]]) -> list[float]:
    return [cpu_seconds(pids) for pids in groups]


# Its sudden end, and rest


def _killed(site: Site, control: Sequence[int]) -> tuple[float, Traffic]:
    """Kill all of the controller; seconds until it has served a change again, and what traffic saw of that."""
    with _load(site) as load, closing(site.client()) as client, closing(Connection(site.cluster)) as connection:
        time.sleep(0.5)
        killed = time.perf_counter()
        for pid in control:
            os.kill(pid, signal.SIGKILL)
        site.begin_edit(connection, 0)
        connection.end()
        recovered = site.wait_served(client, 0, CREATED_SECONDS) - killed
        time.sleep(AFTER_KILL_SECONDS)
    return recovered, Traffic(load.requests, load.failures)


def _idle(site: Site, seconds: float) -> int:
    """What the contender writes while nothing changes."""
    writes = Writes(site.cluster.layout.audit_log, site.contender.account)
    # What was changed last may still be told.
    time.sleep(2.0)
    writes.read()
    before = writes.total
    time.sleep(seconds)
    writes.read()
    return writes.total - before
