"""An xDS port with two published Gateways, and clients of it that are driven by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc.aio
from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest, DeltaDiscoveryResponse

from tests.sinks.test_security_port import DELTA, MINE, THEIRS, Heard, asks, begun, heard
from tests.sinks.xds_client import authority, channel, identity, security
from trilithon.model.proxy import Proxy
from trilithon.sinks.delivery.grpc_server import XdsServer
from trilithon.sinks.identity.authority import Authority
from trilithon.xds.node import node_id
from trilithon.xds.resource import CLUSTER, ENDPOINT, LISTENER, XdsResource

EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
NODE, OTHER_NODE = node_id("infra", "edge", "a"), node_id("infra", "other", "a")


class Port:
    """The server, what it told, and connections to it."""

    def __init__(
        self, of: Authority, stack: AsyncExitStack, admits: Callable[[str], bool] = lambda _node: True
    ) -> None:
        self.of = of
        self._stack = stack
        self.said: list[str] = []
        self.proxies: dict[str, Proxy] = {}
        self.server = XdsServer(
            "127.0.0.1:0",
            on_proxy=self._on_proxy,
            on_applied=lambda *_: None,
            security=security(of),
            grace=0.05,
            admits=admits,
        )
        self.server.allowances.tell = self.said.append
        for gateway in (MINE, THEIRS):
            self.publish(gateway, "c", 1)

    def _on_proxy(self, proxy: Proxy) -> None:
        self.proxies[proxy.gateway] = proxy

    def count(self, gateway: str) -> int:
        """How many Envoys of a Gateway are connected."""
        return sum(each.gateway == gateway for each in self.server.sessions())

    def publish(self, gateway: str, content: str, revision: int) -> None:
        self.server.publish(gateway, [XdsResource.of(CLUSTER, "c", (content.encode(),))], [], revision)

    async def connect(self, gateway: str) -> grpc.aio.Channel:
        opened = channel(self.server.port, self.of.trust.bundle, identity(self.of.trust, gateway))
        return await self._stack.enter_async_context(opened)

    async def ask(self, *requests: Any, gateway: str = MINE, wanted: int = 0, seconds: float = 30) -> Heard:
        """Say this on a stream of its own, and hear what comes."""
        return await heard(await self.connect(gateway), DELTA, *requests, wanted=wanted, seconds=seconds)


@asynccontextmanager
async def serving() -> AsyncIterator[Port]:
    async with AsyncExitStack() as stack:
        port = Port(authority(), stack)
        await port.server.start()
        stack.push_async_callback(port.server.stop)
        yield port


class Envoy:
    """One of another Gateway, which gets a change now and then."""

    def __init__(self, port: Port, opened: grpc.aio.Channel) -> None:
        self._port = port
        self._call = begun(opened, DELTA)
        self._revision = 1

    async def gets_changes(self) -> None:
        """See that the next change comes at once."""
        if self._revision == 1:
            await self._call.write(asks(OTHER_NODE, CLUSTER))
            await self._take()
        self._revision += 1
        self._port.publish(THEIRS, str(self._revision), self._revision)
        assert await self._take() == str(self._revision).encode()

    async def _take(self) -> bytes:
        async with asyncio.timeout(15):
            response = DeltaDiscoveryResponse.FromString(await self._call.read())  # type: ignore[arg-type]
        await self._call.write(DeltaDiscoveryRequest(type_url=CLUSTER, response_nonce=response.nonce))
        return response.resources[0].resource.value


class ByHand:
    """An Envoy that takes whatever it gets."""

    def __init__(self, port: Port, opened: grpc.aio.Channel, name: str) -> None:
        self._node = node_id("infra", "edge", name)
        self._call = begun(opened, DELTA)

    async def say(self, type_url: str, *names: str, **fields: Any) -> None:
        await self._call.write(
            DeltaDiscoveryRequest(
                node=asks(self._node).node, type_url=type_url, resource_names_subscribe=names, **fields
            )
        )

    async def gives_up(self, names: list[str]) -> None:
        await self.say(ENDPOINT, resource_names_unsubscribe=names)

    async def takes_everything(self, names: list[str]) -> None:
        await self.say(CLUSTER)
        assert await self.hears(CLUSTER) >= set(names)
        await self.say(LISTENER)
        assert await self.hears(LISTENER) == set()
        if names:
            await self.say(ENDPOINT, *names)
            assert await self.hears(ENDPOINT) == set(names)

    async def hears(self, type_url: str) -> set[str]:
        """The names in the next response of this type."""
        while (response := await self._next()).type_url != type_url:
            continue
        return {each.name for each in response.resources} | set(response.removed_resources)

    async def loses(self) -> set[str]:
        """The names of the clusters in the next response that removes some."""
        while not (response := await self._next()).removed_resources or response.type_url != CLUSTER:
            continue
        return set(response.removed_resources)

    async def _next(self) -> DeltaDiscoveryResponse:
        async with asyncio.timeout(30):
            response = DeltaDiscoveryResponse.FromString(await self._call.read())  # type: ignore[arg-type]
        await self.say(response.type_url, response_nonce=response.nonce)
        return response

    def leave(self) -> None:
        self._call.cancel()

    async def ends(self) -> grpc.StatusCode:
        async with asyncio.timeout(30):
            return await self._call.code()


def many(count: int, mark: str = "") -> list[str]:
    return [f"{mark}{index}" for index in range(count)]
