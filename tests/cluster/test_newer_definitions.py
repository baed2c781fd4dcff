"""Definitions that allow more than this release knows: what is stored under them is refused, told of and not lost."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from testcluster import Cluster
from testcluster.api import Object
from tests.cluster.faults.asking import ask
from tests.cluster.faults.objects import GATEWAY_API, gateway, rules, service
from tests.cluster.traffic import Target
from tests.system.harness import free_port

DEFINITION = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/httproutes.gateway.networking.k8s.io"
NEW_FILTER = {"type": "FutureThing"}
# A kind begins with a letter, as far as this release knows.
NEW_PARENT = {"name": "edge", "kind": "4thGateway"}
END_SECONDS = 40.0


@pytest.fixture
def _newer(cluster: Cluster) -> Iterator[None]:
    """HTTPRoutes with a new type of filter, a new field of matches and new kinds of parents, while the test runs."""
    before = cluster.get(DEFINITION)["spec"]["versions"]
    versions = json.loads(json.dumps(before))
    for version in versions:
        spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
        spec["parentRefs"]["items"]["properties"]["kind"]["pattern"] = ".*"
        rule = spec["rules"]["items"]["properties"]
        rule["filters"]["items"]["properties"]["type"]["enum"].append(NEW_FILTER["type"])
        rule["matches"]["items"]["properties"]["cookies"] = {"type": "array", "items": {"type": "string"}}
    cluster.api.merge(DEFINITION, {"spec": {"versions": versions}})
    yield
    cluster.api.merge(DEFINITION, {"spec": {"versions": before}})


class World:
    """A Gateway, its class, and routes of a namespace."""

    def __init__(self, cluster: Cluster, namespace: str, folder: Path) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.log = folder / "log"

    @contextmanager
    def controller(self) -> Iterator[None]:
        """A controller of the class that is a process, and leads."""
        options = {
            "--kubeconfig": str(self.cluster.kubeconfig),
            "--infrastructure": "processes",
            "--controller-name": f"newer.test/{self.namespace}",
            "--own-namespace": self.namespace,
            "--health": f"127.0.0.1:{free_port()}",
        }
        command = [
            sys.executable,
            "-m",
            "trilithon",
            "controller",
            *(word for pair in options.items() for word in pair),
        ]
        with self.log.open("ab") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            yield
        except BaseException as error:
            error.add_note(self.log.read_text()[-4000:])
            raise
        finally:
            process.terminate()
            try:
                process.wait(END_SECONDS)
            finally:
                process.kill()

    def put(self, name: str, spec: Object) -> None:
        self.cluster.apply(
            {"apiVersion": GATEWAY_API, "kind": "HTTPRoute", "metadata": {"name": name}, "spec": spec},
            namespace=self.namespace,
        )

    def stored(self, name: str) -> Object:
        found: Object = self.cluster.get(f"/apis/{GATEWAY_API}/namespaces/{self.namespace}/httproutes/{name}")
        return found

    def said(self, name: str) -> dict[str, str]:
        """What the route's status says of its present generation: status/reason by type."""
        route = self.stored(name)
        conditions = [each for one in route.get("status", {}).get("parents", ()) for each in one["conditions"]]
        now = [each for each in conditions if each["observedGeneration"] == route["metadata"]["generation"]]
        return {each["type"]: f"{each['status']}/{each['reason']}" for each in now}

    def wait_said(self, name: str, **conditions: str) -> None:
        self.cluster.wait_for(f"{name} to say {conditions}", lambda: conditions.items() <= self.said(name).items())

    def answer(self, host: str, path: str) -> int:
        found: Any = self.cluster.get(f"/apis/{GATEWAY_API}/namespaces/{self.namespace}/gateways/edge")
        addresses = found.get("status", {}).get("addresses") or ()
        answer = ask(Target(addresses[0]["value"], host, 80, path)) if addresses else None
        return answer.status if answer is not None else 0

    def checked(self) -> str:
        """What ``trilithon check --cluster`` prints."""
        options = ["--kubeconfig", str(self.cluster.kubeconfig), "--controller-name", f"newer.test/{self.namespace}"]
        command = [sys.executable, "-m", "trilithon", "check", "--cluster", *options]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout

    def events(self) -> set[str]:
        found = self.cluster.get(f"/apis/events.k8s.io/v1/namespaces/{self.namespace}/events")["items"]
        return {f"{each['regarding']['name']} {each['reason']}" for each in found}


