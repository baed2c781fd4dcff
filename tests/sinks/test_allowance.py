"""Whoever holds one Gateway's identity gets a bounded part of the xDS port; Envoys of others notice nothing."""

from __future__ import annotations

import asyncio
import gc
import resource
import ssl
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest

from tests.sinks.port import EXHAUSTED, NODE, ByHand, Envoy, Port, many, serving
from tests.sinks.test_security_port import DELTA, MINE, THEIRS, asks, begun
from tests.sinks.xds_client import authority, channel, identity
from tests.system.harness import until
from trilithon.resources.parameters import MOST_REPLICAS
from trilithon.sinks.delivery.allowance import LONGEST_NAME, MOST_STRANGE_NAMES, MOST_STREAMS, MOST_TYPES
from trilithon.sinks.delivery.grpc_options import MOST_CONNECTIONS, OPTIONS, port_options
from trilithon.sinks.delivery.session import Session
from trilithon.xds.resource import CLUSTER, ENDPOINT, LISTENER, XdsResource

FEW_STREAMS = 64
STREAMS_PER_CONNECTION = dict(OPTIONS)["grpc.max_concurrent_streams"]


@pytest.fixture(autouse=True)
def short_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trilithon.sinks.delivery.allowance.REFUSED_SECONDS", 0.1)


def test_all_pods_that_a_gateway_may_have_find_a_place_and_leave_room_for_others() -> None:
    # Each may be there twice, once with a stream of which nobody knows yet that it is dead; and one is on its way in.
    assert MOST_STREAMS >= 2 * (MOST_REPLICAS + 1)
    assert MOST_CONNECTIONS >= 3 * MOST_STREAMS


async def test_all_pods_may_come_at_once() -> None:
    async with serving() as port:
        calls: list[grpc.aio.StreamStreamCall[Any, bytes]] = []
        while len(calls) < 2 * MOST_REPLICAS:
            opened = await port.connect(MINE)
            calls += [begun(opened, DELTA) for _ in range(STREAMS_PER_CONNECTION)]
        for call in calls:
            await call.write(asks(NODE, CLUSTER))
        await until(lambda: port.count(MINE) == len(calls), why="not all are served")
        assert not port.said


async def test_a_gateway_has_so_many_streams_and_another_one_has_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trilithon.sinks.delivery.allowance.MOST_STREAMS", FEW_STREAMS)
    async with serving() as port:
        calls: list[grpc.aio.StreamStreamCall[Any, bytes]] = []
        while len(calls) < FEW_STREAMS:
            opened = await port.connect(MINE)
            calls += [begun(opened, DELTA) for _ in range(STREAMS_PER_CONNECTION)]
        # Also who says nothing has a stream.
        for call in calls[1:]:
            await call.write(asks(NODE, CLUSTER))
        await calls[0].wait_for_connection()
        await until(lambda: port.count(MINE) == FEW_STREAMS - 1, why="not all are served")
        for _ in range(3):
            assert (await port.ask(asks(NODE, CLUSTER))).code is EXHAUSTED
        (said,) = port.said
        assert MINE in said
        await Envoy(port, await port.connect(THEIRS)).gets_changes()
        calls[0].cancel()
        calls[1].cancel()
        await until(lambda: port.count(MINE) == FEW_STREAMS - 2, why="nobody left")
        assert (await port.ask(asks(NODE, CLUSTER), wanted=1, seconds=0)).messages


async def test_who_finds_no_place_hears_nothing_and_is_served_when_there_is_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("trilithon.sinks.delivery.allowance.MOST_STREAMS", 2)
    monkeypatch.setattr("trilithon.sinks.delivery.allowance.REFUSED_SECONDS", 60.0)
    async with serving() as port:
        served = [ByHand(port, await port.connect(MINE), name) for name in "ab"]
        for envoy in served:
            await envoy.takes_everything([])
        gives_up, waits = [begun(await port.connect(MINE), DELTA) for _ in range(2)]
        for call in (gives_up, waits):
            await call.write(asks(NODE, CLUSTER))
        heard_nothing, pending = await asyncio.wait({asyncio.ensure_future(waits.read())}, timeout=0.5)
        assert not heard_nothing
        gives_up.cancel()
        served[0].leave()
        async with asyncio.timeout(30):
            assert await next(iter(pending)) is not grpc.aio.EOF
        assert not port.said


