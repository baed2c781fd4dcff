"""Envoys of a replica that knows old news end at one that knows better, whatever a Service's load balancing throws."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import grpc.aio
import pytest

from tests.sinks.balancer import balancer
from tests.sinks.test_security_port import DELTA, MINE, asks, begun
from tests.sinks.xds_client import authority, channel, identity, security
from tests.system.harness import until
from trilithon.controller.envoys import RemoteEnvoys
from trilithon.controller.staleness import PATIENT_LOOKS, Staleness
from trilithon.sinks.delivery.grpc_server import XdsServer
from trilithon.sinks.identity.authority import Authority
from trilithon.xds.node import node_id
from trilithon.xds.resource import CLUSTER, XdsResource

ENVOYS = 24


class Replica:
    """A replica's port, and whether it and the other one reach the API server."""

    def __init__(self, of: Authority, cluster: str) -> None:
        self.is_current = self.is_any_current = True
        self.server = XdsServer(
            "127.0.0.1:0",
            on_proxy=lambda _: None,
            on_applied=lambda *_: None,
            admits=RemoteEnvoys(lambda: self.staleness.is_stale).admits,
            security=security(of),
        )
        self.staleness = Staleness(lambda: self.is_current, lambda: self.is_any_current, self.server.end_streams)
        self.server.publish(MINE, [XdsResource.of(CLUSTER, cluster, ())], [], 1)

    @property
    def nodes(self) -> set[str]:
        return {session.node for session in self.server.sessions()}

    def look(self) -> None:
        for _ in range(PATIENT_LOOKS):
            self.staleness.look()


async def envoy(of: Authority, port: int, name: str) -> None:
    """Ask on a new connection again and again, as Envoy does with what the bootstrap says."""
    while True:
        with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            async with channel(port, of.trust.bundle, identity(of.trust, MINE)) as opened:
                call = begun(opened, DELTA)
                await call.write(asks(node_id("infra", "edge", name), CLUSTER))
                while await call.read() is not grpc.aio.EOF:
                    continue
        await asyncio.sleep(0.05)


@asynccontextmanager
async def two_replicas() -> AsyncIterator[tuple[Replica, Replica, set[str]]]:
    """Both behind one port, and the node ids of many Envoys that connect to it."""
    of = authority()
    async with AsyncExitStack() as stack:
        replicas = Replica(of, "old"), Replica(of, "new")
        for each in replicas:
            await each.server.start()
            stack.push_async_callback(each.server.stop)
        ports = [each.server.port or 0 for each in replicas]
        dice = random.Random(11)
        port = await stack.enter_async_context(balancer(lambda: dice.choice(ports)))
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(envoy(of, port, str(index))) for index in range(ENVOYS)]
            yield *replicas, {node_id("infra", "edge", str(index)) for index in range(ENVOYS)}
            for task in tasks:
                task.cancel()


async def test_all_envoys_of_a_stale_replica_end_at_the_current_one() -> None:
    async with two_replicas() as (one, other, envoys):
        await until(lambda: one.nodes | other.nodes == envoys, why="not all connected")
        assert one.nodes
        assert other.nodes
        one.is_current = False
        one.look()
        # It stays in the Service's endpoints for as long as the kubelet's word takes, here for ever.
        await until(lambda: other.nodes == envoys, why="some stay away from the current one")
        assert not one.nodes


async def test_when_the_other_replica_is_cut_off_too_both_serve_on() -> None:
    async with two_replicas() as (one, other, envoys):
        one.is_current = False
        one.look()
        await until(lambda: other.nodes == envoys, why="some stay away from the current one")
        one.is_any_current = False
        one.look()
        other.server.end_streams()
        await until(lambda: bool(one.nodes) and one.nodes | other.nodes == envoys, why="the first is not used")


async def test_a_silent_stream_ends_with_the_certificate_that_opened_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trilithon.sinks.delivery.grpc_server._HOLD_SECONDS", 3_600)
    of = authority()
    replica = Replica(of, "old")
    replica.is_current = False
    replica.look()
    await replica.server.start()
    try:
        async with channel(replica.server.port, of.trust.bundle, identity(of.trust, MINE, days=6 / 86_400)) as opened:
            call = begun(opened, DELTA)
            await call.write(asks(node_id("infra", "edge", "a"), CLUSTER))
            async with asyncio.timeout(30):
                assert await call.read() is grpc.aio.EOF
                assert await call.code() is grpc.StatusCode.OK
    finally:
        await replica.server.stop()
