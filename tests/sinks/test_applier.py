"""What the applier knows without an API server: whether an object is as it should be, and when to look again."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trilithon.infrastructure.manifest import DEPLOYMENT, SERVICE
from trilithon.kube.objects import ObjectPath
from trilithon.model.infrastructure import Generated
from trilithon.resources.meta import Key
from trilithon.sinks.objects.agenda import Agenda
from trilithon.sinks.objects.generated_objects import (
    DIGEST_ANNOTATION,
    Existing,
    Owner,
    body,
    compared,
    digest_of,
    existing_of,
    is_as_generated,
    unwanted,
)
from trilithon.sinks.objects.inventory import Inventory
from trilithon.sinks.objects.repairs import LONGEST_SECONDS, Repairs

EDGE = Owner(Key("Gateway", "infra", "edge"), "uid-of-edge")
MANIFEST: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "edge", "namespace": "infra", "labels": {"a": "b"}, "annotations": {}},
    "spec": {"ports": [{"name": "tcp-80", "port": 80}], "args": ["x", "y"], "limits": {"cpu": "1000m"}},
}


def generated(**spec: Any) -> Generated:
    manifest = {**MANIFEST, "spec": {**MANIFEST["spec"], **spec}}
    return Generated(ObjectPath(SERVICE, "edge", "infra"), msgspec.json.encode(manifest))


def stored(wanted: Generated, *, owner: Owner = EDGE, version: str = "7", **spec: Any) -> Existing:
    """The object as a server holds it after it was applied, with other values in its spec."""
    applied = body(wanted, owner, None)
    applied["metadata"].update(uid="uid-of-service", resourceVersion=version, managedFields=[{"manager": "x"}])
    applied["spec"].update(spec)
    applied["status"] = {"loadBalancer": {}}
    return existing_of(SERVICE, msgspec.json.encode(applied))


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param({}, True, id="nothing changed"),
        pytest.param({"limits": {"cpu": "1"}}, True, id="an amount is written in another way"),
        pytest.param({"limits": {"cpu": "2"}}, False, id="another amount"),
        pytest.param({"more": 1}, True, id="others added a field"),
        pytest.param({"ports": [{"name": "tcp-80", "port": 80, "nodePort": 3}, {"port": 9}]}, True, id="others added"),
        pytest.param({"ports": [{"name": "tcp-80", "port": 81}]}, False, id="another port"),
        pytest.param({"ports": []}, False, id="a port is gone"),
        pytest.param({"args": ["y", "x"]}, False, id="another order of arguments"),
        pytest.param({"args": ["x", "y", "z"]}, False, id="one more argument"),
    ],
)
def test_an_object_is_right_if_it_has_all_that_was_generated(spec: dict[str, Any], expected: bool) -> None:
    wanted = generated()
    existing = stored(wanted, **spec)
    assert is_as_generated(existing, wanted) is expected
    assert bool(compared(existing, wanted).right_for) is expected


def test_what_is_not_generated_any_more_is_noticed() -> None:
    """The object still has all that is wanted, and more that was wanted once."""
    before, now = generated(extra="x"), generated()
    existing = stored(before)
    assert is_as_generated(existing, before)
    assert not is_as_generated(existing, now)
    assert not is_as_generated(compared(existing, before), now)


def test_an_object_is_made_or_changed_and_never_taken_over() -> None:
    """A body names the uid of the object that it changes, or a version that no object has."""
    new, change = body(generated(), EDGE, None), body(generated(), EDGE, None, "uid-of-service")
    assert new["metadata"]["resourceVersion"] == "1"
    assert "uid" not in new["metadata"]
    assert change["metadata"]["uid"] == "uid-of-service"
    assert "resourceVersion" not in change["metadata"]
    for each in (new, change):
        assert each["metadata"]["ownerReferences"][0]["uid"] == EDGE.uid
        assert each["metadata"]["annotations"][DIGEST_ANNOTATION] == digest_of(generated())


def test_a_secret_shows_nowhere() -> None:
    existing = msgspec.structs.replace(stored(generated()), data=(("tls.key", b"hidden"),))
    assert "hidden" not in repr(existing)


def test_only_objects_of_this_very_gateway_are_unwanted() -> None:
    """Those of one of that name before are for the garbage collector."""
    mine, earlier = stored(generated()), stored(generated(), owner=Owner(EDGE.gateway, "uid-of-before"))
    assert unwanted([mine, earlier], EDGE, []) == [mine]
    assert unwanted([mine], EDGE, [generated()]) == []


def test_news_that_comes_late_is_old() -> None:
    """A watch may tell of a version before the one that an answer has shown."""
    inventory = Inventory()
    answer, late = stored(generated(), version="10"), stored(generated(), version="9")
    assert inventory.put(answer)
    assert not inventory.put(late)
    assert inventory.of(EDGE.gateway) == (answer,)
    assert inventory.remove(answer.path) == answer
    assert inventory.gateways() == ()


def test_older_versions_count_once_history_went_back() -> None:
    """Those of other kinds and namespaces may not have."""
    inventory = Inventory()
    newest, old = stored(generated(), version="10"), stored(generated(), version="9")
    inventory.put(newest)
    inventory.forget_versions(DEPLOYMENT)
    inventory.forget_versions(SERVICE, "elsewhere")
    assert not inventory.put(old)
    for namespace in ("", "infra"):
        inventory.put(newest)
        inventory.forget_versions(SERVICE, namespace)
        assert inventory.put(old)
        assert inventory.of(EDGE.gateway) == (old,)
        assert not inventory.put(stored(generated(), version="8")), "from there it goes on"


def test_repairs_become_rarer() -> None:
    """At once the first time; in the end not more often than every few minutes."""
    repairs, path, now = Repairs(random.Random(1)), ObjectPath(SERVICE, "edge", "infra"), 0.0
    assert repairs.not_before(path) <= now
    waits = []
    for _ in range(12):
        repairs.made(path, now)
        waits.append(repairs.not_before(path) - now)
        now = repairs.not_before(path)
    assert waits[0] <= 1.0
    assert LONGEST_SECONDS / 2 <= waits[-1] <= LONGEST_SECONDS
    now += 10_000.0
    repairs.made(path, now)
    assert repairs.not_before(path) - now <= 1.0, "it was left alone for long"


KEYS = [Key("Gateway", "infra", name) for name in "abc"]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from(KEYS), st.floats(0, 5)),
        st.tuples(st.just("done"), st.sampled_from(KEYS), st.one_of(st.none(), st.floats(0, 5))),
        st.tuples(st.just("pass"), st.just(KEYS[0]), st.floats(0, 5)),
    )
)


@given(STEPS)
def test_nothing_put_on_the_agenda_is_lost_or_taken_twice_at_once(steps: list[tuple[str, Key, float | None]]) -> None:
    """Whatever happens: each key that was put is taken later, in its time, and by one at a time."""
    agenda, now = Agenda(), 0.0
    due: dict[Key, float] = {}
    rest: dict[Key, float] = {}
    busy: set[Key] = set()

    def take() -> None:
        while (key := agenda.take(now)) is not None:
            assert key not in busy
            assert due.pop(key) <= now
            busy.add(key)
        assert not [key for key, at in due.items() if at <= now and key not in busy]

    for what, key, value in steps:
        if what == "put":
            at = max(now + (value or 0.0), rest.get(key, 0.0))
            due[key] = min(due.get(key, at), at)
            agenda.put(key, now + (value or 0.0))
        elif what == "done" and key in busy:
            busy.remove(key)
            rest.pop(key, None)
            until = None if value is None else now + value
            if until is not None:
                rest[key] = until
                if key in due:
                    due[key] = max(due[key], until)
            agenda.done(key, until)
        else:
            now += value or 0.0
        take()
        ahead = [at for key, at in due.items() if key not in busy]
        assert agenda.next_at() == min(ahead, default=None)
