"""Replicas tell each other which Envoys are connected; nobody else hears of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager

import grpc.aio
import pytest

from tests.sinks.xds_client import NAME, authority, channel, identity, security
from trilithon.model.proxy import Acked, Proxy
from trilithon.sinks.delivery.grpc_server import XdsServer
from trilithon.sinks.delivery.replica_link import ReplicaService, Told, follow
from trilithon.sinks.identity.authority import Authority

EDGE = Proxy("infra/edge", 2, (Acked("L", "a", "1"),))


class Replica:
    """One that Envoys are connected to."""

    def __init__(self, of: Authority) -> None:
        self.own = {EDGE.gateway: EDGE}
        self.is_current = True
        self.listeners: list[Callable[[Proxy], None]] = []
        self.server = XdsServer(
            "127.0.0.1:0", on_proxy=lambda _: None, on_applied=lambda *_: None, security=security(of)
        )
        self.server.answer(
            ReplicaService(security(of), self.own.values, self._listen, lambda: self.is_current).handler()
        )

    def _listen(self, listener: Callable[[Proxy], None]) -> Callable[[], None]:
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server.port}"

    def say(self, proxy: Proxy) -> None:
        for listener in self.listeners:
            listener(proxy)


@asynccontextmanager
async def replica(of: Authority) -> AsyncIterator[Replica]:
    one = Replica(of)
    await one.server.start()
    try:
        yield one
    finally:
        await one.server.stop()


async def test_a_follower_hears_everything_first_and_then_what_changes() -> None:
    trusted = authority()
    async with replica(trusted) as one, aclosing(follow(one.address, NAME, security(trusted))) as told:
        assert await anext(told) == Told((EDGE,))
        one.say(Proxy("infra/other", 1))
        one.say(Proxy("infra/edge"))
        one.say(Proxy("infra/other"))
        # The latest of each.
        one.is_current = False
        assert await anext(told) == Told((Proxy("infra/other"), Proxy("infra/edge")), is_current=False)
    assert one.listeners == []


async def test_an_envoy_hears_nothing_of_others() -> None:
    trusted = authority()
    async with replica(trusted) as one:
        shown = identity(trusted.trust, "infra/edge")
        async with channel(one.server.port, trusted.trust.bundle, shown) as opened:
            follow_envoys: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = opened.unary_stream(
                "/trilithon.v1.Replicas/FollowEnvoys"
            )
            call = follow_envoys(b"")
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call.read()
    assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED


async def test_the_replica_of_another_authority_is_not_heard() -> None:
    async with replica(authority()) as one:
        with pytest.raises(grpc.aio.AioRpcError):
            async with aclosing(follow(one.address, NAME, security(authority()))) as told:
                await anext(told)
