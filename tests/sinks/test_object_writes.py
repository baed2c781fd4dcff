"""When objects are written: one write at a time, upon the newest version, not too often, and never without need."""

from __future__ import annotations

import itertools
import random
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from trilithon.kube.errors import ApiError, KubeError, Unreachable
from trilithon.kube.objects import ApiKind, ObjectPath
from trilithon.model.stored import Stored
from trilithon.resources.meta import Key
from trilithon.sinks.objects.object_writes import (
    NEWS_SECONDS,
    QUICK_CONFLICTS,
    REPAIR_SECONDS,
    Decision,
    Job,
    ObjectWrites,
    Read,
    Write,
)

WIDGETS = ApiKind("example.com", "v1", "Widget", "widgets")
KEY = Key("Widget", "default", "one")
OTHER = Key("Widget", "default", "two")
CONFLICT = ApiError(409, "Conflict", "the object has been modified")
NOT_FOUND = ApiError(404, "NotFound", "there is none")
FORBIDDEN = ApiError(403, "Forbidden", "you may not")
LOST = Unreachable("the connection was reset")
REFUSED = Unreachable("connection refused", is_unsent=True)
PASSING_SECONDS = 0.5


def widget(key: Key = KEY, version: int = 1, text: str = "", *, uid: str = "u", generation: int = 1) -> Stored:
    """A widget whose status is a text."""
    path = ObjectPath(WIDGETS, key.name, key.namespace)
    return Stored(path, uid, str(version), generation, (), text.encode())


def decide(stored: Stored, wish: str | None) -> Decision | None:
    """The wish is to be the status; words in it say what else there is to it."""
    wish = wish or ""
    if "raise" in wish:
        raise ValueError("this one is broken")
    if "later" in wish:
        return None
    trouble = "no room" if "much" in wish else ""
    body = {} if stored.status.decode() == wish else {"status": wish}
    return Decision(body, patience=PASSING_SECONDS if "soon" in wish else 0.0, trouble=trouble)


class World:
    """Widgets, a clock, and an API server that takes everything."""

    def __init__(self) -> None:
        self.writes: ObjectWrites[str | None] = ObjectWrites(decide, None, random.Random(1))
        self.now = 100.0
        self.version = 10
        self.written: list[tuple[Key, str]] = []

    def next(self) -> Job | None:
        return self.writes.next(self.now)

    def write(self) -> Write:
        job = self.next()
        assert isinstance(job, Write)
        return job

    def answer(self, job: Job, text: str | None = None) -> Stored:
        """The API server did it; returns what it holds now."""
        self.version += 1
        if isinstance(job, Read):
            stored = widget(job.key, self.version, text or "")
            self.writes.read(job.key, stored)
            return stored
        asked = msgspec.json.decode(job.body)["status"]
        stored = widget(job.key, self.version, asked if text is None else text)
        self.written.append((job.key, asked))
        self.writes.written(job.key, stored, self.now)
        return stored

    def fail(self, job: Job, error: KubeError) -> None:
        self.writes.failed(job.key, error, self.now)

    def idle(self) -> None:
        assert self.next() is None
        assert self.writes.wake_at(self.now) is None

    def wait(self) -> None:
        """Until there may be something to do."""
        assert self.next() is None
        at = self.writes.wake_at(self.now)
        assert at is not None
        assert at > self.now
        self.now = at


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def settled(world: World) -> World:
    """A widget that was written long ago."""
    world.writes.stored(KEY, widget())
    world.writes.want(KEY, "good")
    world.answer(world.write())
    world.now += 60
    return world


def body_of(job: Write) -> Any:
    return msgspec.json.decode(job.body)


def test_a_write_names_the_version_it_is_meant_for(world: World) -> None:
    world.writes.stored(KEY, widget(version=7))
    world.writes.want(KEY, "good")
    assert body_of(world.write()) == {"status": "good", "metadata": {"resourceVersion": "7"}}


def test_metadata_of_the_body_stays() -> None:
    writes = ObjectWrites(lambda _, wish: Decision({"metadata": {"finalizers": [wish]}}), "")
    writes.stored(KEY, widget(version=7))
    writes.want(KEY, "a")
    job = writes.next(0.0)
    assert isinstance(job, Write)
    assert body_of(job) == {"metadata": {"finalizers": ["a"], "resourceVersion": "7"}}


def test_nothing_is_written_for_what_is_right_or_unknown_or_unwanted(world: World) -> None:
    world.writes.stored(KEY, widget(text="good"))
    world.writes.want(KEY, "good")
    world.writes.want(OTHER, "good")
    world.writes.stored(Key("Widget", "default", "three"), widget())
    world.idle()