def routing(host: str, *more: Object) -> Object:
    return {"parentRefs": [{"name": "edge"}], "hostnames": [host], "rules": [*more, *rules("web")]}


@pytest.fixture
def world(cluster: Cluster, namespace: str, tmp_path: Path) -> Iterator[World]:
    class_ = {
        "apiVersion": GATEWAY_API,
        "kind": "GatewayClass",
        "metadata": {"name": namespace},
        "spec": {"controllerName": f"newer.test/{namespace}"},
    }
    cluster.apply(class_, gateway("edge", namespace), *service("web", 9), namespace=namespace)
    made = World(cluster, namespace, tmp_path)
    yield made
    # The finalizer of a class goes with its last Gateway, and with it whoever would take it away.
    routes = cluster.get(f"/apis/{GATEWAY_API}/namespaces/{namespace}/httproutes")["items"]
    for name in [each["metadata"]["name"] for each in routes]:
        cluster.api.delete(f"/apis/{GATEWAY_API}/namespaces/{namespace}/httproutes/{name}")
    with made.controller():
        cluster.api.delete(f"/apis/{GATEWAY_API}/namespaces/{namespace}/gateways/edge")
        cluster.api.delete(f"/apis/{GATEWAY_API}/gatewayclasses/{namespace}")
        cluster.wait_for(
            "the class to go", lambda: cluster.find(f"/apis/{GATEWAY_API}/gatewayclasses/{namespace}") is None
        )


@pytest.mark.usefixtures("_newer")
def test_what_is_not_understood_is_refused_before_and_after_a_restart(world: World) -> None:
    admin = {**rules("web")[0], "matches": [{"path": {"value": "/admin"}}], "filters": [NEW_FILTER]}
    narrow = {**rules("web")[0], "matches": [{"path": {"value": "/admin"}, "cookies": ["session"]}]}
    for name in ("partly", "wholly", "fields", "parents"):
        world.put(name, routing(f"{name}.test"))
    with world.controller():
        for name in ("partly", "wholly", "fields", "parents"):
            world.wait_said(name, Accepted="True/Accepted")
        world.put("partly", routing("partly.test", admin))
        world.put("wholly", {**routing("wholly.test"), "rules": [{**admin, "matches": []}]})
        world.put("fields", routing("fields.test", narrow))
        world.put("parents", {**routing("parents.test"), "parentRefs": [NEW_PARENT]})
        world.wait_said("partly", Accepted="True/Accepted", PartiallyInvalid="True/UnsupportedValue")
        world.wait_said("wholly", Accepted="False/UnsupportedValue")
        world.wait_said("fields", Accepted="True/Accepted", PartiallyInvalid="True/UnsupportedValue")
        world.cluster.wait_for("the filter to count", lambda: world.answer("partly.test", "/admin") == 500)
        world.cluster.wait_for("the field to count", lambda: world.answer("fields.test", "/admin") == 500)
        world.cluster.wait_for("the route to end", lambda: world.answer("parents.test", "/") == 404)
        expected = {f"{name} RuleNotUnderstood" for name in ("partly", "wholly", "fields")}
        world.cluster.wait_for("the Events", lambda: expected <= world.events())
    checked = world.checked()
    assert "spec.rules[0].filters[0].type" in checked
    assert "spec.rules[0].matches[0].cookies" in checked
    assert "spec.parentRefs[0].kind" in checked
    before = {name: world.stored(name)["status"] for name in ("partly", "wholly", "fields", "parents")}
    assert before["parents"]["parents"], "nobody can tell whether it is ours still"
    with world.controller():
        world.put("new", routing("new.test", admin))
        world.wait_said("new", Accepted="True/Accepted", PartiallyInvalid="True/UnsupportedValue")
        world.cluster.wait_for("the filter to count", lambda: world.answer("partly.test", "/admin") == 500)
        assert world.answer("parents.test", "/") == 404
        assert {name: world.stored(name)["status"] for name in before} == before
