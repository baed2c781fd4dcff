"""Laws of what a cluster is told of a settle."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any, cast

import msgspec
import pytest
import yaml

from trilithon.controller.cluster import LocalHosts, Statuses, UsedClasses
from trilithon.incremental import Edit
from trilithon.model.settings import Settings
from trilithon.model.tables import HOSTS
from trilithon.pipeline import build, edits
from trilithon.resources.decode import decode
from trilithon.resources.meta import Key
from trilithon.sinks.envoy.loopback import LoopbackAddresses
from trilithon.sinks.objects.finalizers import Finalizers
from trilithon.sinks.objects.status_writer import StatusWriter

CLUSTER = Settings(address="0.0.0.0", shared_address=False, private_backends=False)
OURS = "trilithon.dev/gateway-controller"


def class_(name: str, controller: str = OURS) -> Any:
    return _decoded(
        f"""{{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {{name: {name}}},
        spec: {{controllerName: {controller}}}}}"""
    )


def gateway(name: str, of: str) -> Any:
    return _decoded(
        f"""{{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {{name: {name}, namespace: shop}},
        spec: {{gatewayClassName: {of}, listeners: [{{name: http, port: 80, protocol: HTTP}}]}}}}"""
    )


def _decoded(text: str) -> Any:
    return decode(yaml.safe_load(text)).resource


class Recorded:
    """What finalizers were asked for last, by class."""

    def __init__(self) -> None:
        self.wanted: dict[str, bool | None] = {}

    def want(self, key: Key, is_used: bool | None) -> None:
        self.wanted[key.name] = is_used

    def last(self, name: str) -> bool | None:
        return self.wanted[name]


def test_a_class_of_ours_is_held_while_a_gateway_uses_it_and_that_of_another_is_left_alone() -> None:
    finalizers = Recorded()
    used = UsedClasses(cast("Finalizers", finalizers))
    engine = build(CLUSTER)

    def settle(upserts: list[Any], removals: list[Key] | None = None) -> None:
        used.settled(engine, engine.apply(edits(upserts, removals or ())))

    settle([class_("ours"), class_("unused"), class_("theirs", "example.com/other"), gateway("a", "ours")])
    assert finalizers.wanted == {"ours": True, "unused": False}
    settle([gateway("b", "ours"), gateway("c", "theirs")], [Key("Gateway", "shop", "a")])
    assert finalizers.last("ours") is True
    # Deleted and made again by another controller, which uses a finalizer of the same name.
    settle([class_("ours", "example.com/other")])
    assert finalizers.last("ours") is None
    settle([class_("ours")])
    assert finalizers.last("ours") is True
    settle([], [Key("Gateway", "shop", "b")])
    assert finalizers.wanted == {"ours": False, "unused": False}


class Written:
    """What the status writer was asked to say last, by object; None: nothing."""

    def __init__(self) -> None:
        self.wanted: dict[str, dict[str, Any] | None] = {}

    def want(self, key: Key, render: Callable[[], dict[str, Any]] | None) -> None:
        self.wanted[key.name] = render() if render is not None else None

    def complete(self) -> None:
        self.wanted["everything else"] = None

    def conditions(self, name: str) -> list[tuple[str, str, int]]:
        status = self.wanted[name]
        assert status is not None
        return [(each["type"], each["status"], each["observedGeneration"]) for each in status["conditions"]]


def test_what_was_said_of_a_gateway_is_taken_back_when_its_class_is_gone() -> None:
    """Nothing may look served that is not. A class that is another controller's makes the status its own."""
    writer = Written()
    statuses = Statuses(cast("StatusWriter", writer))
    engine = build(CLUSTER)

    def settle(upserts: list[Any], removals: list[Key] | None = None) -> None:
        statuses.settled(engine, engine.apply(edits(upserts, removals or ())))

    gone = [Key("GatewayClass", "", "ours")]
    settle([class_("ours"), gateway("a", "ours"), gateway("b", "never-there")])
    assert writer.conditions("a")[0] == ("Accepted", "True", 1)
    assert "b" not in writer.wanted
    settle([], gone)
    assert writer.conditions("a") == [("Accepted", "Unknown", 1), ("Programmed", "False", 1)]
    assert (writer.wanted["a"] or {})["listeners"] == []
    settle([msgspec.structs.replace(gateway("a", "ours"), generation=2)])
    assert writer.conditions("a") == [("Accepted", "Unknown", 2), ("Programmed", "False", 2)]
    settle([class_("ours")])
    assert writer.conditions("a")[0] == ("Accepted", "True", 2)
    settle([], gone)
    settle([class_("ours", "example.com/other")])
    assert writer.wanted["a"] is None
    writer.wanted.clear()
    settle([], gone)
    assert writer.wanted == {}, "the other one has told of it since"
    settle([class_("ours")])
    settle([class_("ours", "example.com/other")])
    assert writer.wanted["a"] is None


# Six addresses of this process alone: others test at the same time.
NETWORK = f"127.{128 | os.getpid() >> 8 & 127}.{os.getpid() & 255}.0/29"


@pytest.fixture
def addresses() -> Iterator[LoopbackAddresses]:
    given = LoopbackAddresses(NETWORK)
    yield given
    given.release_all()


def test_each_gateway_of_ours_gets_a_loopback_address_of_its_own(addresses: LoopbackAddresses) -> None:
    engine = build(CLUSTER)
    fed: list[Edit[Any, Any]] = []
    hosts = LocalHosts(fed.extend, addresses)
    hosts.settled(engine, engine.apply(edits([class_("ours"), *(gateway(name, "ours") for name in "ab")])))
    first = {edit.key.name: msgspec.to_builtins(edit.row)["address"] for edit in fed}
    assert all(edit.table is HOSTS for edit in fed)
    assert len(set(first.values())) == 2
    fed.clear()
    hosts.settled(engine, engine.apply(edits([gateway("c", "ours")], [Key("Gateway", "shop", "a")])))
    later = {edit.key.name: edit.row.address for edit in fed if edit.row is not None}
    # An address that was just given back is not given to the next one.
    assert later.keys() == {"c"}
    assert later["c"] not in first.values()


def test_two_programs_of_one_machine_never_share_a_loopback_address(addresses: LoopbackAddresses) -> None:
    others = LoopbackAddresses(NETWORK)
    given = [each for _ in range(3) for each in (addresses.claim(), others.claim())]
    assert None not in given
    assert len(set(given)) == 6
    assert (addresses.claim(), others.claim()) == (None, None)
    others.release_all()
    assert addresses.claim() in given[1::2]


def test_a_gateway_that_found_no_address_gets_the_next_one_that_is_given_back(addresses: LoopbackAddresses) -> None:
    engine = build(CLUSTER)
    fed: list[Edit[Any, Any]] = []
    hosts = LocalHosts(fed.extend, addresses)
    hosts.settled(engine, engine.apply(edits([class_("ours"), *(gateway(name, "ours") for name in "abcdefg")])))
    assert {edit.key.name for edit in fed} == set("abcdef")
    fed.clear()
    hosts.settled(engine, engine.apply(edits([], [Key("Gateway", "shop", "a")])))
    assert [(edit.key.name, edit.row is not None) for edit in fed] == [("a", False), ("g", True)]
