"""Serve delta ADS over gRPC: the sockets and timers around ``session``.

Every method must be called in the loop that ``start`` ran in, except those that only change what is published, which
may also be called before it.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

import grpc.aio
from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest
from google.protobuf.message import DecodeError
from msgspec import Struct

from trilithon.model.proxy import Proxy, Rejected, together
from trilithon.sinks.allowance import MOST_STRANGE_NAMES, Allowance, Allowances, Excess, check_names, parsed
from trilithon.sinks.grpc_options import OPTIONS, port_options
from trilithon.sinks.order import GRACE_SECONDS, ResourceKey
from trilithon.sinks.peer import Peer, Unidentified
from trilithon.sinks.session import Published
from trilithon.sinks.stream import Stream
from trilithon.xds.node import gateway_of
from trilithon.xds.resource import XdsResource

if TYPE_CHECKING:
    from trilithon.sinks.xds_security import Security

_SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
_METHOD = "DeltaAggregatedResources"
# How long an Envoy takes to say who it is, at most.
_FIRST_SECONDS = 10.0
# How often a silent stream is looked at again.
_LOOK_SECONDS = 5.0
# How long one is silent that may find another replica.
_HOLD_SECONDS = 1.0
# Revisions of which the time of publication is known, for an Envoy that answers late or never.
_MOST_TIMES = 10_000
# How long a stream gets to write what it has to say when it is to end.
_STOP_SECONDS = 1.0

_Context = grpc.aio.ServicerContext[bytes, bytes]
OnProxy = Callable[[Proxy], None]
OnApplied = Callable[[str, int, float], None]


class SessionStatus(Struct, frozen=True):
    """One connected Envoy. ``since`` is Unix time; ``wanted`` and ``acked`` count the resources that it asked for."""

    node: str
    gateway: str
    since: float
    applied: int
    wanted: int
    acked: int
    rejected: tuple[Rejected, ...]


class _Gateway:
    """What is published for one Gateway, and who listens."""

    def __init__(self, name: str) -> None:
        self.resources: dict[ResourceKey, XdsResource] = {}
        # None: never published, or forgotten.
        self.revision: int | None = None
        self.published_at: dict[int, float] = {}
        self.applied = 0
        self.streams: list[Stream] = []
        self.proxy = Proxy(name)

    def end_streams(self) -> None:
        for stream in self.streams:
            stream.end()


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
        self._gateways: dict[str, _Gateway] = {}
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
        state = self._gateway(gateway)
        upserted = {(resource.type_url, resource.name): resource for resource in upserts}
        removed = tuple(key for key in removals if key not in upserted)
        state.resources.update(upserted)
        for key in removed:
            state.resources.pop(key, None)
        published = Published(revision, tuple(upserted.values()), removed)
        state.revision = revision
        if not state.streams:
            state.published_at.clear()
        state.published_at[revision] = time.monotonic()
        if len(state.published_at) > _MOST_TIMES:
            del state.published_at[next(iter(state.published_at))]
        for stream in state.streams:
            stream.handle(published)
        if state.streams:
            asyncio.get_running_loop().call_soon(self._tell, gateway)

    def forget(self, gateway: str) -> None:
        """The Gateway is gone. Its Envoys keep what they have, reconnect, and are told nothing."""
        state = self._gateways.pop(gateway, None)
        if state is not None and state.streams:
            state.end_streams()
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
        gateway = None if peer is None else peer.gateway
        try:
            # gRPC's iterator keeps itself, and with it the last request, until it is closed.
            async with aclosing(cast("AsyncGenerator[bytes, None]", aiter(requests))) as each:
                with self.allowances.stream(gateway) as allowance:
                    await self._answer(each, context, peer, allowance)
            return
        except Excess as error:
            self.allowances.refused(gateway, error)
            code, reason = grpc.StatusCode.RESOURCE_EXHAUSTED, str(error)
        except DecodeError:
            code, reason = grpc.StatusCode.INVALID_ARGUMENT, "this is no request of the delta protocol"
        # Not from within: a call that is aborted knows itself, and must not keep the error.
        await context.abort(code, reason)

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
        gateway = gateway_of(first.node.id)
        stream = Stream(first.node.id, self._grace, lambda: self._tell(gateway))
        reading = asyncio.create_task(self._read(stream, first, requests, allowance))
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
            del task, reading, writing, stream, first

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
        names = sys.maxsize if peer is None else self._names_left(peer.gateway)
        return await allowance.take_turn(lambda: parsed(first, (), names))

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
        await allowance.take_turn(lambda: self._begin(stream, first))
        async for request in requests:
            await allowance.take_turn(partial(self._receive, stream, request))

    def _begin(self, stream: Stream, first: DeltaDiscoveryRequest) -> None:
        if not self._admits(stream.node):
            # Not any more: it had to wait for its turn.
            stream.end()
            return
        # Others have asked meanwhile.
        check_names(first, self._names_left(stream.gateway))
        self._join(stream)
        stream.receive(first)
        self._tell(stream.gateway)

    def _receive(self, stream: Stream, request: bytes) -> None:
        stream.receive(parsed(request, stream.session.types, self._names_left(stream.gateway, stream)))
        self._tell(stream.gateway)

    def _names_left(self, gateway: str, stream: Stream | None = None) -> int:
        """How many names more a stream may ask for; None: a new one."""
        state = self._gateways.get(gateway) or _Gateway(gateway)
        published = len(state.resources)
        own = stream.session.size if stream is not None else 0
        strange = (each.session.size - published for each in state.streams if each is not stream)
        return MOST_STRANGE_NAMES - sum(each for each in strange if each > 0) + published - own

    def _join(self, stream: Stream) -> None:
        state = self._gateway(stream.gateway)
        state.streams.append(stream)
        if state.revision is not None:
            stream.handle(Published(state.revision, tuple(state.resources.values())))

    def _leave(self, stream: Stream) -> None:
        stream.close()
        state = self._gateways.get(stream.gateway)
        if state is None or stream not in state.streams:
            return
        state.streams.remove(stream)
        self._tell(stream.gateway)
        if not state.streams and state.revision is None:
            del self._gateways[stream.gateway]

    def _gateway(self, name: str) -> _Gateway:
        state = self._gateways.get(name)
        if state is None:
            state = self._gateways[name] = _Gateway(name)
        return state

    def _tell(self, gateway: str) -> None:
        state = self._gateways.get(gateway)
        if state is None:
            return
        sessions = (stream.session for stream in state.streams)
        proxy = together(gateway, [Proxy(gateway, 1, tuple(each.acked()), each.rejected()) for each in sessions])
        if proxy != state.proxy:
            state.proxy = proxy
            self._on_proxy(proxy)
        applied = min((stream.session.applied for stream in state.streams), default=0)
        if applied > state.applied:
            state.applied = applied
            since = state.published_at.get(applied) or next(iter(state.published_at.values()))
            # Those below were delivered together with this one.
            state.published_at = {revision: at for revision, at in state.published_at.items() if revision >= applied}
            self._on_applied(gateway, applied, time.monotonic() - since)


async def _read_away(requests: AsyncIterator[bytes]) -> None:
    async for _ in requests:
        continue
