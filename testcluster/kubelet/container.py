"""Keep one container of a pod running: start it, heed its probes and hooks, start it again, stop it."""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from testcluster.kubelet.launch import Create
from testcluster.kubelet.logs import Log
from testcluster.kubelet.objects import Container
from testcluster.kubelet.probe_spec import Hook, Probe
from testcluster.kubelet.prober import probe, watch_readiness
from testcluster.kubelet.probes import Asker
from testcluster.kubelet.problems import CannotRun
from testcluster.kubelet.process import Process
from testcluster.kubelet.status import Ended, Running, View, Waiting

# Between restarts: at once, then 1 s, doubling. A container that ran for so long is no crash loop.
_LONGEST_PAUSE = 30.0
_STEADY_SECONDS = 60.0
# How long to wait before trying again what could not be started.
_RETRY_SECONDS = 1.0

Plan = Callable[[Container, Path], Awaitable[Create]]
# Tells people of what happened: reason, message.
Tell = Callable[[str, str], None]


class Keeper:
    """One container of a pod. ``changed`` is called whenever its ``view`` is another."""

    def __init__(  # noqa: PLR0913 - what it keeps, with what, and whom it tells
        self,
        container: Container,
        folder: Path,
        plan: Plan,
        asker: Asker,
        changed: Callable[[], None],
        tell: Tell,
        *,
        identity: str,
        restarts: int,
        grace: float,
    ) -> None:
        self.container = container
        self.view = View(name=container.name, image=container.image, restarts=restarts)
        self.address = ""
        self.logs: list[Log] = []
        self.process: Process | None = None
        self.has_started = asyncio.Event()
        self._folder = folder
        self._plan = plan
        self._asker = asker
        self._changed = changed
        self._tell = tell
        self._identity = identity
        self._grace = grace

    # What the prober says.

    def set_started(self) -> None:
        """It has started."""
        self.has_started.set()
        self._show(is_started=True)

    def set_ready(self, is_ready: bool) -> None:
        """It is ready, or not any more."""
        if is_ready != self.view.is_ready:
            self._show(is_ready=is_ready)

    async def replace(self, why: str, probe: Probe) -> None:
        """End it, so that it is started again."""
        self._tell("Unhealthy", f"container {self.container.name} {why}, will be restarted")
        own = probe.termination_grace_period_seconds
        if self.process is not None:
            await self.process.stop(self._grace if own is None else own)

    # What the pod says.

    async def keep(self, policy: str) -> None:
        """Run the container until it has ended for good, as the restart policy (Always, OnFailure, Never) has it."""
        clock, pause = asyncio.get_running_loop().time, 0.0
        while True:
            began = clock()
            try:
                code = await self._run()
            except CannotRun as problem:
                if self.wait(problem):
                    self._tell("Failed", f"container {self.container.name}: {problem.message}")
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            if policy == "Never" or (policy == "OnFailure" and code == 0):
                return
            if clock() - began >= _STEADY_SECONDS:
                pause = 0.0
            if pause:
                self._again(Waiting("CrashLoopBackOff", f"back-off {pause:g}s restarting failed container"))
                await asyncio.sleep(pause)
            else:
                self._again(Waiting())
            pause = min(max(1.0, pause * 2), _LONGEST_PAUSE)

    def wait(self, problem: CannotRun) -> bool:
        """It cannot start yet; whether that, or the reason, is new."""
        state = Waiting(problem.reason, problem.message)
        if self.view.state == state:
            return False
        self._show(state=state)
        return True

    async def stop(self, grace: float) -> None:
        """End it within ``grace`` seconds, in which it may still say whether it is ready."""
        process = self.process
        if process is None or not process.is_running:
            return
        clock = asyncio.get_running_loop().time
        until = clock() + grace
        probing = asyncio.create_task(self._go_on_probing())
        try:
            hook = self.container.lifecycle.pre_stop
            if hook is not None and grace > 0:
                with suppress(TimeoutError):
                    async with asyncio.timeout(grace):
                        await self._do(hook)
            # Whatever the hook took, the container gets a moment to end by itself.
            await process.stop(max(until - clock(), min(grace, 2.0)))
        finally:
            probing.cancel()
        self._ended(await process.wait())

    def kill(self) -> None:
        """End it at once."""
        if self.process is not None:
            self.process.signal(signal.SIGKILL)

    async def _run(self) -> int:
        number = self.view.restarts
        folder = self._folder / str(number)
        scratch = folder / "files"
        scratch.mkdir(parents=True, exist_ok=True)
        spec = await self._plan(self.container, scratch)
        log = Log(folder / "log")
        self.logs = [*self.logs[-1:], log]
        self.process = process = await Process.start(spec, folder, log)
        self._show(
            state=Running(datetime.now(UTC)),
            container_id=f"testcluster://{self._identity}-{self.container.name}-{number}",
        )
        watching = asyncio.create_task(self._watch())
        try:
            code = await process.wait()
        finally:
            watching.cancel()
        self._ended(code)
        self._clear_before(number)
        return code

    async def _watch(self) -> None:
        hook = self.container.lifecycle.post_start
        if hook is not None and not await self._do(hook) and self.process is not None:
            self._tell("FailedPostStartHook", f"container {self.container.name}: the hook after its start failed")
            await self.process.stop(self._grace)
            return
        await probe(self.container, self, self._ask)

    async def _go_on_probing(self) -> None:
        if self.container.readiness_probe is not None and self.view.is_started:
            now = msgspec.structs.replace(self.container.readiness_probe, initial_delay_seconds=0)
            await watch_readiness(now, self, self._ask)

    async def _ask(self, probe: Probe) -> bool:
        return await self._asker.is_well(probe, self.container, self.address, self._enter)

    async def _do(self, hook: Hook) -> bool:
        try:
            return await self._asker.does(hook, self.container, self.address, self._enter)
        except (OSError, aiohttp.ClientError, ValueError):
            return False

    async def _enter(self, command: tuple[str, ...]) -> int:
        if self.process is None or not self.process.is_running:
            return 1
        return await self.process.enter(command)

    def _ended(self, code: int) -> None:
        if isinstance(self.view.state, Running):
            state = Ended(code, self.view.state.started, datetime.now(UTC))
            self._show(state=state, is_ready=False, is_started=False)

    def _again(self, waiting: Waiting) -> None:
        last = self.view.state if isinstance(self.view.state, Ended) else self.view.last
        self._show(state=waiting, last=last, restarts=self.view.restarts + 1)

    def _clear_before(self, number: int) -> None:
        # The log of the run before stays, for `logs --previous`.
        shutil.rmtree(self._folder / str(number - 2), ignore_errors=True)

    def _show(self, **fields: Any) -> None:
        view = msgspec.structs.replace(self.view, **fields)
        if view != self.view:
            self.view = view
            self._changed()