@pytest.mark.parametrize("reason", ["no place", "a long name"])
async def test_who_is_refused_is_not_told_at_once(reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trilithon.sinks.delivery.allowance.REFUSED_SECONDS", 1.0)
    monkeypatch.setattr("trilithon.sinks.delivery.allowance.MOST_STREAMS", 1)
    async with serving() as port:
        if reason == "no place":
            has = begun(await port.connect(MINE), DELTA)
            await has.write(asks(NODE, CLUSTER))
            assert await has.read() is not grpc.aio.EOF
        loop = asyncio.get_running_loop()
        began = loop.time()
        assert (await port.ask(*EXCESSES["a long name"]())).code is EXHAUSTED
        assert loop.time() - began >= 0.9


FAR_TOO_MANY = MOST_STRANGE_NAMES + 10
# Made when needed: some are large.
EXCESSES: dict[str, Callable[[], list[DeltaDiscoveryRequest]]] = {
    "names of nothing": lambda: [asks(NODE, ENDPOINT, *[""] * (15 << 20))],
    "names in one request": lambda: [asks(NODE, ENDPOINT, *many(FAR_TOO_MANY))],
    "names in many requests": lambda: [
        asks(NODE, CLUSTER),
        *(asks("", ENDPOINT, *many(FAR_TOO_MANY // 4, str(index))) for index in range(5)),
    ],
    "names of many types": lambda: [asks(NODE, f"type{index}", *many(FAR_TOO_MANY // 4)) for index in range(5)],
    "names that it has": lambda: [
        DeltaDiscoveryRequest(
            node=asks(NODE).node,
            type_url=LISTENER,
            initial_resource_versions=dict.fromkeys(many(FAR_TOO_MANY), "1"),
        )
    ],
    "names that it gives up": lambda: [
        DeltaDiscoveryRequest(node=asks(NODE).node, type_url=CLUSTER, resource_names_unsubscribe=many(FAR_TOO_MANY))
    ],
    "types": lambda: [asks(NODE, f"type{index}", "x") for index in range(MOST_TYPES)],
    "a long type": lambda: [asks(NODE, "x" * (LONGEST_NAME + 1))],
    "a long name": lambda: [asks(NODE, ENDPOINT, "x" * (LONGEST_NAME + 1))],
    "a long version": lambda: [
        DeltaDiscoveryRequest(
            node=asks(NODE).node, type_url=CLUSTER, initial_resource_versions={"c": "x" * (LONGEST_NAME + 1)}
        )
    ],
    "a long node id": lambda: [asks(NODE + "x" * LONGEST_NAME, CLUSTER)],
}


@pytest.mark.parametrize("requests", EXCESSES.values(), ids=EXCESSES)
async def test_who_asks_for_too_much_loses_its_stream(requests: Callable[[], list[DeltaDiscoveryRequest]]) -> None:
    async with serving() as port:
        other = Envoy(port, await port.connect(THEIRS))
        await other.gets_changes()
        answer = await port.ask(*requests())
        assert answer.code is EXHAUSTED, answer
        await until(lambda: [each.gateway for each in port.server.sessions()] == [THEIRS], why="its stream is there")
        await other.gets_changes()
        assert len(port.said) == 1
        assert (await port.ask(asks(NODE, CLUSTER), wanted=1, seconds=0)).messages


async def test_who_says_nothing_is_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trilithon.sinks.delivery.grpc_server._FIRST_SECONDS", 0.2)
    async with serving() as port:
        assert (await port.ask()).code is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_connections_are_bounded_and_none_stays_without_a_stream(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    options = {**dict(OPTIONS), "grpc.max_connection_idle_ms": 500}
    monkeypatch.setattr("trilithon.sinks.delivery.grpc_options.OPTIONS", tuple(options.items()))
    monkeypatch.setattr("trilithon.sinks.delivery.grpc_options.MOST_CONNECTIONS", 10)
    async with serving() as port:
        await Envoy(port, await port.connect(THEIRS)).gets_changes()
        shown = _context(port, tmp_path)
        writers = []

        async def is_sent_away() -> bool:
            reader, writer = await asyncio.open_connection("127.0.0.1", port.server.port, ssl=shown)
            writers.append(writer)
            writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
            async with asyncio.timeout(30):
                while await reader.read(1_000):
                    continue
            return True

        assert await is_sent_away()
        silent = [await asyncio.open_connection("127.0.0.1", port.server.port) for _ in range(20)]
        closed = [asyncio.ensure_future(reader.read()) for reader, _ in silent]
        await until(lambda: sum(each.done() for each in closed) >= 10, why="all of them are taken")
        for writer in (*writers, *(each for _, each in silent)):
            writer.close()
        await asyncio.gather(*closed, return_exceptions=True)
        assert [each.gateway for each in port.server.sessions()] == [THEIRS]


def _context(port: Port, folder: Path) -> ssl.SSLContext:
    trust = port.of.trust
    pair = identity(trust, MINE)
    file = folder / "identity.pem"
    file.write_bytes(pair.key_pem + pair.certificate_pem)
    context = ssl.create_default_context(cadata=trust.bundle.decode())
    context.check_hostname = False
    context.load_cert_chain(file)
    context.set_alpn_protocols(["h2"])
    return context


async def test_who_does_not_read_is_broken_off(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as port:
        port.server.publish(MINE, [XdsResource.of(CLUSTER, "large", (bytes(30 << 20),))], [], 2)
        call = begun(await port.connect(MINE), DELTA)
        await call.write(asks(NODE, CLUSTER))
        await until(lambda: port.count(MINE) == 1, why="it is not there")
        await call.write(asks("", ENDPOINT, "x" * (LONGEST_NAME + 1)))
        await until(lambda: not port.server.allowances.streams, why="it stays")
        async with asyncio.timeout(30):
            with pytest.raises(grpc.aio.AioRpcError):
                await call.read()
        assert not caplog.records


async def test_who_does_not_read_does_not_stay_beyond_its_certificate() -> None:
    async with serving() as port:
        port.server.publish(MINE, [XdsResource.of(CLUSTER, "large", (bytes(30 << 20),))], [], 2)
        trust = port.of.trust
        async with channel(port.server.port, trust.bundle, identity(trust, MINE, days=8 / 86_400)) as opened:
            await begun(opened, DELTA).write(asks(NODE, CLUSTER))
            await until(lambda: port.count(MINE) == 1, why="it is not there")
            await until(lambda: not port.server.allowances.streams, why="it stays")


async def test_nothing_remains_of_streams_however_they_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("trilithon.sinks.delivery.grpc_server._FIRST_SECONDS", 1.0)
    admitted = True
    async with AsyncExitStack() as stack:
        port = Port(authority(), stack, admits=lambda _: admitted)
        await port.server.start()
        stack.push_async_callback(port.server.stop)
        before = len(asyncio.all_tasks())

        async def breaks(number: int, call: grpc.aio.StreamStreamCall[Any, bytes]) -> None:
            nonlocal admitted
            if number % 6 == 0:
                await call.done_writing()
            elif number % 6 == 1:
                port.publish(MINE, str(number), number + 2)
            elif number % 6 == 2:
                port.server.end_streams()
            elif number % 6 == 3:
                admitted = not admitted
            elif number % 6 == 4:
                await call.write(asks("", ENDPOINT, "x" * (LONGEST_NAME + 1)))

        async def come_and_go(number: int) -> None:
            gateway = (MINE, THEIRS, "infra/unknown")[number % 3]
            call = begun(await port.connect(gateway), DELTA)
            reading = asyncio.ensure_future(call.read())
            with suppress(asyncio.InvalidStateError, grpc.aio.AioRpcError):
                if number % 7:
                    names = many(FAR_TOO_MANY if number % 50 == 1 else 3)
                    await call.write(asks(f"{gateway}~{number}", CLUSTER, *names))
                if number % 2:
                    await asyncio.wait({reading}, timeout=0.3)
                await breaks(number, call)
            call.cancel()
            await asyncio.gather(reading, return_exceptions=True)

        for first in range(0, 200, 20):
            await asyncio.gather(*(come_and_go(number) for number in range(first, first + 20)))
        await until(lambda: not port.server.allowances.streams, why="some are still there")
        # gRPC itself has one that waits for the next call.
        await until(lambda: len(asyncio.all_tasks()) == before, 5, "tasks are left")
        assert not port.server.sessions()
        assert not caplog.records


def test_connections_leave_half_of_the_descriptors_to_the_rest() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (1_024, before[1]))
        most = dict(port_options())["grpc.max_allowed_incoming_connections"]
        assert 2 * most <= resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_what_an_envoy_said_first_is_not_kept_as_long_as_it_stays() -> None:
    async with serving() as port:
        gc.collect()
        gc.disable()
        try:
            envoy = ByHand(port, await port.connect(MINE), "a")
            await envoy.takes_everything(["c"])
            await until(
                lambda: not any(isinstance(each, DeltaDiscoveryRequest) for each in gc.get_objects()), 5, "kept"
            )
            assert port.count(MINE) == 1
        finally:
            gc.enable()


async def test_the_names_of_a_stream_go_with_it() -> None:
    async with serving() as port:
        gc.collect()
        gc.disable()
        try:
            answer = await port.ask(asks(NODE, ENDPOINT, *many(1_000)), asks("", LISTENER, "x" * (LONGEST_NAME + 1)))
            assert answer.code is EXHAUSTED
            # Nobody has to look for what holds itself.
            await until(lambda: not any(isinstance(each, Session) for each in gc.get_objects()), 5, "it is kept")
        finally:
            gc.enable()
