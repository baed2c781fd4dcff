"""Sources into the engine, the engine's changes into Envoys, Envoys' answers back into the engine."""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import time
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

import msgspec
from grpc import GenericRpcHandler
from msgspec import Struct

from trilithon.controller.envoys import Envoys
from trilithon.controller.events import Change, Event, Failed
from trilithon.controller.looking import Looking
from trilithon.controller.news import News
from trilithon.controller.outlet import Outlet
from trilithon.controller.proxies import Proxies
from trilithon.controller.source import Source, SourceChange, place_of
from trilithon.controller.telling import failed
from trilithon.controller.waiting import LATE_SECONDS, Waiting
from trilithon.incremental import Changes, Edit, Engine
from trilithon.inspect.overview import EnvoyView, Overview
from trilithon.model.settings import Settings
from trilithon.pipeline import SOURCES, build, edits
from trilithon.resources.meta import Key
from trilithon.resources.problem import Problem
from trilithon.sinks.control_server import ControlServer
from trilithon.sinks.delivery.grpc_server import XdsServer
from trilithon.sinks.delivery.publication import Publication, Publisher
from trilithon.sinks.identity.xds_security import Security

# How long the engine may hold the loop before acks and probes get their turn.
SLICE_SECONDS = 0.005
# While no Envoy is connected nobody waits for a change, but a replica that has some may share this machine's CPUs.
UNHURRIED_SECONDS = 0.05
# A part that fails is started again; when it fails each time, not more often than this.
RESTART_SECONDS = 1.0
# The tables that users fill.
OUTSIDE = frozenset(SOURCES.values())


class Surface(Struct, frozen=True):
    """Where others meet this process.

    ``xds``: for Envoys, the path of a unix socket, or "host:port", which needs ``security``. ``control_socket``: for
    ``trilithon status``. ``paths``: what it says that it serves.
    """

    xds: str | Path
    control_socket: Path | None = None
    paths: tuple[str, ...] = ()
    security: Security | None = None


