"""Events tell each problem once, at a bounded rate, and never harm anything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sinks.recording_api import RecordingApi, refusal
from trilithon.kube.client import Client
from trilithon.resources.meta import Key
from trilithon.resources.problem import Problem
from trilithon.sinks.objects.event_queue import (
    BURST,
    MOST_WAITING,
    OBJECT_BURST,
    OBJECT_SECONDS_EACH,
    SECONDS_EACH,
    STALE_SECONDS,
    EventQueue,
    Occurrence,
)
from trilithon.sinks.objects.event_recorder import EventRecorder

OURS = "trilithon.dev/gateway-controller"
ROUTE = Key("HTTPRoute", "shop", "cart")
CLASS = Key("GatewayClass", "", "trilithon")


def problem(message: str = "Service shop/cart not found", key: Key = ROUTE) -> Problem:
    return Problem("BackendNotFound", key, "spec.rules[0].backendRefs[0]", message)


def occurrence(number: int, uid: str = "") -> Occurrence:
    return Occurrence(ROUTE, uid or str(number), problem(str(number)))


def drained(queue: EventQueue, now: float) -> list[str]:
    found = []
    while (taken := queue.next(now)) is not None:
        found.append(taken.problem.message)
    return found


def test_a_burst_goes_at_once_and_the_rest_at_a_rate() -> None:
    queue = EventQueue(0.0)
    for number in range(BURST + 10):
        queue.add(occurrence(number), 0.0)
    assert drained(queue, 0.0) == [str(number) for number in range(BURST)]
    wait = queue.wait(0.0)
    assert wait == pytest.approx(SECONDS_EACH)
    assert drained(queue, SECONDS_EACH) == [str(BURST)]
    assert len(drained(queue, 100.0)) == 9
    assert queue.wait(100.0) is None


def test_one_object_does_not_take_all_of_it() -> None:
    queue = EventQueue(0.0)
    for number in range(100):
        queue.add(occurrence(number, "loud"), 0.0)
    queue.add(occurrence(1000), 0.0)
    assert drained(queue, 0.0) == [*(str(number) for number in range(OBJECT_BURST)), "1000"]
    queue.add(occurrence(200, "loud"), OBJECT_SECONDS_EACH)
    queue.add(occurrence(201, "loud"), OBJECT_SECONDS_EACH)
    assert drained(queue, OBJECT_SECONDS_EACH) == ["200"]


def test_what_waited_too_long_is_not_told() -> None:
    queue = EventQueue(0.0)
    queue.add(occurrence(1), 0.0)
    queue.add(occurrence(2), STALE_SECONDS)
    assert drained(queue, STALE_SECONDS + 1) == ["2"]


def test_not_everything_waits_and_the_newest_does() -> None:
    queue = EventQueue(0.0)
    for number in range(2 * MOST_WAITING):
        queue.add(occurrence(number), 0.0)
    assert len(queue._waiting) == MOST_WAITING
    assert drained(queue, 0.0) == [str(number) for number in range(MOST_WAITING, MOST_WAITING + BURST)]


def test_what_nobody_took_is_not_in_the_way_of_what_is_new() -> None:
    """While another leads nothing is taken; what happened just before it ended is told by who follows."""
    queue = EventQueue(0.0)
    for number in range(MOST_WAITING):
        queue.add(occurrence(number, f"uid-{number % 100}"), 0.0)
    ended = 10 * STALE_SECONDS
    queue.add(occurrence(9000, "uid-1"), ended - 5)
    queue.add(occurrence(9001, "another"), ended - 1)
    assert drained(queue, ended) == ["9000", "9001"]


def test_what_was_never_told_does_not_count_against_its_object() -> None:
    queue = EventQueue(0.0)
    for number in range(OBJECT_BURST):
        queue.add(occurrence(number, "loud"), 0.0)
    # So much later that these are stale, and before the rate alone would allow as many again.
    later = STALE_SECONDS + 1
    assert later < OBJECT_BURST * OBJECT_SECONDS_EACH
    for number in range(OBJECT_BURST):
        queue.add(occurrence(100 + number, "loud"), later)
    assert drained(queue, later) == [str(100 + number) for number in range(OBJECT_BURST)]


@given(
    st.lists(
        st.tuples(st.floats(0.0, 100.0), st.sampled_from(["add", "add", "add", "take", "take all"]), st.integers(0, 3)),
        max_size=200,
    )
)
def test_what_is_told_is_new_in_order_and_within_the_rates_and_the_newest_is_not_lost(
    steps: list[tuple[float, str, int]],
) -> None:
    """Whatever comes when, and however long nobody takes anything."""
    now, queue = 0.0, EventQueue(0.0)
    added: dict[str, tuple[float, str]] = {}
    told: list[tuple[float, str]] = []
    for seconds, step, which in steps:
        now += seconds
        if step == "add":
            message = str(len(added))
            added[message] = (now, str(which))
            queue.add(occurrence(len(added) - 1, str(which)), now)
            continue
        while (taken := queue.next(now)) is not None:
            told.append((now, taken.problem.message))
            if step == "take":
                break
    assert [int(message) for _, message in told] == sorted({int(message) for _, message in told})
    for at, message in told:
        assert at - added[message][0] <= STALE_SECONDS
    for uid in {uid for _, uid in added.values()}:
        mine = [added[message][0] for _, message in told if added[message][1] == uid]
        for first in range(len(mine)):
            for last in range(first, len(mine)):
                spread = mine[last] - mine[first]
                assert last - first + 1 <= OBJECT_BURST + spread / OBJECT_SECONDS_EACH + 1
    # An object that was quiet for long enough is heard, whatever the others did and whoever took nothing.
    now += STALE_SECONDS + 1
    queue.add(occurrence(len(added), "quiet"), now)
    assert str(len(added)) in drained(queue, now + BURST * SECONDS_EACH)


class World:
    """A recorder, its clock, and what the API server was asked."""

    def __init__(self, api: RecordingApi, client: Client) -> None:
        self.api = api
        self.now = 0.0
        self.is_leading = True
        self.recorder = EventRecorder(client, OURS, "trilithon-0", lambda: self.is_leading, lambda: self.now)


@asynccontextmanager
async def recording() -> AsyncIterator[World]:
    api = RecordingApi()
    async with api.client() as client:
        world = World(api, client)
        running = asyncio.create_task(world.recorder.run())
        yield world
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_an_event_names_the_object_the_reason_and_us() -> None:
    async with recording() as world:
        world.recorder.record(ROUTE, "u-1", problem())
        (event,) = await world.api.bodies(1)
    assert world.api.asked[0].path == "/apis/events.k8s.io/v1/namespaces/shop/events"
    del event["eventTime"]
    assert event.pop("metadata")["name"].startswith("cart.")
    assert event == {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "type": "Warning",
        "reason": "BackendNotFound",
        "action": "Translate",
        "note": "spec.rules[0].backendRefs[0]: Service shop/cart not found",
        "regarding": {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "namespace": "shop",
            "name": "cart",
            "uid": "u-1",
        },
        "reportingController": OURS,
        "reportingInstance": "trilithon-0",
    }


async def test_an_event_about_no_namespace_is_in_the_default_one() -> None:
    async with recording() as world:
        world.recorder.record(CLASS, "u-2", problem(key=CLASS))
        (event,) = await world.api.bodies(1)
    assert event["metadata"]["namespace"] == "default"
    assert "namespace" not in event["regarding"]


async def test_a_long_note_is_cut_to_bytes() -> None:
    async with recording() as world:
        world.recorder.record(ROUTE, "u", problem("é" * 2000))
        (event,) = await world.api.bodies(1)
    assert 1018 <= len(event["note"].encode()) <= 1024


async def test_a_long_name_leaves_room() -> None:
    key = Key("HTTPRoute", "shop", "a" * 235 + "." + "b" * 17)
    async with recording() as world:
        world.recorder.record(key, "u", problem(key=key))
        (event,) = await world.api.bodies(1)
    assert len(event["metadata"]["name"]) <= 253
    assert ".." not in event["metadata"]["name"]


async def test_a_problem_that_comes_back_counts_up() -> None:
    async with recording() as world:
        for _ in range(3):
            world.recorder.record(ROUTE, "u", problem())
        world.recorder.record(ROUTE, "u", problem("another"))
        first, second, third, other = await world.api.bodies(4)
    assert [each["series"]["count"] for each in (second, third)] == [2, 3]
    assert world.api.asked[1].path.endswith(f"/events/{first['metadata']['name']}")
    assert first["metadata"]["name"] != other["metadata"]["name"]


async def test_one_that_was_forgotten_by_the_server_is_made_anew() -> None:
    async with recording() as world:
        world.api.answer = lambda asked: refusal(404, "NotFound") if asked.method == "PATCH" else None
        world.recorder.record(ROUTE, "u", problem())
        world.recorder.record(ROUTE, "u", problem())
        await world.api.bodies(3)
    assert [asked.method for asked in world.api.asked] == ["POST", "PATCH", "POST"]


async def test_after_a_restart_the_name_is_the_same_and_nothing_is_repeated() -> None:
    names = set()
    for _ in range(2):
        async with recording() as world:
            world.api.answer = lambda _: refusal(409, "AlreadyExists")
            world.recorder.record(ROUTE, "u", problem())
            (event,) = await world.api.bodies(1)
            names.add(event["metadata"]["name"])
            await asyncio.sleep(0)
            assert len(world.api.asked) == 1
    assert len(names) == 1


async def test_what_was_told_before_a_restart_counts_up_too() -> None:
    async with recording() as world:
        world.api.answer = lambda asked: refusal(409, "AlreadyExists") if asked.method == "POST" else None
        world.recorder.record(ROUTE, "u", problem())
        world.recorder.record(ROUTE, "u", problem())
        await world.api.bodies(2)
    assert [asked.method for asked in world.api.asked] == ["POST", "PATCH"]


async def test_a_failure_costs_one_event() -> None:
    async with recording() as world:
        world.api.answer = lambda asked: refusal(403, "Forbidden") if "one" in asked.body["note"] else None
        world.recorder.record(ROUTE, "u", problem("one"))
        world.recorder.record(ROUTE, "u", problem("two"))
        assert [event["note"].split()[-1] for event in await world.api.bodies(2)] == ["one", "two"]


async def test_nothing_is_told_while_another_leads() -> None:
    async with recording() as world:
        world.is_leading = False
        world.recorder.record(ROUTE, "u", problem("early"))
        world.now = STALE_SECONDS
        world.recorder.record(ROUTE, "u", problem("late"))
        await asyncio.sleep(0)
        world.now += 1
        world.is_leading = True
        world.recorder.lead()
        (event,) = await world.api.bodies(1)
    assert event["note"].endswith("late")
