"""The server as a gRPC client sees it: streams, Gateways that are not known yet, several Envoys, limits."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import grpc.aio
import pytest
from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest, DeltaDiscoveryResponse

from trilithon.model.proxy import Acked, Proxy
from trilithon.sinks.delivery.feed import Response
from trilithon.sinks.delivery.grpc_server import XdsServer
from trilithon.sinks.delivery.session import Event, Published, Session
from trilithon.xds.node import node_id
from trilithon.xds.resource import CLUSTER, ENDPOINT, LISTENER, XdsResource

METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"


def resource(type_url: str, name: str, content: bytes = b"") -> XdsResource:
    return XdsResource.of(type_url, name, (content,))


class Told:
    """What the server reported, and a way to wait for more of it."""

    def __init__(self) -> None:
        self.proxies: list[Proxy] = []
        self.applied: list[tuple[str, int]] = []
        self._more = asyncio.Event()

    def on_proxy(self, proxy: Proxy) -> None:
        self.proxies.append(proxy)
        self._more.set()

    def on_applied(self, gateway: str, revision: int, seconds: float) -> None:
        assert seconds >= 0
        self.applied.append((gateway, revision))
        self._more.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not holds():
                self._more.clear()
                # Not everything that a test waits for is told.
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._more.wait(), 0.1)


class Client:
    """One stream, opened by hand."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        call = channel.stream_stream(
            METHOD,
            request_serializer=DeltaDiscoveryRequest.SerializeToString,
            response_deserializer=DeltaDiscoveryResponse.FromString,
        )
        self.stream = call()

    async def say(self, node: str = "", **fields: object) -> None:
        request = DeltaDiscoveryRequest(**fields)  # type: ignore[arg-type]  # whatever fields a test needs
        request.node.id = node
        await self.stream.write(request)

    async def hear(self) -> DeltaDiscoveryResponse:
        async with asyncio.timeout(30):
            response = await self.stream.read()
        assert isinstance(response, DeltaDiscoveryResponse), response
        return response

    async def ends(self) -> grpc.StatusCode:
        async with asyncio.timeout(30):
            return await self.stream.code()

    async def take(self, type_url: str) -> DeltaDiscoveryResponse:
        response = await self.hear()
        assert response.type_url == type_url
        await self.say(type_url=type_url, response_nonce=response.nonce)
        return response

    async def take_everything(self, node: str) -> None:
        """Ask for clusters and listeners, get and acknowledge one response of each."""
        await self.say(node, type_url=CLUSTER)
        await self.take(CLUSTER)
        await self.say(type_url=LISTENER)
        await self.take(LISTENER)


@asynccontextmanager
async def serving(
    folder: Path, admits: Callable[[str], bool] = lambda _: True
) -> AsyncIterator[tuple[XdsServer, Told, Callable[[], Client]]]:
    told = Told()
    path = folder / "xds.sock"
    server = XdsServer(path, on_proxy=told.on_proxy, on_applied=told.on_applied, admits=admits)
    await server.start()
    async with grpc.aio.insecure_channel(f"unix:{path}") as channel:
        yield server, told, lambda: Client(channel)
        await server.stop()


async def test_an_envoy_of_an_unknown_gateway_waits_until_it_is_published(tmp_path: Path) -> None:
    async with serving(tmp_path) as (server, told, connect):
        envoy = connect()
        await envoy.say(node_id("infra", "edge", "a"), type_url=CLUSTER)
        await told.until(lambda: told.proxies == [Proxy("infra/edge", 1)])
        assert server.sessions()[0].node == "infra/edge~a"
        server.publish("infra/other", [resource(CLUSTER, "other")], [], 1)
        server.publish("infra/edge", [resource(CLUSTER, "mine")], [], 2)
        response = await envoy.take(CLUSTER)
        assert [each.name for each in response.resources] == ["mine"]


async def test_what_was_published_before_the_start_is_served(tmp_path: Path) -> None:
    told = Told()
    server = XdsServer(tmp_path / "xds.sock", on_proxy=told.on_proxy, on_applied=told.on_applied)
    server.publish("infra/edge", [resource(LISTENER, "l")], [], 1)
    await server.start()
    assert (tmp_path / "xds.sock").stat().st_mode & 0o077 == 0
    async with grpc.aio.insecure_channel(f"unix:{tmp_path / 'xds.sock'}") as channel:
        await Client(channel).take_everything("infra/edge~a")
        await told.until(lambda: told.applied == [("infra/edge", 1)])
    await server.stop()


