"""Statuses on a real API server: shared with others, repaired without a fight, and not written without need."""

from __future__ import annotations

import asyncio
import time
from functools import partial

from testcluster import Cluster
from tests.cluster.status_writing import (
    OURS,
    ROUTES,
    Controller,
    entry,
    parents,
    route,
    said,
    timed,
    until,
    write_as_other,
)

FOREIGN = timed(entry("example.com/third", 7, "mine", gateway="elsewhere"))


def _says(cluster: Cluster, namespace: str, wanted: set[tuple[str, str, str]]) -> bool:
    return said(cluster, namespace) == wanted


def names(count: int) -> list[str]:
    return [f"route-{number}" for number in range(count)]


async def test_two_controllers_share_the_statuses_of_routes(cluster: Cluster, namespace: str) -> None:
    """Each says its own, both at once and again and again, and a third one's entries stay as they were."""
    routes = names(10)
    cluster.apply(*map(route, routes), namespace=namespace)
    for name in routes:
        write_as_other(cluster, namespace, name, [FOREIGN])
    mark = cluster.audit.mark()
    one, two = Controller(cluster, "test/one", "first"), Controller(cluster, "test/two", "first")
    async with one.running(namespace), two.running(namespace):
        for message in ("first", "second", "third"):
            one.say(message)
            two.say(message)
            wanted = {(name, each.name, message) for name in routes for each in (one, two)}
            wanted |= {(name, "example.com/third", "mine") for name in routes}
            await until("everybody's entries", partial(_says, cluster, namespace, wanted))
    assert all(FOREIGN in parents(cluster, namespace, name) for name in routes)
    for each in (one, two):
        assert sorted(each.writes(mark)) == sorted(routes * 3), "one write for each change"
        assert each.troubles == []


async def test_a_rival_is_not_fought(cluster: Cluster, namespace: str) -> None:
    """Somebody else writes our entries every 100 ms: we write at most once a second, and win in the end."""
    cluster.apply(route("contested"), namespace=namespace)
    ours = Controller(cluster, OURS, "ours")
    async with ours.running(namespace):
        await until("our entry", lambda: said(cluster, namespace) == {("contested", OURS, "ours")})
        mark, began = cluster.audit.mark(), time.monotonic()
        theirs = [timed(entry(OURS, 1, "theirs"))]
        for number in range(50):
            await asyncio.to_thread(write_as_other, cluster, namespace, "contested", theirs)
            await asyncio.sleep(max(0.0, began + 0.1 * (number + 1) - time.monotonic()))
        seconds = time.monotonic() - began
        count = len(ours.writes(mark))
        await until("our entry again", lambda: said(cluster, namespace) == {("contested", OURS, "ours")})
    assert 2 <= count <= seconds + 1


async def test_a_restart_writes_nothing(cluster: Cluster, namespace: str) -> None:
    routes = names(20)
    cluster.apply(*map(route, routes), namespace=namespace)
    async with Controller(cluster, OURS, "ours").running(namespace):
        await until("all entries", lambda: said(cluster, namespace) == {(name, OURS, "ours") for name in routes})
    mark = cluster.audit.mark()
    again = Controller(cluster, OURS, "ours")
    async with again.running(namespace):
        # What is new is written after all that is not was looked at.
        await asyncio.to_thread(cluster.apply, route("last"), namespace=namespace)
        await until("the new one", lambda: ("last", OURS, "ours") in said(cluster, namespace))
    assert again.writes(mark) == ["last"]


async def test_a_restart_takes_leftovers_away(cluster: Cluster, namespace: str) -> None:
    """Ours alone, and nothing of routes that we never spoke about."""
    cluster.apply(route("left"), route("foreign"), namespace=namespace)
    write_as_other(cluster, namespace, "left", [timed(entry(OURS, 1)), FOREIGN])
    write_as_other(cluster, namespace, "foreign", [FOREIGN])
    mark = cluster.audit.mark()
    silent = Controller(cluster, OURS, None)
    async with silent.running(namespace):
        await until("only foreign entries", lambda: parents(cluster, namespace, "left") == [FOREIGN])
    assert silent.writes(mark) == ["left"]
    assert parents(cluster, namespace, "foreign") == [FOREIGN]


async def test_storms_of_conflicts_converge(cluster: Cluster, namespace: str) -> None:
    """Somebody changes the object as fast as can be while what we want changes too."""
    cluster.apply(route("stormy"), namespace=namespace)
    path = f"{ROUTES.format(namespace)}/stormy"
    ours = Controller(cluster, OURS, "0")
    is_over = False

    def storm() -> int:
        count = 0
        while not is_over:
            count += 1
            cluster.api.merge(path, {"metadata": {"annotations": {"count": str(count)}}})
        return count

    mark = cluster.audit.mark()
    async with ours.running(namespace):
        storms = [asyncio.create_task(asyncio.to_thread(storm)) for _ in range(2)]
        began = time.monotonic()
        for number in range(1, 7):
            ours.say(str(number))
            await asyncio.sleep(0.5)
        await until("the last message", lambda: said(cluster, namespace) == {("stormy", OURS, "6")})
        seconds = time.monotonic() - began
        is_over = True
        changes = sum(await asyncio.gather(*storms))
    assert changes > 20
    assert len(ours.writes(mark)) <= 2 * seconds + 2
    assert len(ours.writes(mark, 409)) <= 20 * seconds
    assert ours.troubles == []


async def test_a_new_spec_is_answered_by_one_write(cluster: Cluster, namespace: str) -> None:
    """And it says which generation it speaks of."""
    cluster.apply(route("changing"), namespace=namespace)
    ours = Controller(cluster, OURS, "ours")

    def generation() -> int:
        found = parents(cluster, namespace, "changing")
        return found[0]["conditions"][0]["observedGeneration"] if found else 0

    async with ours.running(namespace):
        await until("the first generation", lambda: generation() == 1)
        first = parents(cluster, namespace, "changing")[0]["conditions"][0]["lastTransitionTime"]
        mark = cluster.audit.mark()
        changed = {**route("changing"), "spec": {**route("changing")["spec"], "hostnames": ["a.example"]}}
        await asyncio.to_thread(cluster.apply, changed, namespace=namespace)
        await until("the second generation", lambda: generation() == 2)
    assert ours.writes(mark) == ["changing"]
    assert parents(cluster, namespace, "changing")[0]["conditions"][0]["lastTransitionTime"] == first


async def test_a_route_that_goes_is_no_trouble(cluster: Cluster, namespace: str) -> None:
    routes = names(20)
    ours = Controller(cluster, OURS, "ours")
    async with ours.running(namespace):
        for _ in range(3):
            await asyncio.to_thread(lambda: cluster.apply(*map(route, routes), namespace=namespace))
            await asyncio.to_thread(lambda: cluster.delete(*map(route, routes), namespace=namespace))
        await asyncio.to_thread(cluster.apply, route("last"), namespace=namespace)
        await until("the last one", lambda: ("last", OURS, "ours") in said(cluster, namespace))
    assert ours.troubles == []
