"""Put together what serves: files, controller, Envoy, report, demo backends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from trilithon import __version__
from trilithon.cli.demo_backends import DemoBackends, loopback_places
from trilithon.cli.manifests import nothing_at
from trilithon.cli.report import Report
from trilithon.controller import Change, Controller, Event, LocalEnvoys, Surface, Telling
from trilithon.model.settings import Settings
from trilithon.model.tables import BACKENDS
from trilithon.resources.core import BackendResource
from trilithon.sinks.envoy.envoy_binary import EnvoyBinary
from trilithon.sinks.envoy.envoy_process import Launch
from trilithon.sinks.runtime_directory import RuntimeDirectory
from trilithon.sources.folder.files import FileSource
from trilithon.sources.folder.follow import FollowedFiles


class Serving:
    """One run over some manifests."""

    def __init__(
        self, paths: Sequence[Path], settings: Settings, envoy: EnvoyBinary, runtime: RuntimeDirectory, report: Report
    ) -> None:
        self.report = report
        self._paths = tuple(paths)
        self._settings = settings
        self._envoy = envoy
        self._runtime = runtime

    async def run(self, stop: asyncio.Event, *, watch: bool, demo_backends: bool) -> None:
        """Serve until ``stop`` is set and Envoy has drained. Raises OSError."""
        source = FileSource(self._paths)
        backends_changed = asyncio.Event()
        looked = asyncio.Event()

        def tell(event: Event) -> None:
            if isinstance(event, Change) and any(key.kind == "Backend" for key in event.upserted):
                backends_changed.set()
            self.report.tell(controller, event)
            if isinstance(event, Change) and not looked.is_set():
                looked.set()
                if not any(source.position(key) for key in source.resources) and not source.problems():
                    self.report.warn(nothing_at(self._paths))

        telling = Telling(tell)
        socket = self._runtime.xds_socket
        launch = Launch(binary=self._envoy.path, directory=self._runtime.path, xds_socket=str(socket))
        controller = Controller(
            FollowedFiles(source),
            self._settings,
            LocalEnvoys(launch, telling),
            Surface(socket, self._runtime.control_socket, tuple(map(str, self._paths))),
            telling,
        )
        shown = ", ".join(map(str, self._paths))
        self.report.say(f"trilithon {__version__} with Envoy {self._envoy.version} serves {shown}; Ctrl-C ends it")
        async with DemoBackends(self.report.say) as demo:
            covering: asyncio.Task[None] | None = None
            if demo_backends:
                # Before the first request can come: the files are looked at for this alone.
                first = (await asyncio.to_thread(FileSource(self._paths).load)).upserts.values()
                await demo.cover(loopback_places(each for each in first if isinstance(each, BackendResource)))
                covering = asyncio.create_task(
                    _cover_changes(controller, demo, backends_changed, self.report.say), name="demo backends"
                )
            try:
                await controller.run(stop, follows=watch)
            finally:
                if covering is not None:
                    covering.cancel()


async def _cover_changes(
    controller: Controller, demo: DemoBackends, changed: asyncio.Event, say: Callable[[str], None]
) -> None:
    """Answer for Backends that are written later, too."""
    while True:
        await changed.wait()
        changed.clear()
        try:
            await demo.cover(loopback_places(controller.engine.rows(BACKENDS).values()))
        except Exception as error:  # noqa: BLE001 - those of the next change are tried all the same
            say(f"no demo backend could be started: {error}")
