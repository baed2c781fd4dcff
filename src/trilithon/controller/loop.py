"""Sources into the engine, the engine's changes into Envoys, Envoys' answers back into the engine."""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any

import msgspec

from trilithon.controller.events import Change, EnvoyChanged, EnvoySaid, Event
from trilithon.controller.looking import Looking
from trilithon.controller.news import News
from trilithon.controller.source import Source, SourceChange, place_of
from trilithon.controller.telling import Telling, failed
from trilithon.controller.waiting import LATE_SECONDS, Waiting
from trilithon.incremental import Changes, Edit, Engine
from trilithon.inspect.overview import EnvoyView, Overview
from trilithon.model.proxy import Proxy
from trilithon.model.settings import Settings
from trilithon.model.tables import PROXIES
from trilithon.pipeline import build, edits
from trilithon.resources.meta import Key
from trilithon.resources.problem import Problem
from trilithon.sinks.control_server import ControlServer
from trilithon.sinks.envoy_process import Launch
from trilithon.sinks.grpc_server import XdsServer
from trilithon.sinks.processes import EnvoyProcesses
from trilithon.sinks.publication import Publication, Publisher
from trilithon.sinks.runtime_directory import RuntimeDirectory
from trilithon.xds.node import node_id

# How long the engine may hold the loop before acks and probes get their turn.
SLICE_SECONDS = 0.005
# A part that fails is started again; when it fails each time, not more often than this.
RESTART_SECONDS = 1.0

SourceChanges = Callable[[], AsyncIterator[SourceChange]]


