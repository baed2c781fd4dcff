"""Serve delta ADS over gRPC: the sockets and timers around ``session``.

Every method must be called in the loop that ``start`` ran in, except those that only change what is published, which
may also be called before it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

import grpc.aio
from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest
from google.protobuf.message import DecodeError
from msgspec import Struct

from trilithon.model.proxy import Proxy, Rejected
from trilithon.sinks.delivery.allowance import Allowance, Allowances, Excess, parsed
from trilithon.sinks.delivery.audience import Audience, OnApplied, OnProxy
from trilithon.sinks.delivery.grpc_options import OPTIONS, port_options
from trilithon.sinks.delivery.order import GRACE_SECONDS, ResourceKey
from trilithon.sinks.delivery.stream import Stream
from trilithon.sinks.identity.peer import Peer, Unidentified
from trilithon.xds.node import gateway_of
from trilithon.xds.resource import XdsResource

if TYPE_CHECKING:
    from trilithon.sinks.identity.xds_security import Security

_SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
_METHOD = "DeltaAggregatedResources"
# How long an Envoy takes to say who it is, at most.
_FIRST_SECONDS = 10.0
# How often a silent stream is looked at again.
_LOOK_SECONDS = 5.0
# How long one is silent that may find another replica.
_HOLD_SECONDS = 1.0
# How long a stream gets to write what it has to say when it is to end.
_STOP_SECONDS = 1.0

_Context = grpc.aio.ServicerContext[bytes, bytes]
_Refusal = tuple[grpc.StatusCode, str]


class SessionStatus(Struct, frozen=True):
    """One connected Envoy. ``since`` is Unix time; ``wanted`` and ``acked`` count the resources that it asked for."""

    node: str
    gateway: str
    since: float
    applied: int
    wanted: int
    acked: int
    rejected: tuple[Rejected, ...]


class XdsServer:
    """Sends every Gateway's resources to the Envoys that name the Gateway in their node id (see ``xds.node``).

    address: the path of a unix socket; or "host:port", which needs security: an Envoy then gets what is published for
    the Gateway that its certificate names, and nothing when its node id names another. port: the port, once started.
    on_proxy is told what the Envoys of a Gateway say, whenever that changes; on_applied the Gateway, the revision and
    the seconds since its publication, when every connected Envoy has answered for everything up to that revision. Both
    are called in the loop, never from within ``publish``.
    grace: seconds for which Envoys keep a cluster that no route names any more; above zero.
    admits: whether an Envoy with this node id may have anything; one that may not is told nothing. Over TCP it is then
    sent away, to find another replica; at a unix socket, where nobody else is, it is held.
    """

    def __init__(
        self,
        address: str | Path,
        *,
        on_proxy: OnProxy,
        on_applied: OnApplied,
        grace: float = GRACE_SECONDS,
        admits: Callable[[str], bool] = lambda _node: True,
        security: Security | None = None,
    ) -> None:
        self._admits = admits
        # Its ``tell`` is for whoever wants to hear of those that ask for too much.
        self.allowances = Allowances()
        self._address = str(address)
        # Private keys pass through it: nobody may listen on a network by accident, and a socket's mode is its guard.
        if ("/" in self._address) is (security is not None):
            raise ValueError(f"{address}: a TCP address needs security, and a unix socket has none")
        self._security = security
        self._services: list[grpc.GenericRpcHandler] = []
        self.port: int | None = None
        self._on_proxy = on_proxy
        self._on_applied = on_applied
        self._grace = grace
        self._gateways: dict[str, Audience] = {}
        self._server: grpc.aio.Server | None = None

    def answer(self, service: grpc.GenericRpcHandler) -> None:
        """Answer this service at the same port, from ``start`` on; it checks by itself who asks."""
        self._services.append(service)

    async def start(self) -> None:
        """Open the socket, or the port once the authority is known.

        Publish what is known before: an Envoy that finds nothing waits.
        """
        server = grpc.aio.server(options=OPTIONS if self._security is None else port_options())
        # Bytes in and out: a request is parsed in its turn, a response made of bytes.
        handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.stream_stream_rpc_method_handler(self._serve)
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(_SERVICE, {_METHOD: handler}), *self._services)
        )
        if self._security is None:
            self._bind_socket(server)
        else:
            credentials = await self._security.credentials()
            try:
                self.port = server.add_secure_port(self._address, credentials)
            except RuntimeError as error:
                # gRPC has said why on standard error, in words of its own.
                raise OSError(f"{self._address} cannot be bound: is another process there?") from error
        await server.start()
        self._server = server

    def _bind_socket(self, server: grpc.aio.Server) -> None:
        server.add_insecure_port(f"unix:{self._address}")
        # Private keys pass through it.
        Path(self._address).chmod(0o600)

    @property
    def refuses(self) -> bool:
        """Whether a connected Envoy refuses something now."""
        return any(stream.session.refuses for state in self._gateways.values() for stream in state.streams)

    def end_streams(self) -> None:
        """Let all Envoys connect anew, perhaps elsewhere; they serve on."""
        for gateway in self._gateways.values():
            gateway.end_streams()

    async def stop(self) -> None:
        """End all streams and close the socket; Envoys serve on with what they have."""
        self.end_streams()
        if self._server is not None:
            await self._server.stop(_STOP_SECONDS)
            self._server = None

    def publish(
        self, gateway: str, upserts: Iterable[XdsResource], removals: Iterable[ResourceKey], revision: int
    ) -> None:
        """Change what the Envoys of this Gateway ("namespace/name") shall have.

        The first publication of a Gateway carries everything: what an Envoy has and is not in it goes. Revisions rise.
        A resource both removed and upserted is upserted.
        """
        self._gateway(gateway).publish(upserts, removals, revision)

    def forget(self, gateway: str) -> None:
        """The Gateway is gone. Its Envoys keep what they have, reconnect, and are told nothing."""
        state = self._gateways.pop(gateway, None)
        if state is not None and state.streams:
            state.close()
            self._on_proxy(Proxy(gateway))

    def sessions(self) -> tuple[SessionStatus, ...]:
        """The connected Envoys, also those of Gateways that nobody published."""
        return tuple(
            SessionStatus(
                stream.node,
                stream.gateway,
                stream.since,
                stream.session.applied,
                *stream.session.counts(),
                stream.session.rejected(),
            )
            for _, state in sorted(self._gateways.items())
            for stream in state.streams
        )

    # --- streams ---

    async def _serve(self, requests: AsyncIterator[bytes], context: _Context) -> None:
        peer = await self._peer(context)
        refusal = await self._refusal(requests, context, None if peer is None else peer.gateway)
        if refusal is not None:
            # Not where it was raised: a call that is aborted knows itself, and must not keep the error.
            await context.abort(*refusal)

    async def _refusal(self, requests: AsyncIterator[bytes], context: _Context, gateway: str | None) -> _Refusal | None:
        """Answer a stream until it ends; returns why it is refused, if it is."""
        try:
            async with self.allowances.stream(gateway) as allowance:
                refusal = await self._answered(requests, context, allowance, gateway)
                if refusal is not None:
                    await allowance.hold()
                return refusal
        except Excess as error:
            return self._exhausted(gateway, error)

    async def _answered(
        self, requests: AsyncIterator[bytes], context: _Context, allowance: Allowance, gateway: str | None
    ) -> _Refusal | None:
        try:
            # gRPC's iterator keeps itself, and with it the last request, until it is closed.
            async with aclosing(cast("AsyncGenerator[bytes, None]", aiter(requests))) as each:
                # Anew: it may have waited for its place.
                await self._answer(each, context, await self._peer(context), allowance)
        except Excess as error:
            return self._exhausted(gateway, error)
        except DecodeError:
            return grpc.StatusCode.INVALID_ARGUMENT, "this is no request of the delta protocol"
        return None

    def _exhausted(self, gateway: str | None, excess: Excess) -> _Refusal:
        self.allowances.refused(gateway, excess)
        return grpc.StatusCode.RESOURCE_EXHAUSTED, str(excess)

    async def _answer(
        self, requests: AsyncIterator[bytes], context: _Context, peer: Peer | None, allowance: Allowance
    ) -> None:
        first = await self._first(requests, context, allowance, peer)
        if first is None:
            return
        if not first.node.id:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the first request must name its node")
        if peer is not None and gateway_of(first.node.id) != peer.gateway:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "the certificate is another Gateway's")
        if not self._admits(first.node.id):
            await self._hold(requests, first.node.id, None if peer is None else min(_HOLD_SECONDS, peer.seconds))
            return
        stream = Stream(first.node.id, self._grace, self._heard)
        reading = asyncio.create_task(self._read(stream, first, requests, allowance))
        # It may be large, and a stream is open for long.
        del first
        writing = asyncio.create_task(stream.write(context))
        try:
            # Later it may not connect; so it may not stay either. An Envoy with a newer certificate comes again.
            seconds = None if peer is None else peer.seconds
            await asyncio.wait({reading, writing}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            writing.cancel()
            raise
        finally:
            reading.cancel()
            try:
                # Before anything is waited for: the call may be cancelled meanwhile, and nobody would ever leave.
                self._leave(stream)
            finally:
                await self._finish(stream, reading, writing)
        try:
            for task in (reading, writing):
                if not task.cancelled():
                    task.result()
        finally:
            # An error knows this frame, and these know the error: the session would stay until they are found.
            del task, reading, writing, stream

    async def _finish(self, stream: Stream, reading: asyncio.Task[None], writing: asyncio.Task[None]) -> None:
        """End both tasks of a stream. gRPC can say how a call ended only when nothing is being written to it."""
        stream.end()
        try:
            await asyncio.wait({writing}, timeout=_STOP_SECONDS)
            if not writing.done():
                # Who does not read is not told: the call is broken off.
                raise asyncio.CancelledError
        finally:
            writing.cancel()
            await asyncio.gather(reading, writing, return_exceptions=True)

    async def _first(
        self, requests: AsyncIterator[bytes], context: _Context, allowance: Allowance, peer: Peer | None
    ) -> DeltaDiscoveryRequest | None:
        """The request that says who asks; None if there is none."""
        try:
            async with asyncio.timeout(_FIRST_SECONDS):
                first = await anext(requests, None)
        except TimeoutError:
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "nothing was asked for")
        if first is None:
            return None
        audience = None if peer is None else self._gateways.get(peer.gateway)
        published = 0 if audience is None else len(audience.resources)
        return await allowance.take_turn(lambda: parsed(first, (), published))

    async def _hold(self, requests: AsyncIterator[bytes], node: str, seconds: float | None) -> None:
        """Hold a stream open and silent: refused, an Envoy that may have nothing would come again at once.

        It ends when the Envoy may have something after all, or after some seconds (None: not before).
        """
        reading = asyncio.create_task(_read_away(requests))
        try:
            async with asyncio.timeout(seconds):
                while not reading.done() and not self._admits(node):
                    await asyncio.wait({reading}, timeout=_LOOK_SECONDS)
        except TimeoutError:
            return
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _peer(self, context: _Context) -> Peer | None:
        """Whose Envoy calls; None where the socket's mode is the guard."""
        if self._security is None:
            return None
        try:
            return self._security.peer(context.auth_context())
        except Unidentified as error:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, str(error))

    async def _read(
        self, stream: Stream, first: DeltaDiscoveryRequest, requests: AsyncIterator[bytes], allowance: Allowance
    ) -> None:
        audience = await allowance.take_turn(partial(self._begin, stream, first))
        del first
        if audience is None:
            return
        async for request in requests:
            await allowance.take_turn(partial(audience.receive, stream, request))
            del request

    def _begin(self, stream: Stream, first: DeltaDiscoveryRequest) -> Audience | None:
        if not self._admits(stream.node):
            # Not any more: it had to wait for its turn.
            return None
        audience = self._gateway(stream.gateway)
        audience.join(stream, first)
        return audience

    def _leave(self, stream: Stream) -> None:
        stream.close()
        audience = self._gateways.get(stream.gateway)
        if audience is not None:
            audience.leave(stream)

    def _heard(self, stream: Stream) -> None:
        audience = self._gateways.get(stream.gateway)
        if audience is not None:
            audience.heard(stream)

    def _gateway(self, name: str) -> Audience:
        audience = self._gateways.get(name)
        if audience is None:
            audience = self._gateways[name] = Audience(name, self._on_proxy, self._on_applied, self._told)
        return audience

    def _told(self, audience: Audience) -> None:
        if not audience.streams and audience.revision is None and self._gateways.get(audience.gateway) is audience:
            del self._gateways[audience.gateway]


async def _read_away(requests: AsyncIterator[bytes]) -> None:
    async for _ in requests:
        continue