def test_our_own_write_comes_back_and_is_no_news(settled: World) -> None:
    settled.writes.stored(KEY, widget(version=settled.version, text="good"))
    settled.writes.look_again()
    settled.idle()


def test_the_event_of_our_own_write_may_come_before_the_answer(world: World) -> None:
    world.writes.stored(KEY, widget())
    world.writes.want(KEY, "good")
    job = world.write()
    world.writes.stored(KEY, widget(version=world.version + 1, text="good"))
    world.answer(job)
    world.idle()


def test_what_the_server_does_not_keep_is_not_sent_again(world: World) -> None:
    world.writes.stored(KEY, widget())
    world.writes.want(KEY, "good")
    world.answer(world.write(), "goo")
    world.now += 60
    world.writes.look_again()
    world.idle()


def test_an_older_version_is_not_believed(settled: World) -> None:
    settled.writes.stored(KEY, widget(version=2, text="old"))
    settled.idle()


def test_another_object_of_the_name_is_believed(settled: World) -> None:
    settled.writes.stored(KEY, widget(version=3, uid="v"))
    assert body_of(settled.write())["metadata"]["resourceVersion"] == "3"


def test_one_write_of_an_object_at_a_time(world: World) -> None:
    world.writes.stored(KEY, widget())
    world.writes.want(KEY, "one")
    job = world.write()
    for text in ("two", "three"):
        world.writes.want(KEY, text)
        assert world.next() is None
    world.answer(job)
    world.wait()
    world.answer(world.write())
    assert [text for _, text in world.written] == ["one", "three"]
    world.idle()


def test_what_changes_quickly_is_written_in_its_newest_form(settled: World) -> None:
    settled.writes.want(KEY, "first")
    settled.answer(settled.write())
    began = settled.now
    for number in range(10):
        settled.now += NEWS_SECONDS / 20
        settled.writes.want(KEY, f"then {number}")
        assert settled.next() is None
    settled.wait()
    assert settled.now == pytest.approx(began + NEWS_SECONDS)
    settled.answer(settled.write())
    assert [text for _, text in settled.written[1:]] == ["first", "then 9"]


def test_what_is_about_to_change_may_do_so_first(settled: World) -> None:
    settled.writes.want(KEY, "soon")
    assert settled.next() is None
    settled.now += PASSING_SECONDS / 2
    settled.writes.want(KEY, "done")
    assert body_of(settled.write())["status"] == "done"


def test_what_stays_about_to_change_is_written_in_the_end(settled: World) -> None:
    settled.writes.want(KEY, "soon")
    began = settled.now
    settled.wait()
    assert settled.now == began + PASSING_SECONDS
    settled.writes.want(KEY, "soon 2")
    settled.answer(settled.write())
    assert settled.written[-1] == (KEY, "soon 2")


def test_a_rival_is_answered_at_once_and_then_once_a_second(settled: World) -> None:
    began, times = settled.now, []
    for _ in range(100):
        settled.version += 1
        settled.writes.stored(KEY, widget(version=settled.version, text="theirs"))
        if (job := settled.next()) is not None:
            settled.answer(job)
            times.append(settled.now - began)
        settled.now += 0.1
    assert len(times) == 10
    assert times[0] == 0.0
    assert all(later - sooner >= REPAIR_SECONDS - 1e-9 for sooner, later in itertools.pairwise(times))


def test_a_conflict_is_read_and_decided_anew(settled: World) -> None:
    settled.writes.want(KEY, "new")
    settled.fail(settled.write(), CONFLICT)
    assert settled.next() == Read(KEY, widget().path)
    settled.version += 5
    settled.answer(Read(KEY, widget().path), "other")
    settled.answer(settled.write())
    assert settled.written[-1] == (KEY, "new")


def test_a_conflict_may_turn_out_to_be_what_is_wanted(settled: World) -> None:
    settled.writes.want(KEY, "new")
    settled.fail(settled.write(), CONFLICT)
    job = settled.next()
    assert isinstance(job, Read)
    settled.answer(job, "new")
    settled.idle()


def test_conflicts_end_in_patience(settled: World) -> None:
    settled.writes.want(KEY, "new")
    for _ in range(QUICK_CONFLICTS):
        settled.fail(settled.write(), CONFLICT)
        job = settled.next()
        assert isinstance(job, Read)
        settled.answer(job, "other")
    settled.fail(settled.write(), CONFLICT)
    settled.wait()
    job = settled.next()
    assert isinstance(job, Read)
    settled.answer(job, "other")
    settled.answer(settled.write())
    settled.idle()


