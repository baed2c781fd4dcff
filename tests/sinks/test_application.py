"""What is asked of an API server to make one Gateway's objects right, in the ways that a cluster's life brings."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from tests.sinks.recording_api import Answer, Asked, RecordingApi, refusal
from trilithon.infrastructure.manifest import DEPLOYMENT, SECRET, SERVICE, SERVICE_ACCOUNT
from trilithon.kube.objects import ApiKind, ObjectPath
from trilithon.model.infrastructure import Generated, Infrastructure
from trilithon.resources.meta import Key
from trilithon.sinks.objects.application import Application, NotLeading, Outcome, Territory, while_leading
from trilithon.sinks.objects.inventory import Inventory
from trilithon.sinks.objects.repairs import Repairs
from trilithon.sinks.objects.succession import PATIENCE_SECONDS

TERRITORY = Territory()
GATEWAY = Key("Gateway", "infra", "edge")
INSTALLATION = "trilithon.dev/installation"


def generated(kind: ApiKind, name: str = "edge-t") -> Generated:
    manifest = {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {"name": name, "namespace": "infra", "labels": TERRITORY.labels, "annotations": {}},
    }
    return Generated(ObjectPath(kind, name, "infra"), msgspec.json.encode(manifest))


SERVICE_WANTED = generated(SERVICE)
WANTED = Infrastructure(GATEWAY, (SERVICE_WANTED,))


class Cluster:
    """An API server with one Gateway and what is applied, as far as this asks."""

    def __init__(self) -> None:
        self.api = RecordingApi()
        self.api.answer = self._answer
        self.gateway_uid = "uid-0"
        self.objects: dict[str, dict[str, Any]] = {}
        self.leads: Callable[[], bool] = lambda: True
        self.now = 0.0
        self.inventory = Inventory()
        self._version = 10

    @asynccontextmanager
    async def application(self) -> AsyncIterator[Application]:
        """What is tested."""
        async with self.api.client() as client:
            repairs = Repairs(random.Random(1))
            api = while_leading(client, lambda: self.leads())  # noqa: PLW0108 - it may be another one later
            yield Application(api, Unasked(), self.inventory, repairs, TERRITORY, lambda: self.now)

    @property
    def service(self) -> dict[str, Any]:
        """The only object's metadata."""
        ((_, found),) = self.objects.items()
        metadata: dict[str, Any] = found["metadata"]
        return metadata

    @property
    def names(self) -> list[str]:
        """Of everything there is."""
        return [each["metadata"]["name"] for each in self.objects.values()]

    def of(self, path: ObjectPath) -> dict[str, Any]:
        """The object at a path."""
        return self.objects[path.path()]

    def _answer(self, asked: Asked) -> Answer | None:
        if "/gateways/" in asked.path:
            return 200, {"metadata": {"name": "edge", "uid": self.gateway_uid}, "spec": {"gatewayClassName": "t"}}
        found = self.objects.get(asked.path)
        if asked.method == "DELETE":
            del self.objects[asked.path]
            return 200, {}
        if asked.method == "GET":
            return (200, found) if found else refusal(404, "NotFound")
        uid = asked.body["metadata"].get("uid")
        if (found is not None) != (uid is not None) or (found and found["metadata"]["uid"] != uid):
            return refusal(409, "Conflict")
        self._version += 1
        metadata = {**asked.body["metadata"], "uid": uid or f"uid-of-{asked.path}"}
        metadata["resourceVersion"] = str(self._version)
        self.objects[asked.path] = {**asked.body, "metadata": metadata}
        return 200, self.objects[asked.path]


class Unasked:
    """No identity is wanted here."""

    async def issue(self, gateway: Key, current: object) -> None:
        raise AssertionError(gateway)


async def apply(application: Application, infrastructure: Infrastructure = WANTED) -> Outcome:
    return await application.apply(infrastructure, lambda _: True)


async def test_nothing_is_asked_once_leadership_is_lost() -> None:
    """Another one writes by then; whatever request it is lost before, that one is not made."""
    three = Infrastructure(GATEWAY, tuple(generated(kind) for kind in (SERVICE, SERVICE_ACCOUNT, SECRET)))
    for last in range(4):
        cluster = Cluster()
        cluster.leads = lambda cluster=cluster, last=last: len(cluster.api.asked) < last  # type: ignore[misc]
        async with cluster.application() as application:
            with pytest.raises(NotLeading):
                await apply(application, three)
        assert len(cluster.api.asked) == last