async def test_a_listener_counts_when_every_envoy_has_it(tmp_path: Path) -> None:
    async with serving(tmp_path) as (server, told, connect):
        listener = resource(LISTENER, "l")
        server.publish("infra/edge", [listener], [], 1)
        envoys = [connect(), connect()]
        for index, envoy in enumerate(envoys):
            await envoy.say(f"infra/edge~{index}", type_url=CLUSTER)
            await envoy.take(CLUSTER)
        await told.until(lambda: told.proxies[-1] == Proxy("infra/edge", 2))
        for envoy in envoys:
            await envoy.say(type_url=LISTENER)
        await envoys[0].take(LISTENER)
        response = await envoys[1].hear()
        assert told.applied == []
        refusal = DeltaDiscoveryRequest(type_url=LISTENER, response_nonce=response.nonce)
        refusal.error_detail.message = "bad"
        await envoys[1].stream.write(refusal)
        await told.until(lambda: bool(told.proxies[-1].rejected))
        assert told.proxies[-1].acked == ()
        assert told.applied == [("infra/edge", 1)]
        envoys[1].stream.cancel()
        await told.until(lambda: told.proxies[-1] == Proxy("infra/edge", 1, (Acked(LISTENER, "l", listener.version),)))


async def test_the_same_answer_is_not_told_twice(tmp_path: Path) -> None:
    async with serving(tmp_path) as (server, told, connect):
        server.publish("infra/edge", [resource(LISTENER, "l"), resource(ENDPOINT, "e")], [], 1)
        envoy = connect()
        await envoy.take_everything("infra/edge~a")
        await envoy.say(type_url=ENDPOINT, resource_names_subscribe=["e"])
        await envoy.take(ENDPOINT)
        server.publish("infra/edge", [resource(ENDPOINT, "e", b"more")], [], 2)
        await envoy.take(ENDPOINT)
        await told.until(lambda: told.applied == [("infra/edge", 1), ("infra/edge", 2)])
        assert all(one != other for one, other in itertools.pairwise(told.proxies))
        assert server.sessions()[0].wanted == server.sessions()[0].acked == 2


async def test_a_session_that_fails_ends_its_own_stream_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(tmp_path) as (server, told, connect):
        server.publish("infra/edge", [resource(LISTENER, "l")], [], 1)
        unlucky, other = connect(), connect()
        for name, envoy in (("a", unlucky), ("b", other)):
            await envoy.take_everything(f"infra/edge~{name}")
        await told.until(lambda: bool(told.applied))
        handle, failures = Session.handle, [ValueError("a defect")]

        def fails_once(session: Session, event: Event, now: float) -> tuple[Response, ...]:
            if isinstance(event, Published) and failures:
                raise failures.pop()
            return handle(session, event, now)

        monkeypatch.setattr(Session, "handle", fails_once)
        server.publish("infra/edge", [resource(LISTENER, "l", b"more"), resource(CLUSTER, "c")], [], 2)
        assert await unlucky.ends() is grpc.StatusCode.UNKNOWN
        await other.take(CLUSTER)
        await other.take(LISTENER)
        await told.until(lambda: ("infra/edge", 2) in told.applied)
        again = connect()
        await again.say("infra/edge~a", type_url=CLUSTER)
        assert [each.name for each in (await again.take(CLUSTER)).resources] == ["c"]
        await told.until(lambda: told.proxies[-1].connected == 2)


async def test_a_forgotten_gateway_is_left_alone(tmp_path: Path) -> None:
    async with serving(tmp_path) as (server, told, connect):
        server.publish("infra/edge", [resource(LISTENER, "l")], [], 1)
        envoy = connect()
        await envoy.take_everything("infra/edge~a")
        await told.until(lambda: bool(told.applied))
        server.forget("infra/edge")
        assert await envoy.ends() is grpc.StatusCode.OK
        assert told.proxies[-1] == Proxy("infra/edge")
        again = connect()
        await again.say("infra/edge~a", type_url=LISTENER, initial_resource_versions={"l": "1"})
        await told.until(lambda: told.proxies[-1] == Proxy("infra/edge", 1, (Acked(LISTENER, "l", "1"),)))
        server.publish("infra/edge", [resource(LISTENER, "other")], [], 2)
        await again.say(type_url=CLUSTER)
        await again.take(CLUSTER)
        response = await again.take(LISTENER)
        assert response.removed_resources == ["l"]


async def test_an_envoy_that_is_not_admitted_is_neither_told_anything_nor_sent_away(tmp_path: Path) -> None:
    async with serving(tmp_path, lambda node: node != "infra/edge~old") as (server, told, connect):
        server.publish("infra/edge", [resource(LISTENER, "l")], [], 1)
        old, new = connect(), connect()
        await old.say("infra/edge~old", type_url=LISTENER)
        await new.take_everything("infra/edge~new")
        await told.until(lambda: bool(told.applied))
        server.publish("infra/edge", [resource(LISTENER, "l", b"more")], [], 2)
        await new.take(LISTENER)
        await told.until(lambda: len(told.applied) == 2)
        assert [each.node for each in server.sessions()] == ["infra/edge~new"]
        # Whatever it says is heard and not answered.
        await old.say(type_url=CLUSTER)
        assert not old.stream.done()
        assert {proxy.connected for proxy in told.proxies} <= {0, 1}
        await old.stream.done_writing()
        assert await old.ends() is grpc.StatusCode.OK