@pytest.mark.parametrize("wish", ["new", None])
def test_what_is_gone_is_not_written(settled: World, wish: str | None) -> None:
    settled.writes.want(KEY, "new")
    settled.fail(settled.write(), NOT_FOUND)
    settled.writes.want(KEY, wish)
    settled.writes.stored(KEY, None)
    settled.idle()


def test_what_is_not_found_is_read_now_and_then_until_the_watch_tells_of_it(settled: World) -> None:
    """The API server may have denied its kind because it has only just started."""
    settled.writes.want(KEY, "new")
    settled.fail(settled.write(), NOT_FOUND)
    waits = []
    for _ in range(12):
        began = settled.now
        settled.wait()
        waits.append(settled.now - began)
        job = settled.next()
        assert isinstance(job, Read)
        settled.fail(job, NOT_FOUND)
    assert 30 <= waits[-1] <= 60
    settled.writes.stored(KEY, None)
    assert settled.next() is None
    settled.writes.stored(KEY, widget(uid="v"))
    settled.answer(settled.write())
    assert settled.written[-1] == (KEY, "new"), "at once, for another object"


def test_another_object_of_the_name_is_not_forgotten_for_a_late_answer(settled: World) -> None:
    """`kubectl replace --force` deletes and creates; both are told before the answer about the object of before."""
    settled.writes.want(KEY, "new")
    job = settled.write()
    settled.writes.stored(KEY, None)
    settled.writes.stored(KEY, widget(version=20, uid="v"))
    settled.fail(job, NOT_FOUND)
    assert body_of(settled.write()) == {"status": "new", "metadata": {"resourceVersion": "20"}}


def test_another_object_of_the_name_is_not_taken_for_the_one_that_was_written(settled: World) -> None:
    settled.writes.want(KEY, "new")
    job = settled.write()
    settled.writes.stored(KEY, None)
    settled.writes.stored(KEY, widget(version=20, uid="v"))
    settled.answer(job)
    settled.now += NEWS_SECONDS + REPAIR_SECONDS
    assert body_of(settled.write()) == {"status": "new", "metadata": {"resourceVersion": "20"}}


def test_what_was_read_counts_even_if_it_seems_older(settled: World) -> None:
    """An API server that went back to a copy of its data has other versions."""
    settled.writes.want(KEY, "new")
    settled.fail(settled.write(), CONFLICT)
    job = settled.next()
    assert isinstance(job, Read)
    settled.writes.read(KEY, widget(version=3, text="old"))
    assert body_of(settled.write()) == {"status": "new", "metadata": {"resourceVersion": "3"}}


def test_what_was_told_while_it_was_read_is_not_undone(settled: World) -> None:
    settled.writes.want(KEY, "new")
    settled.fail(settled.write(), CONFLICT)
    job = settled.next()
    assert isinstance(job, Read)
    settled.writes.stored(KEY, widget(version=21, text="a rival's"))
    settled.writes.read(KEY, widget(version=20, text="new"))
    settled.now += NEWS_SECONDS
    assert body_of(settled.write())["metadata"]["resourceVersion"] == "21"


@pytest.mark.parametrize("said", [None, replace(widget(version=9), is_doubtful=True)])
def test_older_states_count_after_it_was_said_that_nothing_is_known(settled: World, said: Stored | None) -> None:
    settled.writes.stored(KEY, said)
    settled.idle()
    settled.writes.stored(KEY, widget(version=3, text="old"))
    settled.answer(settled.write())
    assert settled.written[-1] == (KEY, "good")


def test_what_is_gone_while_it_is_written_is_dropped(settled: World) -> None:
    settled.writes.want(KEY, "new")
    job = settled.write()
    settled.writes.want(KEY, None)
    settled.writes.stored(KEY, None)
    settled.answer(job)
    settled.idle()
    assert not settled.writes._objects


@pytest.mark.parametrize("is_first", [True, False])
def test_nothing_is_remembered_of_what_is_gone(settled: World, is_first: bool) -> None:
    for step in (0, 1) if is_first else (1, 0):
        if step:
            settled.writes.want(KEY, None)
        else:
            settled.writes.stored(KEY, None)
    settled.next()
    assert not settled.writes._objects


