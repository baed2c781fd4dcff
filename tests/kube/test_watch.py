"""A watch over HTTP against an API server in every mood; the laws of its state are in test_watch_laws."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager

import pytest

from tests.kube.api_server import ApiServer, Relay, is_any_of_widgets, is_list, is_watch, once
from tests.kube.known import Known, widget
from tests.kube.model_api import GROUP, KIND, ModelApi, line, refusal
from trilithon.kube import transport, watch_state
from trilithon.kube.config import Config
from trilithon.kube.credentials import Credential, FixedCredentials
from trilithon.kube.discovery import Discovery, KindWanted
from trilithon.kube.events import Degraded, Gone, Missing
from trilithon.kube.objects import ApiKind
from trilithon.kube.transport import Transport
from trilithon.kube.watch import Watch
from trilithon.kube.watch_state import Selection, WatchState
from trilithon.kube.watch_steps import Stream

WANTED = KindWanted(GROUP, KIND, ("v1", "v1beta1"))


class Watching:
    """A running watch and what it has told."""

    def __init__(self) -> None:
        self.known = Known()
        self.watch: Watch[dict[str, object]]
        self._news = asyncio.Condition()

    async def follow(self, watch: Watch[dict[str, object]]) -> None:
        """Until cancelled."""
        self.watch = watch
        async with aclosing(watch.events()) as events:
            async for event in events:
                async with self._news:
                    self.known.heard(event)
                    self._news.notify_all()

    async def until(self, *entries: str) -> None:
        """Wait until the log ends with these entries."""
        async with asyncio.timeout(30), self._news:
            try:
                await self._news.wait_for(lambda: self.known.log[-len(entries) :] == list(entries))
            except asyncio.CancelledError:
                raise AssertionError(f"{entries} did not come: {self.known.log}") from None


@asynccontextmanager
async def watching(address: str, selection: Selection | None = None) -> AsyncIterator[Watching]:
    config = Config(server=address, credentials=FixedCredentials(Credential()))
    followed = Watching()
    async with Transport(config) as connections:
        watch = Watch(Discovery(connections), WANTED, widget, selection or Selection(), dice=random.Random(1))
        following = asyncio.create_task(followed.follow(watch))
        try:
            yield followed
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


@pytest.fixture
async def server() -> AsyncIterator[ApiServer]:
    async with ApiServer().serving() as serving:
        serving.model.put("a")
        serving.model.put("b")
        yield serving


async def test_a_streamed_list_is_followed_by_changes_on_the_same_stream(server: ApiServer) -> None:
    async with watching(server.address) as watch:
        await watch.until("found v1", "+a", "+b", "synced")
        await server.change(lambda: server.model.put("c"))
        await watch.until("+c")
        await server.change(lambda: server.model.delete("a"))
        await watch.until("-a")
        assert len([request for request in server.requests if is_any_of_widgets(request)]) == 1


async def test_a_server_without_streamed_lists_is_listed_in_pages(
    server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_state, "PAGE_OBJECTS", 1)
    server.can_stream_lists = False
    async with watching(server.address) as watch:
        await watch.until("found v1", "+a", "+b", "synced")
        await server.change(lambda: server.model.put("c"))
        await watch.until("+c")
    assert [request.query.get("continue") for request in server.requests if is_list(request)] == [None, "12/a"]


async def test_a_server_that_never_ends_its_streamed_list_is_listed_in_pages(
    server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_state, "SILENCE_SECONDS", 1.0)
    initial = server.model.initial
    monkeypatch.setattr(server.model, "initial", lambda: (initial()[0][:-1], initial()[1]))
    async with watching(server.address) as watch:
        await watch.until("found v1", "+a", "+b", "degraded", "synced", "restored")


async def test_a_list_whose_second_page_fails_withdraws_nothing_and_is_made_again(
    server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_state, "PAGE_OBJECTS", 1)
    server.can_stream_lists = False
    server.moods = [once(refusal(500, "InternalError", "etcd is away"), lambda r: "continue" in r.query)]
    async with watching(server.address) as watch:
        await watch.until("found v1", "+a", "degraded", "+b", "synced", "restored")
        server.moods = [once(refusal(500, "InternalError", "etcd is away"), lambda r: "continue" in r.query)]
        await server.change(*replacing_and_compacting(server.model))
        await watch.until("restored", "degraded", "+c", "~a", "synced", "restored")


async def test_a_continue_token_that_expires_makes_one_list_of_everything(
    server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_state, "PAGE_OBJECTS", 1)
    server.can_stream_lists = False
    server.moods = [once(refusal(410, "Expired", "token too old"), lambda r: "continue" in r.query)]
    async with watching(server.address) as watch:
        await watch.until("found v1", "+a", "+b", "synced")
    assert "limit" not in server.lists()[-1].query


@pytest.mark.parametrize("can_stream_lists", [True, False])
async def test_compaction_tells_only_differences(server: ApiServer, can_stream_lists: bool) -> None:
    server.can_stream_lists = can_stream_lists
    async with watching(server.address) as watch:
        await watch.until("+b", "synced")
        # The stream is told of the compaction by an ERROR of 410.
        await server.change(*replacing_and_compacting(server.model))
        await watch.until("synced", "+c", "~a", "synced")
        # The next one by the status of the answer.
        server.moods = [once(refusal(410, "Expired", "too old"), is_watch)]
        await server.change(lambda: setattr(server, "last_words", server.model.bookmark()))
        await watch.until("synced", "+c", "~a", "synced", "synced")
        assert "degraded" not in watch.known.log


@pytest.mark.parametrize(
    "last_words",
    [
        pytest.param(b'{"type": "ADDED", "object": {"metadata": {"na', id="within an event"),
        pytest.param(b"", id="between events"),
    ],
)
async def test_a_stream_that_breaks_is_resumed_without_a_new_list(server: ApiServer, last_words: bytes) -> None:
    async with watching(server.address) as watch:
        await watch.until("+b", "synced")
        await server.change(lambda: setattr(server, "last_words", last_words))
        await server.change(lambda: server.model.put("c"))
        await watch.until("synced", "+c")
    assert [request.query.get("limit") for request in server.lists()] in ([None], [None, "1"])


@pytest.mark.parametrize(
    "garbage",
    [
        pytest.param(b"garbage\n", id="not JSON"),
        pytest.param(line("FLUTTERED", {"metadata": {"name": "a"}}), id="an unknown type"),
        pytest.param(line("BOOKMARK", {}), id="a bookmark without a version"),
    ],
)
async def test_an_event_that_is_not_understood_means_a_new_list(server: ApiServer, garbage: bytes) -> None:
    async with watching(server.address) as watch:
        await watch.until("+b", "synced")
        await server.change(lambda: setattr(server, "last_words", garbage))
        await watch.until("+b", "synced", "degraded", "synced", "restored")


async def test_an_undecodable_object_costs_only_itself(server: ApiServer) -> None:
    async with watching(server.address) as watch:
        await watch.until("+b", "synced")
        await server.change(lambda: server.model.put("a", broken=True))
        await watch.until("?a")
        await server.change(lambda: server.model.put("c"))
        await watch.until("?a", "+c")
        assert "a" in watch.known.objects, "its last good form stays"
        await server.change(lambda: setattr(server, "last_words", line("ADDED", {"metadata": None})))
        await watch.until("+c", "?")


@pytest.mark.parametrize(("code", "reason"), [(500, "InternalError"), (403, "Forbidden"), (429, "TooManyRequests")])
async def test_a_kind_that_cannot_be_listed_keeps_its_last_state(server: ApiServer, code: int, reason: str) -> None:
    async with watching(server.address) as watch:
        await watch.until("+b", "synced")
        refuse = refusal(code, reason, "not now")
        server.moods = [lambda request: refuse if is_any_of_widgets(request) else None]
        await server.change(lambda: server.model.put("c"), server.model.compact)
        await watch.until("synced", "degraded")
        assert watch.known.trouble == Degraded(f"{code} {reason}: not now", is_forbidden=code == 403)
        assert set(watch.known.objects) == {"a", "b"}
        server.moods = []
        await watch.until("+c", "synced", "restored")


async def test_retry_after_is_obeyed(server: ApiServer) -> None:
    code, body = refusal(429, "TooManyRequests", "later")
    server.moods = [once((code, body, {"Retry-After": "2"}), is_any_of_widgets)]
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with watching(server.address) as watch:
        await watch.until("found v1", "degraded", "+a", "+b", "synced", "restored")
    assert loop.time() - began >= 2


async def test_a_connection_that_dies_in_silence_is_noticed(server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_state, "SHORTEST_STREAM_SECONDS", 1.0)
    monkeypatch.setattr(watch_state, "LONGEST_STREAM_SECONDS", 1.0)
    monkeypatch.setattr(watch_state, "GRACE_SECONDS", 0.5)
    monkeypatch.setattr(transport, "ANSWER_SECONDS", 3.0)
    async with Relay(server.address).serving() as relay, watching(relay.address) as watch:
        await watch.until("+b", "synced")
        relay.is_dead = True
        await server.change(lambda: server.model.put("c"))
        await watch.until("synced", "degraded")
        # What was dead stays dead; new connections are well.
        relay.cut()
        relay.is_dead = False
        await watch.until("degraded", "restored", "+c")


def test_silence_is_noticed_within_a_minute() -> None:
    for seed in range(50):
        state = WatchState(WANTED, widget, Selection(), random.Random(seed))
        list(state.found(ApiKind(GROUP, "v1", KIND, "widgets"), 0))
        state.step(0)
        list(state.opened(0))
        list(state.received(line("BOOKMARK", _bookmark(7)), 1))
        assert state.patience(1) <= 45
        state.silent(40)
        step = state.step(40)
        assert isinstance(step, Stream)
        asked = int(dict(step.request.query)["timeoutSeconds"])
        list(state.opened(40))
        assert 30 <= asked <= 45
        assert asked < state.patience(40) <= 55


async def test_a_kind_appears_and_goes_with_its_definition(server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_state, "MISSING_SECONDS", 0.1)
    server.model.served = ()
    async with watching(server.address) as watch:
        await watch.until("missing")
        assert watch.known.trouble == Missing("the API server does not serve Widget.shop.test")
        await server.change(lambda: setattr(server.model, "served", ("v1",)))
        await watch.until("missing", "found v1", "+a", "+b", "synced", "restored")
        await server.change(lambda: setattr(server.model, "served", ()), lambda: setattr(server, "last_words", b""))
        await watch.until("restored", "gone")
        assert isinstance(watch.known.trouble, Gone)
        assert set(watch.known.objects) == {"a", "b"}, "nobody said that the objects are gone"
        # Back in another version: everything is read anew, because it may look different there.
        await server.change(lambda: server.model.delete("a"), lambda: setattr(server.model, "served", ("v1beta1",)))
        server.model.objects["b"]["spec"] = {"size": 1}
        await watch.until("gone", "found v1beta1", "+b", "~a", "synced", "restored")


async def test_a_kind_served_only_in_other_versions_is_missing_and_says_in_which(server: ApiServer) -> None:
    server.model.served = ("v2", "v1alpha1")
    async with watching(server.address) as watch:
        await watch.until("missing")
        reason = "the API server serves Widget.shop.test as v2, v1alpha1, which is not v1 or v1beta1"
        assert watch.known.trouble == Missing(reason)


async def test_the_best_version_served_is_watched(server: ApiServer) -> None:
    server.model.served = ("v2", "v1beta1", "v1")
    async with watching(server.address) as watch:
        await watch.until("found v1", "+a", "+b", "synced")


async def test_an_api_server_on_an_older_etcd_is_listed_anew(server: ApiServer) -> None:
    async with Relay(server.address).serving() as relay, watching(relay.address) as watch:
        await watch.until("+b", "synced")
        server.model.objects.pop("a")
        server.model.version, server.model.history = 5, []
        server.model.compacted = 0
        relay.cut()
        await watch.until("synced", "rewound", "+b", "~a", "synced")


async def test_a_list_that_is_wanted_comes_at_once_and_the_changes_after_it(server: ApiServer) -> None:
    async with watching(server.address) as watch:
        await watch.until("+b", "synced")
        server.model.objects.pop("a")
        watch.watch.list_again()
        watch.watch.list_again()
        await watch.until("synced", "~a", "synced")
        assert [request.query.get("sendInitialEvents") for request in server.lists()] == ["true", "true"]
        await server.change(lambda: server.model.put("c"))
        await watch.until("~a", "synced", "+c")


async def test_a_list_that_is_wanted_notices_that_history_went_back(server: ApiServer) -> None:
    async with watching(server.address) as watch:
        await watch.until("+b", "synced")
        server.model.objects.pop("a")
        server.model.version = 5
        watch.watch.list_again()
        await watch.until("synced", "rewound", "+b", "~a", "synced")


async def test_a_selection_is_passed_on(server: ApiServer) -> None:
    selection = Selection(namespace="shop", labels="app=web", fields="metadata.name=a", is_metadata_only=True)
    async with watching(server.address, selection) as watch:
        await watch.until("synced")
    request = server.lists()[0]
    assert request.path == f"/apis/{GROUP}/v1/namespaces/shop/widgets"
    assert request.query["labelSelector"] == "app=web"
    assert request.query["fieldSelector"] == "metadata.name=a"
    assert "as=PartialObjectMetadata;" in request.headers["Accept"]


async def test_a_server_that_is_away_at_the_start_is_found_later(server: ApiServer) -> None:
    async with Relay(server.address).serving() as relay:
        server.moods = [once((503, b"starting"), lambda _: True)]
        async with watching(relay.address) as watch:
            await watch.until("degraded", "found v1", "+a", "+b", "synced", "restored")


def replacing_and_compacting(model: ModelApi) -> tuple[Callable[[], None], ...]:
    return lambda: model.put("c"), lambda: model.delete("a"), model.compact


def _bookmark(version: int) -> dict[str, object]:
    annotations = {"k8s.io/initial-events-end": "true"}
    return {"metadata": {"resourceVersion": str(version), "annotations": annotations}}
