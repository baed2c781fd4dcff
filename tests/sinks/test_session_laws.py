"""Whatever is published, refused, delayed or cut off: no route ever names a cluster that is not there, and in the end
Envoy has exactly what is wanted, except what it refuses.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.sinks.model_envoy import TYPES, ModelEnvoy
from trilithon.sinks.delivery.feed import Response
from trilithon.sinks.delivery.session import Published, Session, Tick
from trilithon.xds.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE, XdsResource, shape_of

GRACE = 30.0
Target = dict[tuple[str, str], XdsResource]

MARKS = st.sampled_from(["", "", "", "", "", "", "", "!", "?"])


def _entry(type_url: str, name: str, version: str) -> tuple[tuple[str, str], XdsResource]:
    return (type_url, name), XdsResource(type_url, name, version, (version.encode(),))


@st.composite
def targets(draw: st.DrawFn) -> Target:
    """A consistent configuration: listeners name tables, tables name clusters, clusters have endpoints."""
    versions = st.integers(1, 3).map(str)

    def version(references: set[str]) -> str:
        return f"{draw(versions)}{'->' if references else ''}{','.join(sorted(references))}{draw(MARKS)}"

    clusters = draw(st.sets(st.sampled_from("abcde")))
    tables = draw(st.sets(st.sampled_from("rst"))) if clusters else set()
    listeners = draw(st.sets(st.sampled_from("lm"))) if tables else set()
    found: Target = {}
    for name in clusters:
        found.update([_entry(CLUSTER, name, version(set())), _entry(ENDPOINT, name, version(set()))])
    for name in tables:
        named = draw(st.sets(st.sampled_from(sorted(clusters)), min_size=1, max_size=3))
        found.update([_entry(ROUTE, name, version(named))])
    for name in listeners:
        found.update([_entry(LISTENER, name, version({draw(st.sampled_from(sorted(tables)))}))])
    return found


class Delivery(RuleBasedStateMachine):
    """One Envoy and the sessions that it has, one after another, with delays on both ways."""

    @initialize(wanted=targets(), is_serving=st.booleans())
    def start(self, wanted: Target, is_serving: bool) -> None:
        self.envoy = ModelEnvoy()
        self.target: Target = {}
        self.revision = 0
        self.now = 0.0
        self.connect()
        self.publish(wanted)
        if is_serving:
            self.settle()

    # What Envoy took from a refused response and does not report, a new session cannot know.
    @precondition(lambda self: not self.envoy.unsaid)
    @rule()
    def connect(self) -> None:
        """The stream ends, in whatever state, and Envoy opens another one."""
        self.session = Session(GRACE)
        self.incoming: list[Response] = []
        if self.revision:
            self.incoming.extend(self.session.handle(Published(self.revision, tuple(self.target.values())), self.now))
        self.envoy.connect()

    @rule(wanted=targets())
    def publish(self, wanted: Target) -> None:
        upserts = tuple(resource for key, resource in wanted.items() if self.target.get(key) != resource)
        removals = tuple(key for key in self.target if key not in wanted)
        self.revision += 1
        self.target = wanted
        self.incoming.extend(self.session.handle(Published(self.revision, upserts, removals), self.now))

    @precondition(lambda self: self.envoy.out)
    @rule(count=st.integers(1, 5))
    def serve(self, count: int) -> None:
        """The session reads what Envoy wrote."""
        for _ in range(min(count, len(self.envoy.out))):
            self.incoming.extend(self.session.handle(self.envoy.out.pop(0), self.now))

    @precondition(lambda self: self.incoming)
    @rule(count=st.integers(1, 5))
    def read(self, count: int) -> None:
        """Envoy reads what the session wrote."""
        for _ in range(min(count, len(self.incoming))):
            self.envoy.read(self.incoming.pop(0))
            self.check()

    @rule(seconds=st.sampled_from([1.0, 29.0, 31.0]))
    def wait(self, seconds: float) -> None:
        # Seconds are long: what Envoy wrote before has arrived.
        self.serve(len(self.envoy.out))
        self.now += seconds
        self.incoming.extend(self.session.handle(Tick(), self.now))

    def settle(self) -> None:
        """Until nobody has anything to say."""
        for _ in range(1000):
            if self.envoy.out:
                self.serve(1)
            elif self.incoming:
                self.read(1)
            elif (at := self.session.wake_at) is not None:
                self.wait(max(0.0, at - self.now))
            else:
                return
        raise AssertionError("it never ends")

    @invariant()
    def check(self) -> None:
        assert not self.envoy.dangling()
        # Asked for at every moment, so that what is remembered of the answer is seen to be forgotten in time.
        self.session.acked()

    def teardown(self) -> None:
        self.settle()
        assert self.session.applied == self.revision
        self._compare()
        # Everything that was refused is mended.
        self.publish(dict(map(_mended, self.target.items())))
        self.settle()
        self._compare()
        assert not self.session.rejected()
        assert not self.session.strange
        assert self.session.counts()[0] == self.session.counts()[1]
        wanted = {name for type_url, name in self.target if type_url == CLUSTER}
        assert self.envoy.active[CLUSTER].keys() == wanted

    def _compare(self) -> None:
        acked = {(each.type_url, each.name): each.shape for some in self.session.acked() for each in some}
        refused = {(no.type_url, no.name) for no in self.session.rejected()}
        bad = {key for key, resource in self.target.items() if resource.version[-1] in "!?"}
        assert refused <= bad
        for type_url in TYPES:
            active = self.envoy.active[type_url]
            for key, resource in self.target.items():
                name = key[1]
                is_used = type_url in (CLUSTER, LISTENER) or name in self.envoy.asked(type_url)
                if key[0] == type_url and is_used and key not in bad:
                    assert active.get(name) == resource.version
                    if type_url in (LISTENER, ROUTE):
                        assert acked[key] == shape_of(type_url, resource.version)
            if type_url == LISTENER:
                assert {(LISTENER, name) for name in active} <= self.target.keys()


def _mended(entry: tuple[tuple[str, str], XdsResource]) -> tuple[tuple[str, str], XdsResource]:
    (type_url, name), resource = entry
    return _entry(type_url, name, resource.version.rstrip("!?"))


Delivery.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
test_delivery = Delivery.TestCase