async def test_a_gateway_that_is_made_anew_gets_its_objects_at_once() -> None:
    """However often: what an earlier one of that name owned was no repair."""
    cluster = Cluster()
    async with cluster.application() as application:
        for number in range(12):
            cluster.now += 1.0
            cluster.gateway_uid = f"uid-{number}"
            await apply(application)
            assert cluster.service["ownerReferences"][0]["uid"] == cluster.gateway_uid
            cluster.objects.clear()
            cluster.inventory.remove(SERVICE_WANTED.path)


async def test_what_somebody_deletes_again_and_again_is_made_less_and_less_often() -> None:
    cluster = Cluster()
    made = 0
    async with cluster.application() as application:
        for _ in range(100):
            cluster.now += 1.0
            outcome = await apply(application)
            made += outcome.has_written
            assert outcome.has_written or (outcome.again_at or 0.0) > cluster.now
            cluster.objects.clear()
            cluster.inventory.remove(SERVICE_WANTED.path)
        assert 3 <= made <= 12
        application.forget(GATEWAY)
        assert (await apply(application)).has_written, "another Gateway of that name is no reason to wait"


async def test_labels_that_were_taken_away_are_put_back() -> None:
    """The object's controller is this very Gateway, and it says what was applied to it: it is ours without them."""
    cluster = Cluster()
    async with cluster.application() as application:
        await apply(application)
        for label in (INSTALLATION, "app.kubernetes.io/managed-by"):
            cluster.now += 1000.0
            del cluster.service["labels"][label]
            # The watch, which selects by labels, tells of a deletion.
            cluster.inventory.remove(SERVICE_WANTED.path)
            await apply(application)
            outcome = await apply(application)
            assert cluster.service["labels"] == TERRITORY.labels
            assert outcome.applied.unapplied == ()
        asked = len(cluster.api.asked)
        assert not (await apply(application)).has_written
        assert len(cluster.api.asked) == asked, "then all is well"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        pytest.param({"labels": {INSTALLATION: "other.one"}}, "other.one", id="another installation made it"),
        pytest.param({"annotations": {}}, "trilithon.dev/applied", id="nothing says that it was applied"),
        pytest.param({"ownerReferences": []}, "no Gateway", id="nothing controls it"),
    ],
)
async def test_what_is_not_certainly_ours_is_left_alone_and_told(change: dict[str, Any], why: str) -> None:
    """It has the name that is needed, and even if the Gateway owns it: it is no leftover that goes by itself."""
    cluster = Cluster()
    async with cluster.application() as application:
        await apply(application)
        cluster.service.update(change)
        before = dict(cluster.service)
        cluster.inventory.remove(SERVICE_WANTED.path)
        cluster.now += 1000.0
        outcome = await apply(application)
    assert cluster.service == before
    ((unapplied),) = outcome.applied.unapplied
    assert unapplied.cause == "foreign"
    assert why in unapplied.why
    assert (outcome.again_at or 0.0) - cluster.now >= 10.0, "and not looked at all the time"


async def test_pods_that_serve_go_when_those_of_another_class_do() -> None:
    """Its class is another one of ours, and so are the names: the new ones first have to serve."""
    cluster = Cluster()
    old = Infrastructure(GATEWAY, (generated(DEPLOYMENT), generated(SERVICE)))
    new = Infrastructure(GATEWAY, (generated(DEPLOYMENT, "edge-u"), generated(SERVICE, "edge-u")))
    async with cluster.application() as application:
        await apply(application, old)
        for _ in range(3):
            cluster.now += 5.0
            outcome = await apply(application, new)
            assert sorted(cluster.names) == ["edge-t", "edge-t", "edge-u", "edge-u"]
            assert (outcome.again_at or 0.0) > cluster.now
        cluster.of(new.objects[0].path)["status"] = {"availableReplicas": 1}
        await apply(application, new)
        assert cluster.names == ["edge-u", "edge-u"]


OLD = Infrastructure(GATEWAY, (generated(DEPLOYMENT), generated(SERVICE)))
NEW = Infrastructure(GATEWAY, (generated(DEPLOYMENT, "edge-u"), generated(SERVICE, "edge-u")))
BOTH, ONLY_NEW = ["edge-t", "edge-t", "edge-u", "edge-u"], ["edge-u", "edge-u"]


async def test_as_many_pods_of_the_next_class_serve_before_those_of_the_one_before_go() -> None:
    """Or as many as are wanted, if those are fewer; and they do not wait for ever."""
    for old, wanted, enough in ((3, 3, 3), (3, 2, 2), (1, 3, 1), (0, 2, 1)):
        cluster = Cluster()
        async with cluster.application() as application:
            await apply(application, OLD)
            await apply(application, NEW)
            cluster.of(OLD.objects[0].path)["status"] = {"availableReplicas": old}
            deployment = cluster.of(NEW.objects[0].path)
            deployment["spec"] = {"replicas": wanted}
            deployment["status"] = {"availableReplicas": enough - 1}
            await apply(application, NEW)
            assert sorted(cluster.names) == BOTH, (old, wanted)
            deployment["status"] = {"availableReplicas": enough}
            await apply(application, NEW)
            assert cluster.names == ONLY_NEW, (old, wanted)


