"""Whatever others write, whatever is lost, late or refused: writes keep their law, and in the end all is as wanted."""

from __future__ import annotations

import random

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from trilithon.kube.errors import ApiError, KubeError, Unreachable
from trilithon.kube.objects import ApiKind, ObjectPath
from trilithon.model.stored import Stored
from trilithon.resources.meta import Key
from trilithon.sinks.objects.object_writes import NEWS_SECONDS, Decision, Job, ObjectWrites, Read, Write

WIDGETS = ApiKind("example.com", "v1", "Widget", "widgets")
KEYS = [Key("Widget", "default", name) for name in "ab"]
Status = tuple[int, str, str]
Wish = tuple[int, str] | None


def decide(stored: Stored, wish: Wish) -> Decision | None:
    """A status is a generation, a text of ours and one of others; the text of others is kept."""
    _, mine, theirs = msgspec.json.decode(stored.status or b'[0,"",""]', type=Status)
    if wish is None:
        return Decision({"status": [0, "", theirs]} if mine else {})
    generation, text = wish
    if generation != stored.generation:
        return None
    body = {"status": [generation, text, theirs]}
    return Decision(body if msgspec.json.decode(stored.status or b"[]") != body["status"] else {})


# Versions grow by this much: each history of a server that was restored has its own between them.
STEP = 1000


class ApiServer:
    """Objects with versions, and a watch that tells of each change, some time."""

    def __init__(self) -> None:
        self.version = STEP
        self.objects: dict[Key, Stored] = {}
        self.told: list[tuple[Key, Stored | None]] = []
        self.kept: tuple[int, dict[Key, Stored]] = (STEP, {})
        self.histories = 0

    def restore(self) -> None:
        """All is as it was kept; a watch finds out, says that nothing is known any more, and lists again."""
        self.histories += 1
        version, objects = self.kept
        self.version, self.objects = version // STEP * STEP + self.histories, dict(objects)
        self.told = [(key, None) for key in KEYS]
        self.told += self.objects.items()

    def put(self, key: Key, status: Status, generation: int, uid: str) -> Stored:
        self.version += STEP
        path = ObjectPath(WIDGETS, key.name, key.namespace)
        stored = Stored(path, uid, str(self.version), generation, (), msgspec.json.encode(status))
        self.objects[key] = stored
        self.told.append((key, stored))
        return stored

    def status(self, key: Key) -> Status:
        status: Status = msgspec.json.decode(self.objects[key].status, type=Status)
        return status

    def do(self, job: Job) -> Stored:
        stored = self.objects.get(job.key)
        if stored is None:
            raise ApiError(404, "NotFound", "gone")
        if isinstance(job, Read):
            return stored
        body = msgspec.json.decode(job.body)
        if body["metadata"]["resourceVersion"] != stored.resource_version:
            raise ApiError(409, "Conflict", "modified")
        before, after = self.status(job.key), msgspec.json.decode(msgspec.json.encode(body["status"]), type=Status)
        assert after != before, "no write without a difference"
        assert after[2] == before[2], "what others say is kept"
        assert after[0] in (0, stored.generation), "nothing is said about another generation"
        return self.put(job.key, after, stored.generation, stored.uid)


