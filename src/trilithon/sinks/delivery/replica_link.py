"""Tell the other replicas of the controller which Envoys are connected here, and hear which are there.

An Envoy is connected to one replica, and the leader, which writes statuses, may be another. Each replica follows each
other one: at first everything that is connected there, then what changes, and whether what that replica knows of the
cluster is current. It is the port of the Envoys, and only who shows the controller's own identity is answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import suppress

import grpc
import grpc.aio
import msgspec

from trilithon.model.proxy import Proxy
from trilithon.sinks.identity.peer import Unidentified
from trilithon.sinks.identity.xds_security import Security

_SERVICE, _METHOD = "trilithon.v1.Replicas", "FollowEnvoys"
_OPTIONS = (
    ("grpc.max_receive_message_length", 64 << 20),
    # A replica whose machine is gone does not say so.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    # A connection is not shared with an earlier one, which showed an older certificate.
    ("grpc.use_local_subchannel_pool", 1),
)

# How often a replica says that it is there, and current, when it has nothing else to say.
HEARTBEAT_SECONDS = 5.0

Listen = Callable[[Callable[[Proxy], None]], Callable[[], None]]
Context = grpc.aio.ServicerContext[bytes, bytes]


class Told(msgspec.Struct, frozen=True):
    """One message: the Envoys of some Gateways; a Gateway without any has none connected any more.

    ``is_current``: the replica that says it reaches the API server.
    """

    proxies: tuple[Proxy, ...] = ()
    is_current: bool = True


class ReplicaService:
    """Answers the other replicas; ``own`` says what is connected here, ``listen`` what changes of it."""

    def __init__(
        self,
        security: Security,
        own: Callable[[], Iterable[Proxy]],
        listen: Listen,
        is_current: Callable[[], bool] = lambda: True,
    ) -> None:
        self._security = security
        self._own = own
        self._listen = listen
        self._is_current = is_current

    def handler(self) -> grpc.GenericRpcHandler:
        """For the server of the Envoys' port."""
        method: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_stream_rpc_method_handler(self._serve)
        return grpc.method_handlers_generic_handler(_SERVICE, {_METHOD: method})

    async def _serve(self, _request: bytes, context: Context) -> AsyncIterator[bytes]:
        try:
            self._security.check_replica(context.auth_context())
        except Unidentified as error:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, str(error))
        # By Gateway: who reads slowly gets the latest state and never a queue.
        news: dict[str, Proxy] = {}
        wake = asyncio.Event()

        def hear(proxy: Proxy) -> None:
            news[proxy.gateway] = proxy
            wake.set()

        end = self._listen(hear)
        try:
            yield msgspec.json.encode(Told(tuple(self._own()), self._is_current()))
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(HEARTBEAT_SECONDS):
                        await wake.wait()
                wake.clear()
                told = tuple(news.values())
                news.clear()
                yield msgspec.json.encode(Told(told, self._is_current()))
        finally:
            end()


async def follow(address: str, name: str, security: Security) -> AsyncGenerator[Told, None]:
    """What is connected to the replica at an address ("host:port"), then what changes, until the connection ends.

    ``name`` is what its certificate is good for. Raises grpc.aio.AioRpcError.
    """
    options = (*_OPTIONS, ("grpc.ssl_target_name_override", name))
    async with grpc.aio.secure_channel(address, await security.replica_credentials(), options=options) as channel:
        method: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(f"/{_SERVICE}/{_METHOD}")
        async for message in method(b""):
            yield msgspec.json.decode(message, type=Told)