class Controller:
    """One process: a source, an engine, an xDS server, and whatever else the results go to.

    ``tell`` is called in the loop and must not block; what it raises changes nothing of what is served. Nothing is
    served before the source has been read once and everything is translated. ``gateways`` says, of a settled engine,
    which Gateways have Envoys; without it those that have an Envoy listener.
    """

    def __init__(
        self,
        source: Source,
        settings: Settings,
        envoys: Envoys,
        surface: Surface,
        tell: Callable[[Event], None],
        *,
        gateways: Callable[[Engine], AbstractSet[Key]] | None = None,
    ) -> None:
        self.engine: Engine = build(settings)
        self.settings = settings
        self._source = source
        self._envoys_run = envoys
        self._paths = surface.paths
        self._tell = tell
        self._publisher = Publisher()
        self._gateways = gateways
        self._outlets: list[Outlet] = []
        self._revision = 0
        self._pending: list[Edit[Any, Any]] = []
        self._noticed: float | None = None
        self._wake = asyncio.Event()
        # Held while the engine settles: between two settles all its tables agree.
        self._resting = asyncio.Lock()
        self._looking = Looking(self.engine, settings, self._resting, self.position)
        self._waiting = Waiting()
        self.proxies = Proxies(self.feed)
        self._news = News()
        # The Gateways whose Envoys are kept.
        self._kept: set[Key] = set()
        self._server = XdsServer(
            surface.xds,
            on_proxy=self.proxies.say,
            on_applied=self._on_applied,
            admits=envoys.admits,
            security=surface.security,
        )
        self._server.allowances.tell = lambda text: tell(Failed("serving an Envoy", text, "xDS"))
        control = surface.control_socket
        self._control = ControlServer(control, self._encoded_overview) if control is not None else None
        # Set while Envoys can get their configuration.
        self.serving = asyncio.Event()

    def attach(self, outlet: Outlet) -> None:
        """Let results go there as well; before ``run``."""
        self._outlets.append(outlet)

    def release_envoys(self) -> None:
        """Let all Envoys connect anew, where another replica may know better; they serve on meanwhile."""
        self._server.end_streams()

    def answer(self, service: GenericRpcHandler) -> None:
        """Answer this service at the Envoys' port; before ``run``."""
        self._server.answer(service)

    def feed(self, coming: Iterable[Edit[Any, Any]]) -> None:
        """Take in what an outlet has learned; from the loop."""
        self._pending += coming
        self._wake.set()

    async def run(self, stop: asyncio.Event, *, follows: bool = True) -> None:
        """Serve until ``stop`` is set, then let requests in flight finish and end what was started here.

        ``follows``: take in the changes of the source; without it its first state is served for good.
        """
        try:
            if not await self._is_ready(stop):
                return
            self.serving.set()
            await self._keep_envoys()
            # What was just built stays: the collector need not look at it again.
            gc.collect()
            gc.freeze()
            async with asyncio.TaskGroup() as tasks:
                ends = [tasks.create_task(self.for_ever("settling", self._settle_for_ever))]
                if follows:
                    ends.append(tasks.create_task(self.for_ever("following the source", self._follow)))
                ends += [tasks.create_task(self.for_ever(type(each).__name__, each.run)) for each in self._outlets]
                await stop.wait()
                for task in ends:
                    task.cancel()
        finally:
            self.serving.clear()
            await self._envoys_run.stop()
            if self._control is not None:
                await self._control.stop()
            await self._server.stop()

    async def _is_ready(self, stop: asyncio.Event) -> bool:
        """Read the source, translate it, and let Envoys come; False if it was to stop before that."""
        first = asyncio.create_task(self._begin(), name="first state")
        stopped = asyncio.create_task(stop.wait(), name="stop")
        try:
            await asyncio.wait({first, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if first.done():
                first.result()
            return first.done()
        finally:
            first.cancel()
            stopped.cancel()
            await asyncio.wait({first, stopped})

    async def _begin(self) -> None:
        self._take(await self._source.first())
        await self._settle_pending()
        await self._server.start()
        if self._control is not None:
            await self._control.start()

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

    async def for_ever(self, what: str, part: Callable[..., Any], *arguments: Any) -> None:
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

    async def _follow(self) -> None:
        async for change in self._source.changes():
            self._take(change)
            self._wake.set()

    def _take(self, change: SourceChange) -> None:
        self._pending += edits(change.upserts.values(), change.removals)
        if self._noticed is None:
            self._noticed = change.noticed

    # Settling

    async def _settle_for_ever(self) -> None:
        while True:
            await self._wake.wait()
            if not self.proxies.own:
                await asyncio.sleep(UNHURRIED_SECONDS)
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
        for outlet in self._outlets:
            try:
                outlet.settled(self.engine, changes)
            except Exception as error:  # noqa: BLE001 - told; the other outlets must hear of these changes, which never come again
                self._tell(failed(type(outlet).__name__, error))
        if self.serving.is_set():
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
        """Envoys for each Gateway that is to have some, and none for others."""
        wanted = self._gateways(self.engine) if self._gateways is not None else self._publisher.serving
        for gateway in sorted(self._kept - wanted):
            self._end(gateway)
        for gateway in sorted(wanted - self._kept):
            self._kept.add(gateway)
            if gateway not in self._publisher.serving:
                # Its Envoys wait for an answer, be it an empty one.
                self._revision += 1
                self._server.publish(gateway.path, (), (), self._revision)
            await self._envoys_run.start(gateway)

    def _end(self, gateway: Key) -> None:
        self._kept.discard(gateway)
        self._envoys_run.end(gateway)
        self._server.forget(gateway.path)
        for change in self._waiting.gone(gateway.path, time.monotonic()):
            self._tell(change)

    def _on_applied(self, gateway: str, revision: int, _seconds: float) -> None:
        for change in self._waiting.applied(gateway, revision, time.monotonic()):
            self._tell(msgspec.structs.replace(change, is_refused=self._server.refuses))


def _change(taken: Iterable[Edit[Any, Any]], changes: Changes, settled: float) -> Change:
    outside = [edit for edit in taken if edit.table in OUTSIDE]
    return Change(
        upserted=tuple(edit.key for edit in outside if edit.row is not None),
        removed=tuple(edit.key for edit in outside if edit.row is None),
        recomputed=changes.recomputed,
        settled=settled,
        served=None,
    )
