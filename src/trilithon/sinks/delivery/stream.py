"""One Envoy's open stream: its session, what is to be written to it, and its timer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import grpc.aio
from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest

from trilithon.sinks.delivery.feed import Request, Response
from trilithon.sinks.delivery.session import Event, Session, Tick
from trilithon.xds.node import gateway_of
from trilithon.xds.wire import delta_resource, delta_response


class Stream:
    """The stream of the Envoy with this node id; ``on_event`` is called with it after whatever its session handled."""

    def __init__(self, node: str, grace: float, on_event: Callable[[Stream], None]) -> None:
        self.node = node
        self.gateway = gateway_of(node)
        self.since = time.time()
        self.session = Session(grace)
        self._on_event = on_event
        # One response of each type at most: the session sends no other before the answer. None ends the stream, and
        # so does what went wrong in it.
        self._outbox: asyncio.Queue[Response | Exception | None] = asyncio.Queue()
        self._wake: asyncio.TimerHandle | None = None

    def receive(self, message: DeltaDiscoveryRequest) -> None:
        """Take in what the Envoy says."""
        self.handle(
            Request(
                message.type_url,
                subscribe=tuple(message.resource_names_subscribe),
                unsubscribe=tuple(message.resource_names_unsubscribe),
                versions=dict(message.initial_resource_versions),
                nonce=message.response_nonce,
                error=message.error_detail.message if message.HasField("error_detail") else None,
            )
        )

    def handle(self, event: Event) -> None:
        """Let the session answer an event, now and when it next wants to be woken.

        An error of the session ends this stream and nothing else: its Envoy comes again and is told everything anew.
        """
        loop = asyncio.get_running_loop()
        try:
            responses = self.session.handle(event, loop.time())
        except Exception as error:  # noqa: BLE001 - raised by ``write``, where only this stream ends of it
            self._outbox.put_nowait(error)
            return
        for response in responses:
            self._outbox.put_nowait(response)
        if self._wake is not None:
            self._wake.cancel()
        at = self.session.wake_at
        self._wake = None if at is None else loop.call_at(at, self.handle, Tick())
        self._on_event(self)

    async def write(self, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        """Write what there is to say, until the stream is to end; what the session raised is raised here."""
        while (response := await self._outbox.get()) is not None:
            if isinstance(response, Exception):
                raise response
            await context.write(_encoded(response))

    def end(self) -> None:
        """End once everything is written; the Envoy serves on with what it has, and comes again."""
        self._outbox.put_nowait(None)

    def close(self) -> None:
        """No timer of it runs any more."""
        if self._wake is not None:
            self._wake.cancel()


def _encoded(response: Response) -> bytes:
    type_url = response.type_url
    entries = (delta_resource(type_url, each.name, each.version, each.chunks) for each in response.resources)
    return delta_response(type_url, response.nonce, entries, response.removed)
