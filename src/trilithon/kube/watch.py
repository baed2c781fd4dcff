"""Watch one kind of an API server without end: do what the watch's state asks for, and pass on what it says."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Generic, TypeVar

from trilithon.kube.discovery import Discovery, KindWanted
from trilithon.kube.errors import KubeError
from trilithon.kube.events import Event
from trilithon.kube.transport import Request, Transport
from trilithon.kube.watch_objects import Decoder
from trilithon.kube.watch_state import Selection, WatchState
from trilithon.kube.watch_steps import Fetch, Find, Pause, Stream

T = TypeVar("T")

EVERYTHING = Selection()


class Watch(Generic[T]):
    """One kind, or a selection of its objects. ``decode`` gets each one's bytes; what it raises costs only that one.

    ``discovery`` may be shared by all watches of a server. ``clock`` gives seconds.
    """

    def __init__(
        self,
        discovery: Discovery,
        wanted: KindWanted,
        decode: Decoder[T],
        selection: Selection = EVERYTHING,
        *,
        dice: random.Random | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._discovery = discovery
        self._transport: Transport = discovery.transport
        self._wanted = wanted
        self._state = WatchState(wanted, decode, selection, dice)
        self._clock = clock
        # While nothing is heard: until when.
        self._waiting: asyncio.Timeout | None = None

    def list_again(self) -> None:
        """Leave the stream, list, and go on from there at once; only what differs from what was told is told.

        Nothing happens where a list is under way. To be called in the loop in which the events are iterated.
        """
        self._state.list_again()
        if self._state.is_list_due and self._waiting is not None and not self._waiting.expired():
            self._waiting.reschedule(asyncio.get_running_loop().time())

    async def events(self) -> AsyncGenerator[Event[T], None]:
        """Whatever happens, for ever; to be iterated once, and closed (``aclosing``) to end the watch."""
        state = self._state
        while True:
            step = state.step(self._clock())
            try:
                match step:
                    case Pause(seconds):
                        await asyncio.sleep(seconds)
                    case Find():
                        kind = await self._discovery.find(self._wanted)
                        for event in state.found(kind, self._clock()):
                            yield event
                    case Fetch(request):
                        for event in state.fetched(await self._transport.fetch(request)):
                            yield event
                    case Stream(request):
                        async with aclosing(self._stream(request)) as events:
                            async for event in events:
                                yield event
            except KubeError as error:
                for event in state.failed(error, self._clock()):
                    yield event

    async def _stream(self, request: Request) -> AsyncGenerator[Event[T], None]:
        state, clock = self._state, self._clock
        async with self._transport.stream(request) as answer:
            for event in state.opened(clock()):
                yield event
            while patience := state.patience(clock()):
                try:
                    async with asyncio.timeout(patience) as self._waiting:
                        piece = await answer.piece()
                except TimeoutError:
                    if state.is_list_due:
                        break
                    state.silent(clock())
                    return
                finally:
                    self._waiting = None
                if not piece:
                    state.ended(clock())
                    return
                for event in state.received(piece, clock()):
                    yield event
            state.left()
