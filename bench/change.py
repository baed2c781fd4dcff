"""How long a changed file takes to be served, and what the change costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from msgspec import Struct

from bench.backend import Backends
from bench.client import Client
from bench.contender import Contender, host
from bench.figures import Spread, spread
from bench.programs import cpu_seconds, resident_mib, say, wait_until_quiet
from bench.waiting import wait_for

SERVED_SECONDS = 60.0
QUIET_SECONDS = 15.0
# Changes of each sort per gateway whose cost is measured; nobody asks for pages meanwhile.
COSTED = 5
# Prime, so that edits wander over all routes.
STRIDE = 37

Make = Callable[[Path, Backends, int], Contender]


class ChangeFigures(Struct, frozen=True):
    """One gateway with so many routes.

    ``edit`` and ``add`` are milliseconds from the rename of a file to the first request with the new answer. CPU is
    milliseconds for one edit, memory is resident MiB at the end; where a gateway is one process, all of it is control.
    """

    contender: str
    routes: int
    edit: Spread
    add: Spread
    control_cpu_ms: float
    proxy_cpu_ms: float
    rows: float | None
    control_mib: float
    proxy_mib: float
    start_seconds: float


class _Samples:
    """What is measured of one gateway, turn by turn."""

    def __init__(self, contender: Contender) -> None:
        self.contender = contender
        self.client = Client(contender.port)
        self.edits: list[float] = []
        self.adds: list[float] = []
        self.control_cpu: list[float] = []
        self.proxy_cpu: list[float] = []
        self.rows: list[float] = []
        self._rested = time.monotonic()

    def turn(self, number: int) -> None:
        """An edit of one route, then a new route; each timed until it is served."""
        contender = self.contender
        route = number * STRIDE % len(contender.routes)
        self._rest()
        self.edits.append(self._milliseconds(route, contender.edit(route)))
        self._rest()
        route, renamed = contender.add()
        self.adds.append(self._milliseconds(route, renamed))

    def cost(self, number: int) -> None:
        """The CPU time and rows of an edit."""
        contender = self.contender
        route = (number * STRIDE + 1) % len(contender.routes)
        self._rest()
        mark, control, proxy = contender.mark(), contender.control_pids, contender.proxy_pids
        before = cpu_seconds(control), cpu_seconds(proxy)
        contender.edit(route)
        wait_until_quiet([*control, *proxy], QUIET_SECONDS)
        self.control_cpu.append((cpu_seconds(control) - before[0]) * 1000)
        self.proxy_cpu.append((cpu_seconds(proxy) - before[1]) * 1000)
        self._served(route)
        rows = contender.rows_since(mark)
        if rows is not None:
            self.rows.append(rows)

    def figures(self, routes: int) -> ChangeFigures:
        contender = self.contender
        return ChangeFigures(
            contender=contender.name,
            routes=routes,
            edit=spread(self.edits),
            add=spread(self.adds),
            control_cpu_ms=median(self.control_cpu),
            proxy_cpu_ms=median(self.proxy_cpu),
            rows=median(self.rows) if self.rows else None,
            control_mib=resident_mib(contender.control_pids),
            proxy_mib=resident_mib(contender.proxy_pids),
            start_seconds=contender.started_seconds,
        )

    def _rest(self) -> None:
        """Leave it alone until nothing of the change before is left to do."""
        contender = self.contender
        wait_until_quiet([*contender.control_pids, *contender.proxy_pids], QUIET_SECONDS)
        time.sleep(max(0.0, self._rested + contender.settle_seconds - time.monotonic()))

    def _milliseconds(self, route: int, renamed: float) -> float:
        return (self._served(route) - renamed) * 1000

    def _served(self, route: int) -> float:
        body = self.contender.body(route)
        served = wait_for(
            lambda: self.client.get(host(route)).body == body,
            SERVED_SECONDS,
            f"{self.contender.name}: a changed route",
            self.contender.program,
        )
        self._rested = time.monotonic()
        return served


def measure(folder: Path, sizes: Sequence[int], makers: Sequence[Make], turns: int) -> list[ChangeFigures]:
    """All gateways at each size, in alternating turns.

    The first gateway has three turns where the others have one: it is the one whose tail is of interest.
    """
    figures = []
    for size in sizes:
        with ExitStack() as running:
            place = folder / f"change-{size}"
            place.mkdir()
            backends = running.enter_context(Backends(place))
            samples = []
            for at, make in enumerate(makers):
                contender = running.enter_context(make(place / str(at), backends, size))
                say(f"{size} routes: {contender.name} serves after {contender.started_seconds:.1f} s")
                samples.append(_Samples(contender))
            for turn in range(turns):
                for first, sample in enumerate(samples):
                    for step in range(1 if first else 3):
                        sample.turn(turn * 3 + step)
            for turn in range(COSTED):
                for sample in samples:
                    sample.cost(turn)
            found = [sample.figures(size) for sample in samples]
        for each in found:
            say(f"{size} routes: {each.contender}: edit p50 {each.edit.p50:.1f} ms, worst {each.edit.worst:.1f} ms")
        figures += found
    return figures