def test_an_error_of_one_object_costs_only_that_object(world: World) -> None:
    for key in (KEY, OTHER):
        world.writes.stored(key, widget(key))
        world.writes.want(key, "good")
    world.fail(world.write(), FORBIDDEN)
    assert world.writes.trouble == "Widget default/one: 403 Forbidden: you may not"
    world.answer(world.write())
    waits = []
    for _ in range(12):
        began = world.now
        world.wait()
        waits.append(world.now - began)
        world.fail(world.write(), FORBIDDEN)
    assert waits == sorted(waits[:7]) + waits[7:]
    assert 30 <= waits[-1] <= 60
    world.wait()
    world.answer(world.write())
    assert world.writes.trouble == ""
    world.idle()


def test_a_new_wish_is_tried_at_once_after_an_error(settled: World) -> None:
    settled.writes.want(KEY, "bad")
    settled.fail(settled.write(), FORBIDDEN)
    assert settled.next() is None
    settled.writes.want(KEY, "better")
    assert body_of(settled.write())["status"] == "better"


@pytest.mark.parametrize("error", [REFUSED, LOST, ApiError(401, "", "who"), ApiError(429, "", "later", 3.0)])
def test_an_api_server_that_is_away_is_asked_by_one_at_a_time(world: World, error: KubeError) -> None:
    for key in (KEY, OTHER):
        world.writes.stored(key, widget(key))
        world.writes.want(key, "good")
    one, two = world.write(), world.write()
    world.fail(one, error)
    world.fail(two, error)
    assert world.writes.trouble == str(error)
    began = world.now
    world.wait()
    assert world.now - began >= (3.0 if isinstance(error, ApiError) and error.status == 429 else 0.25)
    while (job := world.next()) is None:
        world.wait()
    world.answer(job, "good")
    assert world.writes.trouble == ""


def test_failures_at_once_are_one_failure(world: World) -> None:
    keys = [Key("Widget", "default", str(number)) for number in range(16)]
    for key in keys:
        world.writes.stored(key, widget(key))
        world.writes.want(key, "good")
    for job in [world.write() for _ in keys]:
        world.fail(job, REFUSED)
    began = world.now
    world.wait()
    assert world.now - began <= 0.5


def test_after_a_lost_answer_the_object_is_read(settled: World) -> None:
    settled.writes.want(KEY, "new")
    settled.fail(settled.write(), LOST)
    settled.wait()
    while (job := settled.next()) is None:
        settled.wait()
    assert isinstance(job, Read)
    settled.answer(job, "new")
    settled.idle()


def test_whoever_decides_may_fail(world: World) -> None:
    for key, wish in ((KEY, "raise"), (OTHER, "good")):
        world.writes.stored(key, widget(key))
        world.writes.want(key, wish)
    assert world.write().key == OTHER
    assert world.writes.trouble == "Widget default/one: ValueError: this one is broken"
    world.writes.want(KEY, "good")
    world.answer(world.write())
    assert world.writes.trouble == ""


def test_what_cannot_be_had_is_told_until_it_can(world: World) -> None:
    world.writes.stored(KEY, widget())
    world.writes.want(KEY, "too much")
    world.answer(world.write())
    assert world.writes.trouble == "no room"
    world.writes.want(KEY, "enough")
    world.wait()
    world.answer(world.write())
    assert world.writes.trouble == ""


def test_what_waits_for_another_version_is_looked_at_with_it(world: World) -> None:
    world.writes.stored(KEY, widget())
    world.writes.want(KEY, "later")
    world.idle()
    world.writes.want(KEY, "now")
    assert body_of(world.write())["status"] == "now"


def test_leftovers_go_once_it_is_known_that_nothing_is_wanted(world: World) -> None:
    world.writes.stored(KEY, widget(text="left"))
    world.idle()
    world.writes.want_nothing_else()
    world.answer(world.write())
    world.writes.stored(OTHER, widget(OTHER, text="left"))
    world.answer(world.write())
    assert world.written == [(KEY, ""), (OTHER, "")]
    world.idle()


def test_whoever_takes_over_reads_what_was_under_way(settled: World) -> None:
    settled.writes.want(KEY, "new")
    settled.write()
    settled.writes.start_over(settled.now)
    job = settled.next()
    assert isinstance(job, Read)
    settled.answer(job, "new")
    settled.idle()


def test_many_objects_are_looked_at_in_turns(world: World) -> None:
    for number in range(1000):
        key = Key("Widget", "default", str(number))
        world.writes.stored(key, widget(key, text="good"))
        world.writes.want(key, "good")
    turns = 0
    while world.writes.wake_at(world.now) is not None:
        assert world.next() is None
        turns += 1
    assert 5 < turns < 50