class Controller:
    """One process: a source, an engine, an xDS server and the Envoys.

    ``on_event`` is called in the loop and must not block; what it raises changes nothing of what is served. Nothing is
    served before the source has been read once and everything is translated.
    """

    def __init__(
        self,
        source: Source,
        settings: Settings,
        runtime: RuntimeDirectory,
        launch: Callable[[RuntimeDirectory], Launch],
        on_event: Callable[[Event], None],
        *,
        paths: tuple[str, ...] = (),
    ) -> None:
        self.engine: Engine = build(settings)
        self.settings = settings
        self._source = source
        self._paths = paths
        self._tell = Telling(on_event)
        self._publisher = Publisher()
        self._revision = 0
        self._pending: list[Edit[Any, Any]] = []
        self._noticed: float | None = None
        self._wake = asyncio.Event()
        # Held while the engine settles: between two settles all its tables agree.
        self._resting = asyncio.Lock()
        self._looking = Looking(self.engine, settings, self._resting, self.position)
        self._waiting = Waiting()
        self._news = News()
        self._serials = itertools.count(1)
        # The node id of each Gateway's Envoy. One that still drains has an older id, and gets nothing any more.
        self._nodes: dict[Key, str] = {}
        self._endings: set[asyncio.Task[None]] = set()
        self._server = XdsServer(
            runtime.xds_socket,
            on_proxy=self._on_proxy,
            on_applied=self._on_applied,
            admits=lambda node: node in self._nodes.values(),
        )
        self._processes = EnvoyProcesses(
            launch(runtime),
            on_state=lambda gateway, event: self._tell(EnvoyChanged(gateway, event)),
            on_log=lambda gateway, level, text: self._tell(EnvoySaid(gateway, level, text)),
        )
        self._control = ControlServer(runtime.control_socket, self._encoded_overview)

    async def run(self, stop: asyncio.Event, changes: SourceChanges | None = None) -> None:
        """Serve until ``stop`` is set, then let requests in flight finish and end the Envoys.

        ``changes`` starts to follow the source, from its first state on; without it that state is served for good.
        """
        # Off the loop: thousands of files take a second, in which a signal must be heard.
        self._take(await asyncio.to_thread(self._source.load))
        await self._server.start()
        await self._control.start()
        try:
            await self._settle_pending()
            # What was just built stays: the collector need not look at it again.
            gc.collect()
            gc.freeze()
            async with asyncio.TaskGroup() as tasks:
                ends = [tasks.create_task(self._for_ever("settling", self._settle_for_ever))]
                if changes is not None:
                    ends.append(tasks.create_task(self._for_ever("following the source", self._follow, changes)))
                await stop.wait()
                for task in ends:
                    task.cancel()
        finally:
            await self._processes.stop()
            await self._control.stop()
            await self._server.stop()

    async def overview(self) -> Overview:
        """The state of everything now."""
        in_source = [entry.problem for entry in self._source.problems()]
        return await self._looking.overview(in_source, self._envoys(), self._paths, os.getpid())

    async def _encoded_overview(self) -> bytes:
        return msgspec.json.encode(await self.overview())

    def position(self, problem: Problem) -> tuple[str | None, int | None]:
        """File and line of a problem, where it has any."""
        return place_of(self._source, problem)

    def _envoys(self) -> dict[str, EnvoyView]:
        sessions = sorted(self._server.sessions(), key=lambda each: each.gateway)
        return {
            gateway: EnvoyView(
                connected=len(mine),
                wanted=max(each.wanted for each in mine),
                acknowledged=min(each.acked for each in mine),
                rejected=tuple(f"{refusal.name}: {refusal.message}" for each in mine for refusal in each.rejected),
            )
            for gateway, group in itertools.groupby(sessions, key=lambda each: each.gateway)
            for mine in [tuple(group)]
        }

    async def _for_ever(self, what: str, part: Callable[..., Any], *arguments: Any) -> None:
        """Run a part again when it fails: what is served goes on, and whoever looks is told."""
        while True:
            try:
                await part(*arguments)
            except Exception as error:  # noqa: BLE001 - told as an event; the last good state goes on serving
                self._tell(failed(what, error))
            await asyncio.sleep(RESTART_SECONDS)
            # What it left undone waits for nobody.
            self._wake.set()

    # Coming in

    async def _follow(self, changes: SourceChanges) -> None:
        async for change in changes():
            self._take(change)
            self._wake.set()

    def _take(self, change: SourceChange) -> None:
        self._pending += edits(change.upserts.values(), change.removals)
        if self._noticed is None:
            self._noticed = change.noticed

    def _on_proxy(self, proxy: Proxy) -> None:
        self._pending.append(Edit(PROXIES, proxy.gateway, proxy if proxy.connected else None))
        self._wake.set()

    # Settling

    async def _settle_for_ever(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._settle_pending()

    async def _settle_pending(self) -> None:
        taken, self._pending = self._pending, []
        noticed, self._noticed = self._noticed, None
        started = time.monotonic()
        try:
            changes = await self._settled(taken)
        except BaseException:
            # Nothing of it is lost: edits that were taken in already say nothing new.
            self._pending[:0] = taken
            self._noticed = noticed if noticed is not None else self._noticed
            raise
        settled = time.monotonic() - started
        # Served first, told then.
        publications = self._publisher.publications(changes)
        self._publish(publications)
        change = _change(taken, changes, settled)
        is_awaited = noticed is not None and self._await_envoys(change, publications, noticed)
        await self._keep_envoys()
        if noticed is not None and not is_awaited and (change.upserted or change.removed):
            self._tell(change)
        in_source = [entry.problem for entry in self._source.problems()]
        for event in self._news.after(self.engine, changes, in_source, len(change.removed)):
            self._tell(event)
            await asyncio.sleep(0)

    async def _settled(self, taken: Iterable[Edit[Any, Any]]) -> Changes:
        """Settle in slices, so that acks, probes and signals are answered meanwhile."""
        async with self._resting:
            slice_ends = time.monotonic() + SLICE_SECONDS
            settling = self.engine.settle(taken, lambda: time.monotonic() >= slice_ends)
            while True:
                try:
                    next(settling)
                except StopIteration as end:
                    changes: Changes = end.value
                    return changes
                await asyncio.sleep(0)
                slice_ends = time.monotonic() + SLICE_SECONDS

    # Going out

    def _publish(self, publications: Sequence[Publication]) -> None:
        if publications:
            self._revision += 1
        for each in publications:
            self._server.publish(each.gateway.path, each.upserts, each.removals, self._revision)

    def _await_envoys(self, change: Change, publications: Sequence[Publication], noticed: float) -> bool:
        """Tell of a change when the Envoys have it that were just told; False where there are none."""
        behind = {each.gateway.path for each in publications if each.gateway in self._publisher.serving}
        if behind:
            self._waiting.add(self._revision, behind, noticed, change)
            asyncio.get_running_loop().call_later(LATE_SECONDS, self._tell_late, self._revision)
        return bool(behind)

    def _tell_late(self, revision: int) -> None:
        for change in self._waiting.late(revision):
            self._tell(change)

    async def _keep_envoys(self) -> None:
        """An Envoy for each Gateway that serves, and none for others."""
        serving = self._publisher.serving
        for gateway in sorted(self._nodes.keys() - serving):
            self._end(gateway)
        for gateway in sorted(serving - self._nodes.keys()):
            node = node_id(gateway.namespace, gateway.name, f"local-{next(self._serials)}")
            self._nodes[gateway] = node
            await self._processes.ensure(gateway, node)

    def _end(self, gateway: Key) -> None:
        """Drain an Envoy that nothing needs any longer, while everything else goes on."""
        ending = asyncio.create_task(self._processes.remove(gateway), name=f"end {gateway}")
        # The loop alone would hold it weakly.
        self._endings.add(ending)
        ending.add_done_callback(self._ended)
        del self._nodes[gateway]
        self._server.forget(gateway.path)
        for change in self._waiting.gone(gateway.path, time.monotonic()):
            self._tell(change)

    def _ended(self, ending: asyncio.Task[None]) -> None:
        self._endings.discard(ending)
        error = None if ending.cancelled() else ending.exception()
        if error is not None:
            self._tell(failed("ending an Envoy", error))

    def _on_applied(self, gateway: str, revision: int, _seconds: float) -> None:
        for change in self._waiting.applied(gateway, revision, time.monotonic()):
            is_refused = any(each.rejected for each in self._server.sessions())
            self._tell(msgspec.structs.replace(change, is_refused=is_refused))


def _change(taken: Iterable[Edit[Any, Any]], changes: Changes, settled: float) -> Change:
    outside = [edit for edit in taken if edit.table is not PROXIES]
    return Change(
        upserted=tuple(edit.key for edit in outside if edit.row is not None),
        removed=tuple(edit.key for edit in outside if edit.row is None),
        recomputed=changes.recomputed,
        settled=settled,
        served=None,
    )
