"""Programmed: every connected Envoy has acknowledged what holds the generation that the status speaks of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from trilithon.incremental import Changes, Engine
from trilithon.model.settings import Settings
from trilithon.pipeline import acknowledged, build, edits
from trilithon.resources.decode import decode
from trilithon.resources.meta import Key
from trilithon.status.conditions import Condition
from trilithon.status.gateway import GATEWAY_STATUS

API = "gateway.networking.k8s.io/v1"
CLASS = {
    "apiVersion": API,
    "kind": "GatewayClass",
    "metadata": {"name": "trilithon"},
    "spec": {"controllerName": "trilithon.dev/gateway-controller"},
}
GATEWAY = Key("Gateway", "infra", "gw")
HTTP = {"name": "http", "port": 80, "protocol": "HTTP", "hostname": "a.test"}
OTHER = {"name": "other", "port": 8080, "protocol": "HTTP"}
ALL = {"allowedRoutes": {"namespaces": {"from": "All"}}}
TEAM = {"allowedRoutes": {"namespaces": {"from": "Selector", "selector": {"matchLabels": {"team": "shop"}}}}}


def gateway(generation: int, *listeners: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": API,
        "kind": "Gateway",
        "metadata": {"namespace": "infra", "name": "gw", "generation": generation},
        "spec": {"gatewayClassName": "trilithon", "listeners": list(listeners)},
    }


def route(path: str) -> dict[str, Any]:
    return {
        "apiVersion": API,
        "kind": "HTTPRoute",
        "metadata": {"namespace": "infra", "name": "web"},
        "spec": {
            "parentRefs": [{"name": "gw"}],
            "rules": [{"matches": [{"path": {"value": path}}]}],
        },
    }


class World:
    """An engine, and an Envoy that answers when it is told to."""

    def __init__(self, *objects: dict[str, Any]) -> None:
        self.engine: Engine = build(Settings())
        self.apply(CLASS, *objects)

    def apply(self, *objects: dict[str, Any]) -> Changes:
        return self.engine.apply(edits(_resources(objects)))

    def answer(self) -> Changes:
        return self.engine.apply(acknowledged(self.engine))

    @property
    def programmed(self) -> Condition:
        status = self.engine.row(GATEWAY_STATUS, GATEWAY)
        assert status is not None
        return next(each for each in status.conditions if each.type == "Programmed")


def _resources(objects: Iterable[dict[str, Any]]) -> list[Any]:
    found = [decode(each) for each in objects]
    assert not any(each.problems for each in found)
    return [each.resource for each in found]


@pytest.mark.parametrize(
    "after",
    [
        pytest.param([{**HTTP, "hostname": "b.test"}], id="another hostname, which the route table alone holds"),
        pytest.param([{**HTTP, "name": "web"}], id="another name, which routes may ask for"),
        pytest.param([{**HTTP, **ALL}], id="other namespaces let in, which shows in the routes alone"),
        pytest.param([{**HTTP, **TEAM}], id="a selector"),
        pytest.param([HTTP, {**HTTP, "name": "more", "hostname": "b.test"}], id="one more listener on the port"),
        pytest.param([HTTP, OTHER], id="one more port"),
        pytest.param([{**HTTP, "port": 81}], id="another port"),
    ],
)
def test_a_new_generation_is_programmed_when_envoy_has_what_follows_from_it(after: list[dict[str, Any]]) -> None:
    world = World(gateway(1, HTTP), route("/"))
    world.answer()
    assert (world.programmed.status, world.programmed.observed_generation) == ("True", 1)
    world.apply(gateway(2, *after))
    assert (world.programmed.status, world.programmed.reason) == ("False", "Pending")
    world.answer()
    assert (world.programmed.status, world.programmed.observed_generation) == ("True", 2)


def test_a_port_that_is_gone_is_programmed_when_envoy_has_let_it_go() -> None:
    world = World(gateway(1, HTTP, OTHER))
    world.answer()
    world.apply(gateway(2, HTTP))
    assert (world.programmed.status, world.programmed.reason) == ("False", "Pending")
    world.answer()
    assert (world.programmed.status, world.programmed.observed_generation) == ("True", 2)


def test_an_edited_route_does_not_touch_the_status_of_its_gateway() -> None:
    world = World(gateway(1, HTTP), route("/"))
    world.answer()
    for changes in (world.apply(route("/other")), world.answer()):
        assert "gateway status" not in changes.recomputed_in
    assert world.programmed.status == "True"
