"""How much a controller writes: nothing when nothing happens, once when something does, and less than others want."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from testcluster.api import Object, conditions
from testcluster.layout import NODE_ADDRESS
from tests.cluster.citizenship.town import ROUTES, Town
from tests.cluster.faults.objects import route

pytestmark = pytest.mark.timeout(500)

IDLE_SECONDS = 60.0
MANY = 500
RIVAL_SECONDS = 10.0
RIVAL_PAUSE = 0.1
EVENTS_AT_ONCE, EVENTS_EACH_SECOND = 40, 5


def test_nothing_is_written_while_nothing_happens(town: Town) -> None:
    """For a minute: the leader renews the Lease, and that is all."""
    town.wait_quiet()
    mark, began = town.cluster.audit.mark(), time.monotonic()
    time.sleep(IDLE_SECONDS)
    seconds = time.monotonic() - began
    accounts = f"system:serviceaccount:{town.namespace}:"
    events = [event for event in town.cluster.audit.read(mark) if event.by == town.controllers.account]
    proxies = [event for event in town.cluster.audit.read(mark) if event.by.startswith(accounts)]
    written = [event for event in events if event.is_write]
    assert {(event.verb, event.resource, event.name) for event in written} == {("patch", "leases", "trilithon")}
    assert {event.pod for event in written} == {town.controllers.leader()}
    # Every two seconds, less a fifth at most, by the leader; the other looks as often.
    assert len(written) <= seconds / 1.6 + 1
    read = Counter(event.verb for event in events if not event.is_write)
    assert proxies == [], "Envoys' pods have nothing to ask"
    print(f"\nidle for {seconds:.0f} s: {len(written)} writes of the Lease and none else; {dict(read)}")


def test_a_changed_route_is_one_status(town: Town) -> None:
    town.wait_quiet()
    mark = town.cluster.audit.mark()
    town.retouch("one")
    town.cluster.wait_for("its status", lambda: town.is_observed("one"))
    town.wait_quiet()
    count = town.count(mark)
    assert set(count) == {("httproutes/status", "one")}
    assert max(count.values()) <= 2
    print(f"\na route: {_told(count)}")


def test_a_changed_gateway_is_one_status(town: Town) -> None:
    """With a listener more on a new port the Service and the Deployment change as well, each once."""
    town.wait_quiet()
    path, cluster = town.path("gateways", "edge"), town.cluster
    before = cluster.get(path)["spec"]["listeners"]
    mark = cluster.audit.mark()
    for listeners in ([*before, {"name": "more", "port": 8080, "protocol": "HTTP"}], before):
        cluster.api.merge(path, {"spec": {"listeners": listeners}})
        cluster.wait_for("its status", partial(_is_listening, town, len(listeners)), 60)
        town.wait_quiet()
        count = town.count(mark)
        # An attempt that came too late is repeated.
        made = Counter((event.resource, event.name) for event in town.writes(mark) if event.code < 300)
        mark = cluster.audit.mark()
        statuses = {key: number for key, number in count.items() if key[0].endswith("/status")}
        assert set(statuses) <= {("gateways/status", "edge"), *(("httproutes/status", name) for name in ROUTES)}
        assert max(statuses.values()) <= 2
        assert all(made[key] == 1 for key in count if key not in statuses)
        print(f"\na Gateway with {len(listeners)} listeners: {_told(count)}")


def test_endpoints_that_come_and_go_are_no_status(town: Town) -> None:
    town.wait_quiet()
    path = f"/apis/discovery.k8s.io/v1/namespaces/{town.namespace}/endpointslices/web"
    mark = town.cluster.audit.mark()
    ready: Object = {"addresses": [str(NODE_ADDRESS)], "conditions": {"ready": True}}
    unready: Object = {**ready, "conditions": {"ready": False}}
    for endpoints in ([unready], [ready], [], [ready]):
        town.cluster.api.merge(path, {"endpoints": endpoints})
        town.wait_quiet()
    assert town.count(mark) == {}


@pytest.mark.parametrize("what", ["route", "gateway", "class"])
def test_a_rival_is_not_fought(town: Town, what: str) -> None:
    """It overwrites what we say every 100 ms: we write once a second at most, and are right when it has gone."""
    town.wait_quiet()
    paths = {
        "route": town.path("httproutes", "two"),
        "gateway": town.path("gateways", "edge"),
        "class": town.class_path,
    }
    path = paths[what]
    ours = _said(town.cluster.get(path))
    theirs = _turned(town.cluster.get(path)["status"])
    mark, began = town.cluster.audit.mark(), time.monotonic()
    for number in range(int(RIVAL_SECONDS / RIVAL_PAUSE)):
        town.cluster.api.merge(f"{path}/status", {"status": theirs})
        time.sleep(max(0.0, began + RIVAL_PAUSE * (number + 1) - time.monotonic()))
    seconds = time.monotonic() - began
    codes = Counter(event.code for event in town.writes(mark))
    town.cluster.wait_for("what we say", lambda: _said(town.cluster.get(path)) == ours)
    town.wait_quiet()
    assert 2 <= codes[200] <= seconds + 1
    assert {event.name for event in town.writes(mark)} == {path.rpartition("/")[2]}
    assert _said(town.cluster.get(path)) == ours
    print(f"\na rival of a {what}: {codes[200]} writes in {seconds:.1f} s; {codes[409]} were too late")


def test_a_rollout_writes_nothing(town: Town) -> None:
    """New replicas say what the old ones said: no object that we write a status of has another version after."""
    town.wait_quiet()
    controllers, cluster = town.controllers, town.cluster
    before, versions = {pod["metadata"]["name"] for pod in controllers.pods()}, town.versions()
    mark = cluster.audit.mark()
    path = f"/apis/apps/v1/namespaces/{controllers.namespace}/deployments/trilithon"
    cluster.api.merge(path, {"spec": {"template": {"metadata": {"annotations": {"rolled": str(mark)}}}}})

    def is_new() -> bool:
        names = {pod["metadata"]["name"] for pod in controllers.ready()}
        return bool(names) and not names & before and controllers.leader() in names

    cluster.wait_for("new replicas, one of which leads", is_new, 120)
    # What is new is written after all that is not was looked at.
    town.retouch("three")
    cluster.wait_for("its status", lambda: town.is_observed("three"))
    town.wait_quiet()
    assert set(town.count(mark)) == {("httproutes/status", "three")}
    after = town.versions()
    assert {name for name in versions if versions[name] != after[name]} == {"three"}


def test_many_routes_deleted_and_made_again(town: Town) -> None:
    """Each costs one status, and the Gateway's count of them is written now and then."""
    town.wait_quiet()
    names = [f"many-{number:03}" for number in range(MANY)]
    for turn in ("made", "made again"):
        mark, began = town.cluster.audit.mark(), time.monotonic()
        _each(names, lambda name: town.cluster.api.call("POST", town.path("httproutes"), route(name, "web", "edge")))
        town.cluster.wait_for("all statuses", partial(_are_observed, town, names), 60)
        took = time.monotonic() - began
        town.wait_quiet()
        _is_thrifty(town, mark, names, turn, took)
        mark, began = town.cluster.audit.mark(), time.monotonic()
        _each(names, lambda name: town.cluster.api.delete(town.path("httproutes", name)))
        took = time.monotonic() - began
        town.wait_quiet()
        _is_thrifty(town, mark, [], f"deleted after having been {turn}", took)


