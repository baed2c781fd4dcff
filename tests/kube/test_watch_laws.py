"""Whatever an API server does and however connections break, a watch ends up knowing what the server knows.

Random histories, compactions and failures; no sockets, so that thousands of connections cost a second.
"""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.kube.known import Known, widget
from tests.kube.model_api import GROUP, KIND, PLURAL, ModelApi, line, refusal, status
from trilithon.kube.discovery import KindMissing, KindWanted
from trilithon.kube.errors import KubeError, NotUnderstood, Unreachable, api_error
from trilithon.kube.events import Rewound, Synced
from trilithon.kube.objects import ApiKind
from trilithon.kube.transport import Request
from trilithon.kube.watch_state import REWIND_SECONDS, Selection, WatchState
from trilithon.kube.watch_steps import Fetch, Find, Pause, Stream

WANTED = KindWanted(GROUP, KIND, ("v1", "v1beta1"))
ETERNAL = ("always-a", "always-b", "always-z")


class World:
    """A server, a watch of it, and everything that may happen to both."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.api = ModelApi()
        for name in ETERNAL:
            self.api.put(name)
        # What the API server may go back to, and whether it did and the watch can not know yet.
        self.kept = self.api.copy()
        self.is_restored = self.is_cut = False
        self.known = Known()
        self.state = WatchState(WANTED, widget, Selection(), random.Random(seed))
        self.now = 100.0
        self.streams_lists = self.dice.random() < 0.7
        # How likely each request or piece is to fail.
        self.badness = self.dice.choice([0.0, 0.1, 0.4])

    def change(self) -> None:
        """Something happens in the cluster; less than what was lost, as long as the watch cannot know of that."""
        if self.is_restored:
            return
        name = f"n{self.dice.randrange(6)}"
        match self.dice.randrange(12):
            case 0 | 1 | 2 if name in self.api.objects:
                self.api.delete(name)
            case 3:
                self.api.compact()
            case 4:
                self.api.tick()
            case 5 if self.dice.random() < 0.3:
                self.kept = self.api.copy()
            case 6 if self.dice.random() < 0.3:
                self.restore()
            case 5 | 6:
                self.api.put(self.dice.choice(ETERNAL), size=self.dice.randrange(100))
            case _:
                self.api.put(name, size=self.dice.randrange(100))

    def restore(self) -> None:
        """The API server ends, and begins again with a copy of its data from before."""
        self.api = self.kept
        self.kept = self.api.copy()
        self.is_restored = self.is_cut = True

    def step(self) -> None:
        """The watch does one thing, which may fail."""
        step = self.state.step(self.now)
        try:
            match step:
                case Pause(seconds):
                    assert 0 < seconds <= 300
                    self.now += seconds
                case Find():
                    self._hear(self.state.found(self._find(), self.now))
                case Fetch(request):
                    self._fail_if_cut()
                    self._hear(self.state.fetched(self._fetch(request)))
                case Stream(request):
                    self._fail_if_cut()
                    self._stream(request)
        except KubeError as error:
            self._hear(self.state.failed(error, self.now))
        self._promise(repr(step))

    def _promise(self, doing: str) -> None:
        if self.known.syncs:
            missing = set(ETERNAL) - set(self.known.objects)
            assert not missing, f"{missing} existed all along and was lost ({doing})"

    def _hear(self, events: Any) -> None:
        for event in events:
            self.known.heard(event)
            self.is_restored &= not isinstance(event, Rewound | Synced)
            self._promise(repr(event))

    def _fail_if_cut(self) -> None:
        """A server that ends breaks what is open, and is away for a while."""
        is_cut, self.is_cut = self.is_cut, False
        if is_cut:
            raise Unreachable("the API server ended")

    def _fails(self) -> bool:
        return self.dice.random() < self.badness

    def _find(self) -> ApiKind | KindMissing:
        if self._fails():
            raise Unreachable("refused", is_unsent=True)
        versions = [version for version in WANTED.versions if version in self.api.served]
        return ApiKind(GROUP, versions[0], KIND, PLURAL) if versions else KindMissing(WANTED)

    def _fetch(self, request: Request) -> bytes:
        if self._fails():
            failures = (
                Unreachable("refused", is_unsent=True),
                api_error(*refusal(500, "InternalError", "etcd is away")),
                api_error(*refusal(403, "Forbidden", "no"), retry_after=None),
                api_error(*refusal(429, "TooManyRequests", "later"), retry_after=3),
            )
            raise self.dice.choice(failures)
        query = dict(request.query)
        if query.get("limit", "1") != "1":
            query["limit"] = "2"
        code, body = self.api.page(query)
        if code != 200:
            raise api_error(code, body)
        if self._fails():
            # A proxy that answers in the server's place, and a cut body.
            return self.dice.choice([b"<html>Welcome</html>", b"{}", body[: len(body) // 2]])
        self.is_restored &= query.get("limit") != "1"
        return body

    def _stream(self, request: Request) -> None:
        query = dict(request.query)
        is_list = "sendInitialEvents" in query
        if is_list and not self.streams_lists:
            raise api_error(*refusal(422, "Invalid", "sendInitialEvents is forbidden"))
        if self._fails():
            raise Unreachable("refused", is_unsent=True)
        self._hear(self.state.opened(self.now))
        at = self.api.version if is_list else int(query["resourceVersion"])
        if is_list:
            lines, at = self.api.initial()
            if not self._send(b"".join(lines)):
                return
        if not self._follow(at):
            return
        self.now += 40
        if self._fails():
            self.state.silent(self.now)
        else:
            self.state.ended(self.now)

    def _follow(self, at: int) -> bool:
        """Changes and bookmarks; False if the stream broke meanwhile."""
        for _ in range(self.dice.randrange(6)):
            self.now += self.dice.random() * 10
            for _ in range(self.dice.randrange(4)):
                self.change()
            if self.dice.random() < 0.1:
                self.state.list_again()
            if not self.state.patience(self.now):
                self.state.left()
                return False
            self._fail_if_cut()
            following = self.api.since(at)
            if following is None:
                if self._send(line("ERROR", status(410, "Expired", "too old resource version"))):
                    raise AssertionError("an ERROR ends the stream")
                return False
            if not self._send(b"".join(each for _, each in following)):
                return False
            at = following[-1][0] if following else at
            if self.dice.random() < 0.3:
                if not self._send(self.api.bookmark()):
                    return False
                at = self.api.version
        return True

    def _send(self, body: bytes) -> bool:
        """Send in pieces; False if the stream broke meanwhile, in which case the state has been told."""
        while body:
            size = self.dice.choice([1, 7, 100, 4000])
            piece, body = body[:size], body[size:]
            self._hear(self.state.received(piece, self.now))
            if self.dice.random() < self.badness / 10:
                match self.dice.randrange(4):
                    case 0:
                        raise Unreachable("reset")
                    case 1:
                        self.state.silent(self.now)
                        return False
                    case 2:
                        self._hear(self.state.received(b"\ngarbage\n", self.now))
                    case _:
                        self.state.ended(self.now)
                        return False
        return True

    def heal(self) -> None:
        """All is quiet and works; the watch has some time."""
        self.badness = 0.0
        while self.is_cut:
            self.step_quietly()
        for _ in range(60):
            match self.state.step(self.now):
                case Stream(request) if "resourceVersion" in dict(request.query):
                    following = self.api.since(int(dict(request.query)["resourceVersion"]))
                    self._hear(self.state.opened(self.now))
                    if following == []:
                        return
            self.step_quietly()
        raise AssertionError("the watch does not come to rest")

    def step_quietly(self) -> None:
        """As ``step``, without changes."""
        before, self.change = self.change, lambda: None  # type: ignore[method-assign]
        try:
            self.step()
        finally:
            self.change = before  # type: ignore[method-assign]


@settings(max_examples=150)
@example(14913291)
@given(st.integers(0, 2**32))
def test_a_watch_ends_up_with_what_the_server_has_and_loses_nothing_on_the_way(seed: int) -> None:
    world = World(seed)
    for _ in range(60):
        world.step()
        if world.dice.random() < 0.5:
            world.change()
        if world.dice.random() < 0.1:
            world.state.list_again()
    world.heal()
    assert world.known.names_and_versions() == world.api.names_and_versions()
    assert world.known.trouble is None


@pytest.mark.parametrize(
    "answer", [b"", b"{}", b"null", b"[]", b'{"kind": "Status"}', b'{"kind":"WidgetList","items":[]}']
)
def test_what_is_no_list_is_not_an_empty_list(answer: bytes) -> None:
    state = WatchState(WANTED, widget, Selection())
    list(state.found(ApiKind(GROUP, "v1", KIND, PLURAL), 0))
    state.step(0)
    list(state.failed(api_error(*refusal(400, "BadRequest", "no streaming lists")), 0))
    assert isinstance(state.step(0), Fetch)
    with pytest.raises(NotUnderstood):
        list(state.fetched(answer))


def test_a_better_version_that_is_installed_later_is_found_and_a_failing_search_is_no_trouble() -> None:
    state, known = WatchState(WANTED, widget, Selection(), random.Random(1)), Known()
    api = ModelApi()
    api.put("a")

    def listed(version: str, now: float) -> None:
        for event in state.found(ApiKind(GROUP, version, KIND, PLURAL), now):
            known.heard(event)
        step = state.step(now)
        assert isinstance(step, Stream)
        assert f"/{version}/" in step.request.path
        for event in state.opened(now):
            known.heard(event)
        for event in state.received(b"".join(api.initial()[0]), now):
            known.heard(event)

    assert isinstance(state.step(0), Find)
    listed("v1beta1", 0)
    state.ended(40)
    assert isinstance(state.step(40), Stream)
    state.ended(500)
    assert isinstance(state.step(500), Find)
    assert not list(state.failed(Unreachable("discovery is away"), 500))
    assert isinstance(state.step(500), Stream), "what is there is watched meanwhile"
    state.ended(900)
    assert isinstance(state.step(900), Find)
    api.put("a", size=1)
    listed("v1", 900)
    assert known.log == ["found v1beta1", "+a", "synced", "found v1", "+a", "synced"]


@pytest.mark.parametrize("seed", range(20))
def test_a_server_that_returns_is_asked_again_soon_whatever_it_says_at_first(seed: int) -> None:
    """It refuses what it does not know yet, and has forgotten history; the waiting for its return was long."""
    state, api, now = WatchState(WANTED, widget, Selection(), random.Random(seed)), ModelApi(), 0.0
    api.put("a")
    list(state.found(ApiKind(GROUP, "v1", KIND, PLURAL), now))
    state.step(now)
    list(state.opened(now))
    list(state.received(b"".join(api.initial()[0]), now))

    def fails(error: KubeError) -> float:
        """Have the next attempt fail, and return how long it was waited for."""
        nonlocal now
        step, waited = state.step(now), 0.0
        if isinstance(step, Pause):
            waited = step.seconds
            now += waited
            assert isinstance(state.step(now), Fetch | Stream)
        list(state.failed(error, now))
        return waited

    assert max(fails(Unreachable("away")) for _ in range(20)) > 4.0
    fails(api_error(*refusal(403, "Forbidden", "roles are not known yet")))
    refused_at = now
    fails(api_error(*refusal(429, "TooManyRequests", "storage is (re)initializing")))
    fails(api_error(*refusal(410, "Expired", "too old resource version")))
    step = state.step(now)
    assert isinstance(step, Pause)
    assert now + step.seconds - refused_at <= 3.5
    assert isinstance(state.step(now + step.seconds), Stream), "a new list"


def test_a_history_that_goes_back_is_no_trouble_and_two_that_take_turns_are() -> None:
    state, known, now = WatchState(WANTED, widget, Selection(), random.Random(1)), Known(), 0.0
    old, new = ModelApi(), ModelApi()
    new.version += 100

    def rewinds() -> None:
        nonlocal now
        now += 100
        known.hear(state.received(new.bookmark(), now))
        known.hear(state.failed(_failure_of(state, old, now), now))
        step = state.step(now)
        assert isinstance(step, Pause)
        now += step.seconds
        if isinstance(state.step(now), Find):
            known.hear(state.found(ApiKind(GROUP, "v1", KIND, PLURAL), now))
            state.step(now)
        known.hear(state.opened(now))
        known.hear(state.received(old.initial()[0][-1], now))

    known.hear(state.found(ApiKind(GROUP, "v1", KIND, PLURAL), now))
    state.step(now)
    known.hear(state.opened(now))
    known.hear(state.received(old.initial()[0][-1], now))
    rewinds()
    assert known.log[-2:] == ["rewound", "synced"], "a restore is no trouble"
    for _ in range(3):
        rewinds()
        assert known.log[-4:] == ["rewound", "degraded", "synced", "restored"], "this happens again and again"
    now += REWIND_SECONDS
    rewinds()
    assert known.log[-2:] == ["rewound", "synced"]


def _failure_of(state: WatchState[Any], api: ModelApi, now: float) -> KubeError:
    """What a bookmark of another server raises."""
    with pytest.raises(KubeError) as raised:
        list(state.received(api.bookmark(), now))
    return raised.value


def test_a_list_that_is_wanted_is_the_next_thing_and_tells_only_differences() -> None:
    decoded: list[str] = []

    def decode(written: Any) -> dict[str, Any]:
        found = widget(written)
        decoded.append(found["metadata"]["name"])
        return found

    state, known, api = WatchState(WANTED, decode, Selection(), random.Random(1)), Known(), ModelApi()
    for name in ("same", "changed", "gone"):
        api.put(name)
    known.hear(state.found(ApiKind(GROUP, "v1", KIND, PLURAL), 0))

    def listed(now: float) -> None:
        step = state.step(now)
        assert isinstance(step, Stream), "without a pause"
        assert "sendInitialEvents" in dict(step.request.query)
        known.hear(state.opened(now))
        state.list_again()
        assert state.patience(now), "a list that is under way is as good"
        known.hear(state.received(b"".join(api.initial()[0]), now))

    listed(0)
    state.list_again()
    assert not state.patience(1), "the stream is left"
    state.left()
    gone = api.objects.pop("gone")
    api.put("changed", size=1)
    decoded.clear()
    listed(1)
    assert decoded == ["changed"]
    assert known.log[-3:] == ["+changed", "~gone", "synced"]
    assert state.patience(2), "and the stream goes on"
    api.objects["gone"] = gone
    state.list_again()
    state.left()
    listed(2)
    assert known.log[-2:] == ["+gone", "synced"], "also at the version that it had"
