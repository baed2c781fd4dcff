"""Each new error of an object becomes one Event of the very object, also while its stored state is in doubt."""

from __future__ import annotations

from typing import cast

from msgspec.structs import replace

from trilithon.controller.cluster import Refusals
from trilithon.incremental import Edit, Engine
from trilithon.kube.objects import ApiKind, ObjectPath
from trilithon.model.stored import Stored
from trilithon.resources.meta import Key
from trilithon.resources.problem import Problem
from trilithon.sinks.objects.event_recorder import EventRecorder
from trilithon.status.problems import ROUTE_PROBLEMS, Problems

KEY = Key("HTTPRoute", "shop", "web")
KIND = ApiKind("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes")
STORED = Stored(ObjectPath(KIND, "web", "shop"), "u", "7", 1)


class World:
    """An engine whose errors are recorded: which of them, of which object."""

    def __init__(self) -> None:
        self.engine = Engine()
        self.engine.source(ROUTE_PROBLEMS)
        self.refusals = Refusals(cast("EventRecorder", self))
        self.recorded: list[tuple[str, str]] = []

    def record(self, _key: Key, uid: str, problem: Problem) -> None:
        self.recorded.append((uid, problem.message))

    def settles(self, *messages: str) -> None:
        items = tuple(Problem("Wrong", KEY, "", message) for message in messages)
        row = Problems(KEY, items) if items else None
        self.refusals.settled(self.engine, self.engine.apply([Edit(ROUTE_PROBLEMS, KEY, row)]))


def test_an_error_is_recorded_once_as_long_as_it_stands() -> None:
    world = World()
    world.refusals.stored(KEY, STORED)
    for messages in (("one",), ("one", "two"), (), ("one",)):
        world.settles(*messages)
    assert world.recorded == [("u", "one"), ("u", "two"), ("u", "one")]


def test_an_error_is_recorded_while_the_stored_state_is_in_doubt_and_not_of_what_is_gone() -> None:
    world = World()
    world.refusals.stored(KEY, STORED)
    world.refusals.stored(KEY, replace(STORED, is_doubtful=True))
    world.settles("one")
    assert world.recorded == [("u", "one")]
    world.refusals.stored(KEY, None)
    world.settles("two")
    assert world.recorded == [("u", "one")]
