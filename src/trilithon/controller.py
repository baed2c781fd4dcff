"""Run everything: sources into the engine, the engine's changes into Envoys, Envoys' answers back into the engine."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from trilithon.incremental import Changes, Edit, Engine
from trilithon.inspect.check import problems_of
from trilithon.inspect.overview import EnvoyView, Overview, gateway_views, problem_view, route_views
from trilithon.model.proxy import Proxy
from trilithon.model.settings import Settings
from trilithon.model.tables import PROXIES
from trilithon.pipeline import build, edits
from trilithon.resources.meta import Key
from trilithon.resources.problem import Problem
from trilithon.sinks.control_server import ControlServer
from trilithon.sinks.envoy_process import Launch
from trilithon.sinks.grpc_server import XdsServer
from trilithon.sinks.processes import EnvoyEvent, EnvoyProcesses
from trilithon.sinks.publication import Publisher
from trilithon.sinks.runtime_directory import RuntimeDirectory
from trilithon.status.gateway import GATEWAY_STATUS
from trilithon.status.problems import CLASS_PROBLEMS, GATEWAY_PROBLEMS, ROUTE_PROBLEMS, Problems
from trilithon.xds.node import node_id

# How long the engine may hold the loop before acks and probes get their turn.
SLICE_SECONDS = 0.005
# Changes that Envoy has not acknowledged are remembered up to this many; older ones are no longer reported.
MOST_WAITING = 1000


class SourceChange(Protocol):
    """What came in: resources that are new or different, keys that are gone, and the monotonic time it was noticed."""

    @property
    def upserts(self) -> Mapping[Key, Any]: ...

    @property
    def removals(self) -> Iterable[Key]: ...

    @property
    def noticed(self) -> float: ...


class SourceProblem(Protocol):
    """A problem of the source itself, and where it is."""

    @property
    def problem(self) -> Problem: ...

    @property
    def file(self) -> str: ...

    @property
    def line(self) -> int: ...


class Source(Protocol):
    """Where resources come from."""

    def load(self) -> SourceChange:
        """The first state."""

    def problems(self) -> Sequence[SourceProblem]:
        """What is wrong with the source itself now."""

    def position(self, key: Key, path: str) -> tuple[str, int] | None:
        """File and line of a field, where there are files."""


class Change(Struct, frozen=True):
    """A change was taken in. ``served`` is the time from noticing it until every Envoy had acknowledged it.

    Times are in seconds; ``served`` is None when there was nothing for Envoy to learn.
    """

    upserted: tuple[Key, ...]
    removed: tuple[Key, ...]
    recomputed: int
    settled: float
    served: float | None


class ProblemsChanged(Struct, frozen=True):
    """Problems that are new, and those that are gone."""

    appeared: tuple[Problem, ...]
    healed: tuple[Problem, ...]


class GatewayChanged(Struct, frozen=True):
    """A Gateway is programmed, or is not any longer: what its Programmed condition says."""

    gateway: Key
    is_programmed: bool
    message: str


class EnvoyChanged(Struct, frozen=True):
    """An Envoy started, ended or is about to be restarted."""

    gateway: Key
    event: EnvoyEvent


class EnvoySaid(Struct, frozen=True):
    """A line of an Envoy's log."""

    gateway: Key
    level: str
    text: str


Event = Change | ProblemsChanged | GatewayChanged | EnvoyChanged | EnvoySaid


class _Waiting(Struct):
    """A change that some Envoys have not acknowledged yet."""

    revision: int
    gateways: set[str]
    noticed: float
    change: Change