async def test_an_address_goes_when_the_next_one_is_there() -> None:
    cluster = Cluster()
    async with cluster.application() as application:
        await apply(application, OLD)
        await apply(application, NEW)
        cluster.of(OLD.objects[1].path)["status"] = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
        cluster.of(NEW.objects[0].path)["status"] = {"availableReplicas": 1}
        next_ = cluster.of(NEW.objects[1].path)
        next_["spec"] = {"type": "LoadBalancer"}
        await apply(application, NEW)
        assert sorted(cluster.names) == BOTH
        next_["status"] = {"loadBalancer": {"ingress": [{"hostname": "lb.example.com"}]}}
        await apply(application, NEW)
        assert cluster.names == ONLY_NEW


async def test_what_cannot_be_had_twice_is_not_waited_for() -> None:
    """The ports of nodes, and an address that is asked for by its value."""
    cluster = Cluster()
    on_nodes = {"template": {"spec": {"hostNetwork": True}}}
    async with cluster.application() as application:
        await apply(application, OLD)
        cluster.of(OLD.objects[0].path).update(spec=on_nodes, status={"availableReplicas": 2})
        cluster.of(OLD.objects[1].path)["status"] = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
        await apply(application, NEW)
        cluster.of(NEW.objects[0].path)["spec"] = on_nodes
        cluster.of(NEW.objects[1].path)["spec"] = {"type": "LoadBalancer", "loadBalancerIP": "192.0.2.1"}
        await apply(application, NEW)
        assert cluster.names == ONLY_NEW


@pytest.mark.parametrize(
    ("why", "is_over"), [("spec.ports[0].nodePort: provided port is already allocated", True), ("not that name", False)]
)
async def test_a_service_that_waits_for_the_node_port_of_the_one_before_gets_it(why: str, is_over: bool) -> None:
    """Any other refusal keeps what is there."""
    cluster = Cluster()
    path = NEW.objects[1].path.path()
    async with cluster.application() as application:
        await apply(application, OLD)
        answer = cluster.api.answer
        cluster.api.answer = lambda asked: refusal(422, why) if asked.path == path and asked.body else answer(asked)
        await apply(application, NEW)
        cluster.of(NEW.objects[0].path)["status"] = {"availableReplicas": 1}
        outcome = await apply(application, NEW)
    assert sorted(cluster.names) == (["edge-u"] if is_over else ["edge-t", "edge-t", "edge-u"])
    if is_over:
        assert 0.0 < (outcome.again_at or 0.0) - cluster.now < 5.0


async def test_pods_that_find_no_place_beside_those_of_before_get_it_in_the_end() -> None:
    cluster = Cluster()
    async with cluster.application() as application:
        await apply(application, OLD)
        await apply(application, NEW)
        cluster.now += PATIENCE_SECONDS - 1
        await apply(application, NEW)
        assert sorted(cluster.names) == BOTH
        cluster.now += 1
        await apply(application, NEW)
        assert cluster.names == ONLY_NEW


async def test_each_change_of_class_is_waited_for_anew() -> None:
    """However long ago the last one was."""
    cluster = Cluster()
    async with cluster.application() as application:
        await apply(application, OLD)
        await apply(application, NEW)
        cluster.of(NEW.objects[0].path)["status"] = {"availableReplicas": 1}
        await apply(application, NEW)
        assert cluster.names == ONLY_NEW
        for each in OLD.objects:
            cluster.inventory.remove(each.path)
        await apply(application, NEW)
        cluster.now += 2 * PATIENCE_SECONDS
        for _ in range(2):
            await apply(application, OLD)
            assert sorted(cluster.names) == BOTH


async def test_what_an_earlier_gateway_owned_is_waited_for() -> None:
    """The garbage collector is about to take it."""
    cluster = Cluster()
    async with cluster.application() as application:
        await apply(application)
        cluster.gateway_uid = "uid-of-the-next"
        cluster.inventory.remove(SERVICE_WANTED.path)
        outcome = await apply(application)
        assert outcome.applied.unapplied == ()
        assert 0.0 < (outcome.again_at or 0.0) - cluster.now < 5.0
        cluster.objects.clear()
        assert (await apply(application)).has_written