class Sent:
    """A job on its way: it reaches the API server some time, and some time after that the answer comes."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.has_arrived = False
        self.answer: Stored | None = None
        self.refusal: ApiError | None = None


class Writing(RuleBasedStateMachine):
    """Two objects, their owner, a rival, and jobs that may take any time and end in any way."""

    @initialize()
    def start(self) -> None:
        self.api = ApiServer()
        self.writes: ObjectWrites[Wish] = ObjectWrites(decide, None, random.Random(1))
        self.now = 0.0
        self.jobs: list[Sent] = []
        self.wanted: dict[Key, str | None] = {}
        self.said: dict[Key, Wish] = {}
        self.written_at: dict[str, float] = {}
        self.uids = 0
        self.writes.want_nothing_else()
        for key in KEYS:
            self.create(key, "x")
            self.translate(key, "good")

    def want(self, key: Key) -> None:
        """What is wanted follows the generation, as a translation does, which says nothing twice."""
        text, stored = self.wanted.get(key), self.api.objects.get(key)
        wish = (stored.generation, text) if text and stored is not None else None
        if key not in self.said or self.said[key] != wish:
            self.said[key] = wish
            self.writes.want(key, wish)

    @rule(key=st.sampled_from(KEYS), theirs=st.sampled_from(["x", "y"]))
    def create(self, key: Key, theirs: str) -> None:
        if key not in self.api.objects:
            self.uids += 1
            self.api.put(key, (0, "", theirs), 1, f"u{self.uids}")

    @rule(key=st.sampled_from(KEYS))
    def delete(self, key: Key) -> None:
        if self.api.objects.pop(key, None) is not None:
            self.api.told.append((key, None))

    @rule(key=st.sampled_from(KEYS), theirs=st.sampled_from(["x", "y"]))
    def replace(self, key: Key, theirs: str) -> None:
        """As ``kubectl replace --force`` does; what is under way arrives in between."""
        self.delete(key)
        for at, sent in enumerate(each for each in self.jobs if not each.has_arrived):
            if sent.job.key == key:
                self.arrive(at)
        self.create(key, theirs)

    @rule(key=st.sampled_from(KEYS))
    def change_the_spec(self, key: Key) -> None:
        if (stored := self.api.objects.get(key)) is not None:
            self.api.put(key, self.api.status(key), stored.generation + 1, stored.uid)

    @rule(key=st.sampled_from(KEYS), theirs=st.sampled_from(["x", "y"]))
    def others_write_theirs(self, key: Key, theirs: str) -> None:
        if (stored := self.api.objects.get(key)) is not None:
            generation, mine, _ = self.api.status(key)
            self.api.put(key, (generation, mine, theirs), stored.generation, stored.uid)

    @rule(key=st.sampled_from(KEYS), mine=st.sampled_from(["", "wrong"]))
    def a_rival_writes_ours(self, key: Key, mine: str) -> None:
        if (stored := self.api.objects.get(key)) is not None:
            generation, _, theirs = self.api.status(key)
            self.api.put(key, (generation, mine, theirs), stored.generation, stored.uid)

    @rule(key=st.sampled_from(KEYS), text=st.sampled_from([None, "good", "better"]))
    def translate(self, key: Key, text: str | None) -> None:
        self.wanted[key] = text
        self.want(key)

    @precondition(lambda self: self.api.told)
    @rule(count=st.integers(1, 5))
    def watch(self, count: int) -> None:
        for key, stored in self.api.told[:count]:
            self.writes.stored(key, stored)
        # An object that was replaced by its like meanwhile may make no new wish.
        for key in dict(self.api.told[:count]):
            self.want(key)
        del self.api.told[:count]

    @rule()
    def next(self) -> None:
        job = self.writes.next(self.now)
        if job is not None:
            assert all(job.key != other.job.key for other in self.jobs), "one job of an object at a time"
            self.jobs.append(Sent(job))

    @rule(seconds=st.sampled_from([0.01, 0.3, 1.0, 20.0]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def keep(self) -> None:
        self.api.kept = (self.api.version, dict(self.api.objects))

    @rule()
    def restore(self) -> None:
        self.api.restore()
        self.written_at.clear()

    @precondition(lambda self: any(not sent.has_arrived for sent in self.jobs))
    @rule(at=st.integers(0, 1))
    def arrive(self, at: int) -> None:
        """The API server does it; the answer is on its way."""
        waiting = [sent for sent in self.jobs if not sent.has_arrived]
        sent = waiting[at % len(waiting)]
        sent.has_arrived = True
        try:
            sent.answer = self.api.do(sent.job)
        except ApiError as refusal:
            sent.refusal = refusal
        else:
            if isinstance(sent.job, Write):
                last = self.written_at.get(sent.answer.uid, float("-inf"))
                assert self.now - last >= NEWS_SECONDS - 1e-9, "not too often"
                self.written_at[sent.answer.uid] = self.now

    @precondition(lambda self: any(sent.has_arrived for sent in self.jobs))
    @rule(at=st.integers(0, 1), is_lost=st.sampled_from([False, False, True]))
    def answer(self, at: int, is_lost: bool) -> None:
        """The answer comes, or never will."""
        arrived = [sent for sent in self.jobs if sent.has_arrived]
        sent = arrived[at % len(arrived)]
        self.jobs.remove(sent)
        key = sent.job.key
        if is_lost:
            self.writes.failed(key, Unreachable("reset"), self.now)
        elif sent.answer is None:
            assert sent.refusal is not None
            self.writes.failed(key, sent.refusal, self.now)
        elif isinstance(sent.job, Read):
            self.writes.read(key, sent.answer)
        else:
            self.writes.written(key, sent.answer, self.now)

    @precondition(lambda self: any(not sent.has_arrived for sent in self.jobs))
    @rule(at=st.integers(0, 1), fate=st.sampled_from(["lost", "busy", "refused", "not served"]))
    def turn_away(self, at: int, fate: str) -> None:
        """The API server does not do it: a server that has just started may not even know the kind."""
        waiting = [sent for sent in self.jobs if not sent.has_arrived]
        sent = waiting[at % len(waiting)]
        self.jobs.remove(sent)
        errors: dict[str, KubeError] = {
            "lost": Unreachable("reset"),
            "busy": ApiError(429, "", "later", 1.0),
            "refused": ApiError(422, "Invalid", "no"),
            "not served": ApiError(404, "", "404 page not found"),
        }
        self.writes.failed(sent.job.key, errors[fate], self.now)

    @rule()
    def take_over(self) -> None:
        self.jobs.clear()
        self.writes.start_over(self.now)

    @invariant()
    def nothing_is_remembered_for_ever(self) -> None:
        assert len(self.writes._ready) <= 50

    def teardown(self) -> None:
        """When all is heard and nothing fails any more, all becomes as wanted, and then nothing is done."""
        if not hasattr(self, "api"):
            return
        for _ in range(200):
            if self.api.told:
                self.watch(len(self.api.told))
            if self.jobs:
                if not self.jobs[0].has_arrived:
                    self.arrive(0)
                self.answer(0, is_lost=False)
                continue
            self.next()
            if self.jobs:
                continue
            at = self.writes.wake_at(self.now)
            if at is None and not self.api.told:
                break
            self.now = max(self.now, at or self.now)
        assert not self.jobs
        assert self.writes.wake_at(self.now) is None
        assert self.writes.trouble == ""
        for key, stored in self.api.objects.items():
            if text := self.wanted.get(key):
                assert self.api.status(key)[:2] == (stored.generation, text)
            elif key in self.wanted:
                assert self.api.status(key)[1] == ""


TestWriting = Writing.TestCase
TestWriting.settings = settings(max_examples=500, stateful_step_count=50, deadline=None)