def test_events_are_rationed(town: Town) -> None:
    """Two hundred mistakes at once: some are told at once, the others at a steady rate, all by their statuses."""
    town.wait_quiet()
    names = [f"wrong-{number:03}" for number in range(200)]
    mark, began = town.cluster.audit.mark(), time.monotonic()
    _each(names, lambda name: town.cluster.api.call("POST", town.path("httproutes"), route(name, "missing", "edge")))
    town.cluster.wait_for("all statuses", partial(_are_observed, town, names), 60)
    events = [event for event in town.writes(mark) if event.resource == "events"]
    seconds = time.monotonic() - began
    _each(names, lambda name: town.cluster.api.delete(town.path("httproutes", name)))
    town.wait_quiet()
    assert 0 < len(events) <= EVENTS_AT_ONCE + EVENTS_EACH_SECOND * seconds + 1
    print(f"\n200 mistakes: {len(events)} Events in {seconds:.1f} s")


def _each(names: list[str], do: Any) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(do, names))


def _are_observed(town: Town, names: list[str]) -> bool:
    stored = {each["metadata"]["name"]: each for each in town.cluster.get(town.path("httproutes"))["items"]}
    return all((stored[name].get("status") or {}).get("parents") for name in names)


def _is_thrifty(town: Town, mark: int, names: list[str], turn: str, took: float) -> None:
    """One status for each route of those names, and no other object but the Gateway, twice a second at most."""
    count = town.count(mark)
    gateway = count.pop(("gateways/status", "edge"), 0)
    late = {key: number for key, number in count.items() if key[1] not in names}
    assert {key[0] for key in count} <= {"httproutes/status"}
    assert sum(count.values()) - sum(late.values()) <= 1.02 * len(names)
    assert gateway <= 2 * took + 3
    # Who is told to go may go before its status is written.
    assert sum(late.values()) <= MANY / 50
    print(f"\n{MANY} routes {turn} in {took:.1f} s: {sum(count.values())} statuses of routes, {gateway} of the Gateway")


def _is_listening(town: Town, number: int) -> bool:
    found = town.cluster.get(town.path("gateways", "edge"))
    said = (found.get("status") or {}).get("listeners") or []
    generation = found["metadata"]["generation"]
    return (
        len(said) == number
        and all(conditions({"status": each}).get("Programmed") == "True" for each in said)
        and all(each["observedGeneration"] == generation for each in found["status"]["conditions"])
    )


def _said(found: Object) -> Any:
    """A status without the times at which conditions changed."""
    return _without(found["status"], "lastTransitionTime")


def _without(value: Any, name: str) -> Any:
    match value:
        case dict():
            return {key: _without(each, name) for key, each in value.items() if key != name}
        case list():
            return [_without(each, name) for each in value]
        case _:
            return value


def _turned(value: Any) -> Any:
    """The same with another message everywhere."""
    match value:
        case dict():
            return {key: "mine" if key == "message" else _turned(each) for key, each in value.items()}
        case list():
            return [_turned(each) for each in value]
        case _:
            return value


def _told(count: Counter[tuple[str, str]]) -> str:
    return ", ".join(f"{resource} {name} {number}" for (resource, name), number in sorted(count.items()))
