"""The objects of a Kubernetes cluster, as a source: listed once, then each difference as it comes.

One watch for each kind (and for each namespace, where the scope names some). The first state waits until every kind
was listed, or is known not to exist: unknown is never taken for empty. A kind that fails later keeps its last state.

Secrets and ConfigMaps are watched by their metadata alone, and those that something names are read one by one: a
cluster may hold gigabytes of other people's. One watch for each named Secret would be as frugal, but costs the API
server a connection for each; and a watch of them all would bring every byte through here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any

import msgspec

from trilithon.kube.discovery import Discovery
from trilithon.kube.events import Degraded, Synced, Upsert
from trilithon.kube.transport import Transport
from trilithon.kube.watch import Watch
from trilithon.resources.kinds import KINDS, Kind
from trilithon.resources.meta import Key
from trilithon.resources.problem import Problem
from trilithon.resources.references import NAMED_KINDS
from trilithon.resources.stored import ObjectReader
from trilithon.sources.kubernetes.guard import HOLD_SECONDS, Guard
from trilithon.sources.kubernetes.holders import Definitions, Holder, NamedObjects, WholeObjects
from trilithon.sources.kubernetes.kinds import Scope, WatchedKind, watched
from trilithon.sources.kubernetes.reads import NamedReads
from trilithon.sources.kubernetes.relist import Relists
from trilithon.sources.kubernetes.state import ClusterChange, ClusterState, OnStored
from trilithon.sources.kubernetes.trouble import Cause, ClusterProblem, Troubles, unread
from trilithon.sources.kubernetes.views import View, Views

# How long what was received may hold the loop before others get their turn.
SLICE_SECONDS = 0.004
# A watch that fails by a mistake of ours begins anew, but not more often than this.
RESTART_SECONDS = 1.0
# While anything is held that vanished, kinds of which something is missing are listed anew about this often.
RELIST_SECONDS = 30.0
# While the first state is incomplete, time alone can complete it.
LOOK_SECONDS = 0.5
# A first state that takes longer than this is worth a word.
PATIENCE_SECONDS = 5.0
# When everything is listed, this long the first state waits for what is named. What is not read by then is unknown.
READING_SECONDS = 5.0


def _silence(_message: str) -> None:
    """Nobody wants to be told at once: ``problems`` says it all."""


class KubernetesSource:
    """A cluster, reached over a transport.

    ``on_stored`` is called in the loop with what the API server holds of every object whose status is partly ours,
    whenever anything of it changes; None when it is gone. ``on_trouble`` is called with each new trouble, in words.
    What vanishes in masses stays for ``hold_seconds`` and until another list is without it; 0: it goes at once.
    """

    def __init__(
        self,
        transport: Transport,
        scope: Scope,
        on_stored: OnStored,
        on_trouble: Callable[[str], None] = _silence,
        hold_seconds: float = HOLD_SECONDS,
    ) -> None:
        self._on_trouble = on_trouble
        self._discovery = Discovery(transport)
        self._wake = asyncio.Event()
        self._troubles = Troubles(on_trouble)
        self._guard = Guard(hold_seconds)
        self._state = ClusterState(on_stored, self._read, self._let_go, scope)
        self._reads = NamedReads(transport, self, self._state.is_named)
        self._definitions = Definitions(self._state)
        self._views = Views(tuple(map(self._view, watched(scope))), self._definitions)
        self._relists = Relists(self._views.all, self._guard, RELIST_SECONDS)
        self._listed = asyncio.Event()
        self._watches: dict[View, Watch[Any]] = {}
        self._readers = {kind.name: ObjectReader(kind) for kind in KINDS if kind.name in NAMED_KINDS}

    async def changes(self) -> AsyncGenerator[ClusterChange, None]:
        """The complete first state as soon as it is known, then differences: a lone one at once, many together."""
        watching = [asyncio.create_task(self._watch(view), name=f"watch {view.watched}") for view in self._views.all]
        watching.append(asyncio.create_task(self._relist(), name="look again at what vanished"))
        self._state.read_again()
        try:
            await self._known()
            yield self._state.first(time.monotonic())
            while True:
                due = self._state.due()
                await _woken(self._wake, None if due is None else max(0.0, due - time.monotonic()))
                change = self._state.take(time.monotonic())
                if change is not None:
                    yield change
        finally:
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)
            await self._reads.close()

    async def _known(self) -> None:
        """Wait until the first state is complete, and tell what it waits for if that takes long."""
        began, told = time.monotonic(), [""]
        while awaited := self._views.awaited(time.monotonic()):
            if awaited != told and time.monotonic() - began >= PATIENCE_SECONDS:
                told = awaited
                self._on_trouble(f"nothing is served before these are listed: {', '.join(awaited)}")
            await _woken(self._wake, LOOK_SECONDS)
        listed = time.monotonic()
        # One who names thousands must not keep everybody else waiting.
        while self._state.is_holding and time.monotonic() - listed < READING_SECONDS:
            await _woken(self._wake, LOOK_SECONDS)

    @property
    def is_current(self) -> bool:
        """Whether the API server as a whole can be followed now; False while every watch is in trouble."""
        return self._views.is_any_well

    def problems(self) -> Sequence[ClusterProblem]:
        """Kinds that are not watched as they should be, and objects that cannot be read, as of now."""
        return self._troubles.listed()

    def place_of(self, _problem: Problem) -> tuple[str, int] | None:
        """None: a cluster has no files."""
        return None

    def position(self, _key: Key, _path: str) -> tuple[str, int] | None:
        """None: a cluster has no files."""
        return None

    # Secrets and ConfigMaps

    def _read(self, key: Key, line: str) -> None:
        self._reads.read(key, line)

    def _let_go(self, key: Key) -> None:
        self._reads.let_go(key)
        self._troubles.say(key, ())

    def was_read(self, key: Key, written: bytes | None) -> None:
        """A named object as it is; None where there is none."""
        now = time.monotonic()
        self._wake.set()
        if written is None:
            self._troubles.say(key, ())
            self._state.settle_named(key, None, now)
            return
        try:
            found = self._readers[key.kind](written)
        except msgspec.MsgspecError:
            self._troubles.say(key, [unread(key, "the API server's answer is not understood")])
            self._state.do_without(key, now)
            return
        self._troubles.say(key, found.problems)
        if found.resource is None:
            self._state.do_without(key, now)
        else:
            self._state.settle_named(key, found.resource, now)

    def was_not_read(self, key: Key, reason: str, *, is_forbidden: bool = False) -> None:
        """It is not known how a named object is: the last that was known of it stays."""
        self._troubles.say(key, [unread(key, reason)], Cause(reason, is_forbidden))
        self._state.settle_unread(key, time.monotonic())
        self._wake.set()

    # Watching

    def _view(self, each: WatchedKind) -> View:
        return View(each, self._holder(each, each.kind), self._troubles, self._guard)

    def _holder(self, each: WatchedKind, kind: Kind | None) -> Holder:
        if kind is None:
            return self._definitions
        if each.is_named_only:
            return NamedObjects(each.name, self._state, self._reads)
        return WholeObjects(each, kind, self._state, self._troubles)

    async def _watch(self, view: View) -> None:
        while True:
            try:
                await self._follow(view)
            except Exception as error:  # noqa: BLE001 - a mistake of ours must not end the watch of a kind
                view.hear(Degraded(f"internal error ({type(error).__name__}: {error})"), time.monotonic())
                self._wake.set()
            await asyncio.sleep(RESTART_SECONDS)

    async def _relist(self) -> None:
        """Have watches list again, whenever that is due."""
        while True:
            for view in self._relists.take(time.monotonic()):
                self._watches[view].list_again()
            due = self._relists.due()
            await _woken(self._listed, None if due is None else max(0.0, due - time.monotonic()))

    async def _follow(self, view: View) -> None:
        each = view.watched
        watch = self._watches[view] = Watch(self._discovery, each.wanted, view.holder.decode, each.selection)
        view.begin()
        slice_ends = time.monotonic() + SLICE_SECONDS
        async with aclosing(watch.events()) as events:
            async for event in events:
                if view.is_outdated:
                    return
                now = time.monotonic()
                view.hear(event, now)
                if not isinstance(event, Upsert):
                    self._views.sweep(now)
                self._relists.heard(view, event, now)
                if isinstance(event, Synced):
                    self._listed.set()
                self._wake.set()
                if now >= slice_ends:
                    await asyncio.sleep(0)
                    slice_ends = time.monotonic() + SLICE_SECONDS


async def _woken(wake: asyncio.Event, seconds: float | None) -> None:
    """Wait until something is new, or so long."""
    if seconds == 0.0:
        return
    try:
        async with asyncio.timeout(seconds):
            await wake.wait()
    except TimeoutError:
        return
    finally:
        wake.clear()
