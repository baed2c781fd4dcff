"""Ask a running container again and again: has it started, is it ready, does it live."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from testcluster.kubelet.objects import Container
from testcluster.kubelet.probe_spec import Probe

# Until a container first answers it is asked sooner than its probes say, less and less often: clusters of tests start
# and end all the time.
_FIRST_PAUSE, _PAUSE_GROWTH = 0.1, 1.3


class Probed(Protocol):
    """A container as the prober sees it."""

    def set_started(self) -> None:
        """It has started."""

    def set_ready(self, is_ready: bool) -> None:
        """It is ready, or not any more."""

    async def replace(self, why: str, probe: Probe) -> None:
        """It is not well: end it, so that it is started again."""


Ask = Callable[[Probe], Awaitable[bool]]


async def probe(container: Container, probed: Probed, ask: Ask) -> None:
    """Probe a container until that is cancelled; one without probes has started, and is ready, at once."""
    if container.startup_probe is not None and not await _starts(container.startup_probe, ask):
        await probed.replace("failed its startup probe", container.startup_probe)
        return
    probed.set_started()
    if container.readiness_probe is None:
        probed.set_ready(True)
    async with asyncio.TaskGroup() as group:
        if container.readiness_probe is not None:
            group.create_task(watch_readiness(container.readiness_probe, probed, ask))
        if container.liveness_probe is not None:
            group.create_task(_watch_life(container.liveness_probe, probed, ask))


async def watch_readiness(probe: Probe, probed: Probed, ask: Ask) -> None:
    """Say whenever the container becomes ready or unready."""
    await asyncio.sleep(probe.initial_delay_seconds)
    successes = failures = 0
    pauses = _Pauses(probe.period_seconds)
    while True:
        if await ask(probe):
            successes, failures = successes + 1, 0
            pauses.end()
        else:
            successes, failures = 0, failures + 1
        if successes == probe.success_threshold:
            probed.set_ready(True)
        elif failures == probe.failure_threshold:
            probed.set_ready(False)
        await asyncio.sleep(pauses.next())


async def _starts(probe: Probe, ask: Ask) -> bool:
    await asyncio.sleep(probe.initial_delay_seconds)
    clock = asyncio.get_running_loop().time
    patience = clock() + probe.period_seconds * probe.failure_threshold
    pauses = _Pauses(probe.period_seconds)
    while clock() < patience:
        if await ask(probe):
            return True
        await asyncio.sleep(pauses.next())
    return False


async def _watch_life(probe: Probe, probed: Probed, ask: Ask) -> None:
    await asyncio.sleep(probe.initial_delay_seconds)
    failures = 0
    while failures < probe.failure_threshold:
        await asyncio.sleep(probe.period_seconds)
        failures = 0 if await ask(probe) else failures + 1
    await probed.replace("failed its liveness probe", probe)


class _Pauses:
    """Seconds between questions: growing at first, and regular once the first answer was good."""

    def __init__(self, period: float) -> None:
        self._period = period
        self._next = _FIRST_PAUSE

    def next(self) -> float:
        """The next pause."""
        pause = min(self._next, self._period)
        self._next *= _PAUSE_GROWTH
        return pause

    def end(self) -> None:
        """From now on regularly."""
        self._next = self._period