async def test_an_envoy_that_is_cut_off_has_left(tmp_path: Path) -> None:
    """However its end and that of the call's parts fall together: one that seemed to stay would never acknowledge."""
    async with serving(tmp_path) as (server, told, _):

        async def come_and_go(slot: int) -> None:
            # A connection of its own, as every Envoy has: the server refuses too many streams on one.
            options = (("grpc.use_local_subchannel_pool", 1),)
            async with grpc.aio.insecure_channel(f"unix:{tmp_path / 'xds.sock'}", options) as channel:
                for number in range(slot, 600, 12):
                    envoy = Client(channel)
                    await envoy.say(node_id("shop", f"g{number % 5}", str(number)), type_url=CLUSTER)
                    await told.until(lambda: any(each.node.endswith(f"~{number}") for each in server.sessions()))  # noqa: B023 - called before the next one
                    if number % 2:
                        await envoy.stream.done_writing()
                    for _ in range(number % 7):
                        await asyncio.sleep(0)
                    envoy.stream.cancel()
                    await told.until(lambda: all(not each.node.endswith(f"~{number}") for each in server.sessions()))  # noqa: B023 - likewise

        await asyncio.gather(*(come_and_go(slot) for slot in range(12)))
        assert not server.sessions()


async def test_a_request_without_node_is_refused(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, _, connect):
        envoy = connect()
        await envoy.say(type_url=CLUSTER)
        assert await envoy.ends() is grpc.StatusCode.INVALID_ARGUMENT


async def test_an_envoy_with_100_000_resources_reconnects(tmp_path: Path) -> None:
    async with serving(tmp_path) as (server, _, connect):
        names = [f"namespace-{index}/service-with-a-long-name-{index}/8080" for index in range(100_000)]
        clusters = [resource(CLUSTER, name) for name in names]
        server.publish("infra/edge", [*clusters, resource(CLUSTER, "new")], [], 1)
        envoy = connect()
        await envoy.say(
            "infra/edge~a",
            type_url=CLUSTER,
            initial_resource_versions={cluster.name: cluster.version for cluster in clusters},
        )
        response = await envoy.take(CLUSTER)
        assert [each.name for each in response.resources] == ["new"]


async def test_a_slow_envoy_gets_the_latest_and_holds_up_nobody(tmp_path: Path) -> None:
    async with serving(tmp_path) as (server, _, connect):
        server.publish("infra/edge", [resource(ENDPOINT, "e", b"0")], [], 1)
        slow, quick = connect(), connect()
        for node, envoy in (("slow", slow), ("quick", quick)):
            await envoy.say(f"infra/edge~{node}", type_url=ENDPOINT, resource_names_subscribe=["e"])
        first = await slow.hear()
        await quick.take(ENDPOINT)
        for revision in range(2, 200):
            server.publish("infra/edge", [resource(ENDPOINT, "e", str(revision).encode())], [], revision)
            if revision % 50 == 0:
                await quick.take(ENDPOINT)
        await slow.say(type_url=ENDPOINT, response_nonce=first.nonce)
        second = await slow.hear()
        assert second.resources[0].resource.value == b"199"


async def test_what_is_both_removed_and_upserted_is_upserted(tmp_path: Path) -> None:
    async with serving(tmp_path) as (server, _, connect):
        server.publish("infra/edge", [resource(CLUSTER, "c")], [(CLUSTER, "c")], 1)
        envoy = connect()
        await envoy.say("infra/edge~a", type_url=CLUSTER)
        assert len((await envoy.hear()).resources) == 1


async def test_an_envoy_that_is_held_silent_is_let_go_when_it_may_have_something(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trilithon.sinks.delivery.grpc_server._LOOK_SECONDS", 0.05)
    admitted = False
    server = XdsServer(
        tmp_path / "xds.sock", on_proxy=lambda _: None, on_applied=lambda *_: None, admits=lambda _: admitted
    )
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"unix:{tmp_path / 'xds.sock'}") as channel:
            envoy = Client(channel)
            await envoy.say(node_id("infra", "edge", "one"), type_url=CLUSTER)
            reading = asyncio.ensure_future(envoy.stream.read())
            await asyncio.wait({reading}, timeout=0.3)
            assert not reading.done()
            admitted = True
            async with asyncio.timeout(30):
                assert await reading is grpc.aio.EOF
    finally:
        await server.stop()
