"""Whatever comes in whatever order, what was told adds up to what counts, and nothing is told before what it names."""

from __future__ import annotations

import time
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from trilithon.kube.objects import ApiKind, ObjectPath
from trilithon.model.stored import Stored
from trilithon.resources.core import Bytes, Namespace, Secret
from trilithon.resources.gateways import Gateway, GatewayListener, GatewaySpec, ListenerTLS
from trilithon.resources.meta import Key, SecretObjectReference
from trilithon.resources.references import named_by
from trilithon.sources.kubernetes.kinds import Scope
from trilithon.sources.kubernetes.state import ClusterState

NAMESPACES = ("a", "b", "c")
SECRETS = tuple(Key("Secret", namespace, name) for namespace in NAMESPACES for name in ("s", "t"))
PLACE = ApiKind("gateway.networking.k8s.io", "v1", "Gateway", "gateways")
GATEWAYS = tuple(Key("Gateway", namespace, "g") for namespace in NAMESPACES)


def gateway(key: Key, names: tuple[Key, ...]) -> Gateway:
    refs = tuple(SecretObjectReference(name=each.name, namespace=each.namespace) for each in names)
    tls = ListenerTLS(certificate_refs=refs)
    listener = GatewayListener(name="l", port=443, protocol="HTTPS", tls=tls)
    return Gateway(key, 1, "", GatewaySpec(gateway_class_name="t", listeners=(listener,)))


class World:
    """An API server, the state that follows it, and what that told."""

    def __init__(self, scope: tuple[str, ...], *, is_selective: bool) -> None:
        self.scope = scope
        self.is_selective = is_selective
        within = Scope(namespaces=scope, namespace_selector="a=b" if is_selective else "")
        self.state = ClusterState(lambda _key, _stored: None, self.asked_for, self.let_go, within)
        self.objects: dict[Key, Any] = {}
        self.asked: list[Key] = []
        self.settled: set[Key] = set()
        self.told: dict[Key, Any] = {}
        self.now = 0.0

    def asked_for(self, key: Key, _line: str) -> None:
        self.asked.append(key)
        self.settled.discard(key)

    def let_go(self, key: Key) -> None:
        assert not self.state.is_named(key)

    def counts(self, namespace: str) -> bool:
        is_known = Key("Namespace", "", namespace) in self.objects or not self.is_selective
        return is_known and (not self.scope or namespace in self.scope)

    def put(self, row: Any) -> None:
        self.objects[row.key] = row
        if row.key.kind != "Secret":
            self.state.upsert(row, self.now)
        elif self.state.is_named(row.key):
            self.asked.append(row.key)

    def delete(self, key: Key) -> None:
        if self.objects.pop(key, None) is not None:
            self.state.remove(key, self.now)

    def finish(self, key: Key) -> None:
        """A reading brings what there is."""
        self.asked.remove(key)
        self.settled.add(key)
        self.state.settle_named(key, self.objects.get(key), self.now)

    def fail(self, key: Key) -> None:
        """A reading fails, and will be tried again."""
        self.settled.add(key)
        self.state.settle_unread(key, self.now)

    def take(self) -> None:
        self.now += 1.0
        change = self.state.take(self.now)
        if change is None:
            return
        self.told.update(change.upserts)
        for key in change.removals:
            self.told.pop(key, None)
        for row in change.upserts.values():
            for each in named_by(row):
                assert not self.counts(each.namespace) or each in self.settled

    def expected(self) -> dict[Key, Any]:
        rows = {key: row for key, row in self.objects.items() if key.kind == "Gateway" and self.counts(key.namespace)}
        named = {each for row in rows.values() for each in named_by(row) if self.counts(each.namespace)}
        rows.update({key: self.objects[key] for key in named if key in self.objects})
        return rows

    def told_of_these(self) -> dict[Key, Any]:
        return {key: row for key, row in self.told.items() if key.kind != "Namespace"}


KEYS = st.sampled_from(SECRETS)
STEPS = st.one_of(
    st.tuples(st.just("gateway"), st.sampled_from(GATEWAYS), st.lists(KEYS, max_size=3, unique=True).map(tuple)),
    st.tuples(st.just("secret"), KEYS, st.integers(0, 3)),
    st.tuples(st.just("namespace"), st.sampled_from(NAMESPACES), st.none()),
    st.tuples(st.just("delete"), st.sampled_from((*GATEWAYS, *SECRETS)), st.none()),
    st.tuples(st.just("no namespace"), st.sampled_from(NAMESPACES), st.none()),
    st.tuples(st.sampled_from(("finish", "fail", "take")), st.integers(0, 5), st.none()),
)


def done(world: World, step: tuple[str, Any, Any]) -> None:
    match step:
        case "gateway", key, names:
            world.put(gateway(key, names))
        case "secret", key, value:
            world.put(Secret(key, 1, "", "Opaque", (("x", Bytes(b"%d" % value)),)))
        case "namespace", name, _:
            world.put(Namespace(Key("Namespace", "", name), 1, ""))
        case "no namespace", name, _:
            world.delete(Key("Namespace", "", name))
        case "delete", key, _:
            world.delete(key)
        case "finish" | "fail", index, _ if world.asked:
            key = world.asked[index % len(world.asked)]
            world.finish(key) if step[0] == "finish" else world.fail(key)
        case _:
            world.take()


@given(st.lists(STEPS, max_size=40), st.sampled_from([(), ("a", "b")]), st.booleans())
def test_what_was_told_adds_up_to_what_counts(
    steps: list[tuple[str, Any, Any]], scope: tuple[str, ...], is_selective: bool
) -> None:
    world = World(scope, is_selective=is_selective)
    for step in steps:
        done(world, step)
    while world.asked:
        world.finish(world.asked[0])
    world.take()
    assert world.told_of_these() == world.expected()
    assert not world.state.is_holding
    assert {
        key: row for key, row in world.state.first(world.now).upserts.items() if key.kind != "Namespace"
    } == world.expected()


def test_a_reading_costs_only_those_that_wait_for_it() -> None:
    """Four Gateways that name 4,096 Secrets each: no reading looks through what the others wait for."""
    names = {GATEWAYS[0]._replace(name=f"g{index}"): index for index in range(4)}
    world = World((), is_selective=False)
    for key, index in names.items():
        world.put(gateway(key, tuple(Key("Secret", "a", f"s{index}-{each}") for each in range(4096))))
    began = time.process_time()
    for key in tuple(world.asked):
        world.state.settle_named(key, None, world.now)
    assert time.process_time() - began < 4.0, "it was minutes when each looked through all"
    assert not world.state.is_holding


def test_a_namespace_costs_what_lives_in_it() -> None:
    """200 namespaces of 100 objects each come and go: nobody looks through the other 199."""
    world = World((), is_selective=True)
    for index in range(200):
        for each in range(100):
            key = Key("Gateway", f"n{index}", f"g{each}")
            world.put(gateway(key, ()))
            world.state.stored(key, Stored(ObjectPath(PLACE, key.name, key.namespace), "", "", 1, (), b""))
    began = time.process_time()
    for index in range(200):
        world.put(Namespace(Key("Namespace", "", f"n{index}"), 1, ""))
    assert time.process_time() - began < 2.0, "each took 0.15 s when it looked through all"
    world.take()
    assert len(world.told_of_these()) == 20_000
    for index in range(200):
        world.delete(Key("Namespace", "", f"n{index}"))
    world.take()
    assert not world.told_of_these()