class Controller:
    """One process: a source, an engine, an xDS server and the Envoys.

    ``on_event`` is called in the loop and must not block. Nothing is served before the source has been read once and
    everything is translated.
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
        self._tell = on_event
        self._publisher = Publisher()
        self._revision = 0
        self._pending: list[Edit[Any, Any]] = []
        self._noticed: float | None = None
        self._wake = asyncio.Event()
        self._waiting: list[_Waiting] = []
        self._problems: dict[Key, Problems] = {}
        self._source_problems: frozenset[Problem] = frozenset()
        self._programmed: dict[Key, str] = {}
        self._server = XdsServer(str(runtime.xds_socket), on_proxy=self._on_proxy, on_applied=self._on_applied)
        self._processes = EnvoyProcesses(
            launch(runtime),
            on_state=lambda gateway, event: self._tell(EnvoyChanged(gateway, event)),
            on_log=lambda gateway, level, text: self._tell(EnvoySaid(gateway, level, text)),
        )
        self._control = ControlServer(runtime.control_socket, lambda: msgspec.json.encode(self.overview()))

    async def run(self, stop: asyncio.Event, changes: AsyncIterator[SourceChange] | None = None) -> None:
        """Serve until ``stop`` is set, then let requests in flight finish and end the Envoys.

        ``changes`` are what the source finds after its first state; without them that state is served for good.
        """
        self._take(self._source.load())
        await self._settle_pending()
        # What was just built stays: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        await self._server.start()
        await self._control.start()
        try:
            async with asyncio.TaskGroup() as tasks:
                ends = [tasks.create_task(self._settle_for_ever(), name="settle")]
                if changes is not None:
                    ends.append(tasks.create_task(self._follow(changes), name="follow"))
                await stop.wait()
                for task in ends:
                    task.cancel()
        finally:
            await self._processes.stop()
            await self._control.stop()
            await self._server.stop()

    def overview(self) -> Overview:
        """The state of everything now."""
        sessions = self._server.sessions()
        envoys = {
            gateway: EnvoyView(
                connected=len(mine),
                wanted=max((each.wanted for each in mine), default=0),
                acknowledged=min((each.acked for each in mine), default=0),
                rejected=tuple(f"{refusal.name}: {refusal.message}" for each in mine for refusal in each.rejected),
            )
            for gateway in {each.gateway for each in sessions}
            for mine in [[each for each in sessions if each.gateway == gateway]]
        }
        problems = [*(entry.problem for entry in self._source.problems()), *problems_of(self.engine)]
        return Overview(
            gateways=gateway_views(self.engine, self.settings, envoys),
            routes=route_views(self.engine),
            problems=tuple(problem_view(each, *self._position(each)) for each in problems),
            paths=self._paths,
            pid=os.getpid(),
        )

    def position(self, problem: Problem) -> tuple[str | None, int | None]:
        """File and line of a problem, where it has any."""
        return self._position(problem)

    # Coming in

    async def _follow(self, changes: AsyncIterator[SourceChange]) -> None:
        async for change in changes:
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
        changes = await self._settled(taken)
        settled = time.monotonic() - started
        behind = await self._publish(changes)
        if noticed is not None:
            self._report(taken, changes, settled, noticed, behind)
        self._tell_problems(changes)
        self._tell_gateways(changes)

    async def _settled(self, taken: Iterable[Edit[Any, Any]]) -> Changes:
        """Settle in slices, so that acks, probes and signals are answered meanwhile."""
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

    async def _publish(self, changes: Changes) -> set[str]:
        """Send what changed; the Gateways whose Envoys have to acknowledge it."""
        before = self._publisher.serving
        publications = self._publisher.publications(changes)
        if publications:
            self._revision += 1
        for each in publications:
            self._server.publish(each.gateway.path, each.upserts, each.removals, self._revision)
        serving = self._publisher.serving
        for gateway in serving - before:
            await self._processes.ensure(gateway, node_id(gateway.namespace, gateway.name, "local"))
        for gateway in before - serving:
            self._end(gateway)
        return {each.gateway.path for each in publications if each.gateway in serving}

    def _end(self, gateway: Key) -> None:
        """Drain an Envoy that nothing needs any longer, while everything else goes on."""
        ending = asyncio.create_task(self._processes.remove(gateway), name=f"end {gateway}")
        ending.add_done_callback(lambda _: self._forget(gateway))

    def _forget(self, gateway: Key) -> None:
        if gateway not in self._publisher.serving:
            self._server.forget(gateway.path)

    def _report(
        self, taken: Sequence[Edit[Any, Any]], changes: Changes, settled: float, noticed: float, behind: set[str]
    ) -> None:
        keys = [edit for edit in taken if edit.table is not PROXIES]
        if not keys:
            return
        change = Change(
            upserted=tuple(edit.key for edit in keys if edit.row is not None),
            removed=tuple(edit.key for edit in keys if edit.row is None),
            recomputed=changes.recomputed,
            settled=settled,
            served=None,
        )
        if behind:
            self._waiting.append(_Waiting(self._revision, behind, noticed, change))
            del self._waiting[:-MOST_WAITING]
        else:
            self._tell(change)

    def _on_applied(self, gateway: str, revision: int, _seconds: float) -> None:
        now = time.monotonic()
        for each in self._waiting:
            if each.revision <= revision:
                each.gateways.discard(gateway)
        for each in [each for each in self._waiting if not each.gateways]:
            self._waiting.remove(each)
            self._tell(msgspec.structs.replace(each.change, served=now - each.noticed))

    # Telling

    def _tell_problems(self, changes: Changes) -> None:
        appeared: list[Problem] = []
        healed: list[Problem] = []
        for table in (CLASS_PROBLEMS, GATEWAY_PROBLEMS, ROUTE_PROBLEMS):
            for key, row in changes.of(table).items():
                old = self._problems.pop(key, None)
                before, now = (old.items if old else ()), (row.items if row else ())
                if row is not None:
                    self._problems[key] = row
                appeared += [problem for problem in now if problem not in before]
                healed += [problem for problem in before if problem not in now]
        standing = frozenset(entry.problem for entry in self._source.problems())
        appeared += sorted(standing - self._source_problems, key=str)
        healed += sorted(self._source_problems - standing, key=str)
        self._source_problems = standing
        if appeared or healed:
            self._tell(ProblemsChanged(tuple(appeared), tuple(healed)))

    def _tell_gateways(self, changes: Changes) -> None:
        for key, status in changes.of(GATEWAY_STATUS).items():
            if status is None:
                self._programmed.pop(key, None)
                continue
            condition = next(each for each in status.conditions if each.type == "Programmed")
            if self._programmed.get(key) != condition.status + condition.message:
                self._programmed[key] = condition.status + condition.message
                self._tell(GatewayChanged(key, condition.status == "True", condition.message))

    def _position(self, problem: Problem) -> tuple[str | None, int | None]:
        for entry in self._source.problems():
            if entry.problem == problem:
                return entry.file, entry.line
        place = self._source.position(problem.key, problem.path) if problem.key is not None else None
        return place if place is not None else (None, None)
