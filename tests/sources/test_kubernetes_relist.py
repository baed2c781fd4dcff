"""What is listed again while anything is held: that of which something is missing, often; the rest once or twice."""

from __future__ import annotations

import random

from trilithon.kube.events import Delete, Synced, Upsert
from trilithon.kube.objects import ObjectName
from trilithon.sources.kubernetes.guard import Guard
from trilithon.sources.kubernetes.kinds import CRD, Scope, watched
from trilithon.sources.kubernetes.relist import Relists
from trilithon.sources.kubernetes.trouble import Troubles
from trilithon.sources.kubernetes.views import View

SECONDS = 30.0
NAME = ObjectName("shop", "web")


class Nothing:
    """A holder that keeps nothing."""

    slices = None

    def decode(self, written: object, /) -> None:
        """Nothing."""

    def upsert(self, *_: object) -> None:
        """Nothing."""

    def delete(self, *_: object) -> None:
        """Nothing."""

    def forget_version(self, *_: object) -> None:
        """Nothing."""


class World:
    """All views, each listed, and how often each was since."""

    def __init__(self, seed: int) -> None:
        self.guard = Guard(300.0)
        self.now = 1000.0
        self.views = [
            View(each, Nothing(), Troubles(lambda _: None), self.guard)  # type: ignore[arg-type]
            for each in watched(Scope())
        ]
        self.relists = Relists(self.views, self.guard, SECONDS, random.Random(seed))
        self.lists: list[tuple[float, View]] = []
        for view in self.views:
            self.hears(view, Upsert(NAME, None))
            self.listed(view)

    def view(self, kind: str) -> View:
        return next(view for view in self.views if view.watched.name == kind)

    def hears(self, view: View, event: Upsert[None] | Delete | Synced) -> None:
        view.hear(event, self.now)
        self.relists.heard(view, event, self.now)

    def listed(self, view: View) -> None:
        self.hears(view, Synced(1))

    def loses(self, view: View) -> None:
        """A list is without what there was, and there is evidence of a loss."""
        self.guard.lost(self.now)
        self.hears(view, Delete(NAME, is_swept=True))
        self.listed(view)

    def runs(self, seconds: float) -> None:
        """Every list that is due is made, and says what the one before said."""
        end = self.now + seconds
        while (due := self.relists.due()) is not None and due <= end:
            self.now = max(self.now, due)
            for view in self.relists.take(self.now):
                self.lists.append((self.now, view))
                self.listed(view)
        self.now = end


def test_nothing_is_listed_while_all_is_well() -> None:
    world = World(1)
    world.runs(10000)
    assert world.lists == []


def test_only_what_misses_something_is_listed_often_and_all_once_at_each_end() -> None:
    for seed in range(20):
        world = World(seed)
        routes = world.view("HTTPRoute")
        often = {routes, world.view(CRD.kind)}
        began = world.now
        world.loses(routes)
        world.runs(280)
        others = [view for _, view in world.lists if view not in often]
        assert sorted(map(str, (view.watched for view in others))) == sorted(
            str(view.watched) for view in world.views if view not in often
        )
        assert all(began < at <= began + SECONDS for at, view in world.lists if view not in often)
        gaps = [at for at, view in world.lists if view is routes]
        assert all(0.7 * SECONDS <= b - a <= 1.3 * SECONDS for a, b in zip([began, *gaps], gaps, strict=False))
        assert len({at for at, _ in world.lists}) == len(world.lists), "never two at once"
        world.lists.clear()
        world.runs(10000)
        assert not world.guard.is_holding
        assert {view for _, view in world.lists} == set(world.views)
        assert all(1 <= [each for _, each in world.lists].count(view) <= 4 for view in world.views)


def test_evidence_alone_has_each_kind_listed_once_and_not_those_that_are_listed_anyhow() -> None:
    world = World(3)
    gateways, routes = world.view("Gateway"), world.view("HTTPRoute")
    world.guard.lost(world.now)
    world.listed(routes)
    world.now += 0.001
    world.listed(gateways)
    world.runs(10000)
    counted = [view for _, view in world.lists if view.watched.wanted != CRD]
    assert len(counted) == len(set(counted)) == len(world.views) - 3
    assert routes not in counted
    assert gateways not in counted


def test_a_kind_that_lost_something_at_once_is_listed_often_too() -> None:
    world = World(4)
    grants, routes = world.view("ReferenceGrant"), world.view("HTTPRoute")
    world.hears(grants, Delete(NAME, is_swept=True))
    world.listed(grants)
    world.now += 1
    world.loses(routes)
    world.runs(200)
    assert [view for _, view in world.lists].count(grants) >= 4
