"""The names that a Gateway's Envoys may ask for: what it has, what it had, and so many more."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import grpc.aio
import pytest
from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest

from tests.sinks.port import EXHAUSTED, NODE, ByHand, Envoy, many, serving
from tests.sinks.test_security_port import DELTA, MINE, THEIRS, asks, begun
from tests.system.harness import until
from trilithon.sinks.delivery.allowance import MOST_STRANGE_NAMES
from trilithon.sinks.delivery.session import MOST_STRANGE_TOLD
from trilithon.xds.node import node_id
from trilithon.xds.resource import CLUSTER, ENDPOINT, LISTENER, XdsResource


@pytest.fixture(autouse=True)
def short_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trilithon.sinks.delivery.allowance.REFUSED_SECONDS", 0.1)


async def test_the_streams_of_a_gateway_have_their_names_together() -> None:
    async with serving() as port:
        half = MOST_STRANGE_NAMES // 2
        calls = [begun(await port.connect(MINE), DELTA) for _ in range(2)]
        for call in calls:
            await call.write(asks(NODE, ENDPOINT, *many(half)))
            async with asyncio.timeout(30):
                assert await call.read() is not grpc.aio.EOF
        assert (await port.ask(asks(NODE, ENDPOINT, *many(100)))).code is EXHAUSTED
        other = Envoy(port, await port.connect(THEIRS))
        await other.gets_changes()
        # What one gives back another one may have.
        calls[0].cancel()
        await until(lambda: port.count(MINE) == 1, why="it is still there")
        assert (await port.ask(asks(NODE, ENDPOINT, *many(100)), wanted=1, seconds=0)).messages


@pytest.mark.parametrize("is_published", [True, False])
async def test_envoys_of_100_000_services_reconnect(is_published: bool) -> None:
    async with serving() as port:
        names = many(100_000, "namespace/service-of-a-usual-length-")
        clusters = [XdsResource.of(CLUSTER, name, ()) for name in names]
        endpoints = [XdsResource.of(ENDPOINT, name, ()) for name in names]
        if is_published:
            port.server.publish(MINE, [*clusters, *endpoints], [], 2)
        for name in "abc"[: 3 if is_published else 2]:
            call = begun(await port.connect(MINE), DELTA)
            await call.write(_reconnects(clusters, node_id("infra", "edge", name)))
            await call.write(_reconnects(endpoints))
        await until(lambda: port.count(MINE) == (3 if is_published else 2), why="they do not come")
        if is_published:
            await until(lambda: all(each.acked >= 200_000 for each in port.server.sessions()), why="names are missing")
        assert not port.said


async def test_a_configuration_may_shrink_at_once_however_many_envoys_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trilithon.sinks.delivery.allowance.MOST_STRANGE_NAMES", 200)
    async with serving() as port:
        names = many(100)
        wanted = [XdsResource.of(type_url, name, ()) for type_url in (CLUSTER, ENDPOINT) for name in names]
        port.server.publish(MINE, wanted, [], 2)
        envoys = [ByHand(port, await port.connect(MINE), f"{index}") for index in range(5)]
        for envoy in envoys:
            await envoy.takes_everything(names)
        port.server.publish(MINE, [], [(each.type_url, each.name) for each in wanted], 3)
        for envoy in envoys:
            # They go once the grace is over; until then Envoy may still speak of each.
            await envoy.say(ENDPOINT, *names[:50])
            assert set(names) <= await envoy.loses()
            await envoy.gives_up(names)
        late = ByHand(port, await port.connect(MINE), "late")
        await late.takes_everything(["c"])
        port.publish(MINE, "new", 4)
        for envoy in (*envoys, late):
            assert await envoy.hears(CLUSTER) == {"c"}
        assert not port.said


async def test_who_has_too_many_names_may_give_them_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trilithon.sinks.delivery.allowance.MOST_STRANGE_NAMES", 200)
    async with serving() as port:
        envoy = ByHand(port, await port.connect(MINE), "a")
        await envoy.takes_everything([])
        await envoy.say(ENDPOINT, *many(200))
        await envoy.hears(ENDPOINT)
        # Fewer are too many now.
        monkeypatch.setattr("trilithon.sinks.delivery.allowance.MOST_STRANGE_NAMES", 100)
        await envoy.gives_up(many(75))
        await envoy.gives_up(many(150)[75:])
        await envoy.say(ENDPOINT, *many(50, "other"))
        assert await envoy.hears(ENDPOINT) == set(many(50, "other"))
        await envoy.say(ENDPOINT, "one more")
        assert await envoy.ends() is EXHAUSTED


def _reconnects(resources: Iterable[XdsResource], node: str = "") -> DeltaDiscoveryRequest:
    versions = {each.name: each.version for each in resources}
    (type_url,) = {each.type_url for each in resources}
    request = DeltaDiscoveryRequest(type_url=type_url, initial_resource_versions=versions)
    request.node.id = node
    if type_url == ENDPOINT:
        request.resource_names_subscribe.extend(versions)
    return request


async def test_what_an_envoy_makes_up_is_not_told_on() -> None:
    async with serving() as port:
        listeners = [XdsResource.of(LISTENER, f"l{index}", ()) for index in range(2 * MOST_STRANGE_TOLD)]
        call = begun(await port.connect(MINE), DELTA)
        port.server.publish(MINE, listeners, [], 2)
        made_up = [XdsResource.of(LISTENER, f"made-up-{index}", ()) for index in range(10 * MOST_STRANGE_TOLD)]
        await call.write(_reconnects([*made_up, *listeners], NODE))
        await until(lambda: MINE in port.proxies and port.proxies[MINE].acked != (), why="nothing is told")
        told = {each.name for each in port.proxies[MINE].acked}
        assert told >= {each.name for each in listeners}
        assert len(told) <= len(listeners) + MOST_STRANGE_TOLD
