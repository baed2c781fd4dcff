"""What steady traffic sees while its route moves to a new backend again and again."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from msgspec import Struct

from bench.backend import Backends
from bench.change import Make
from bench.client import Client, SteadyLoad
from bench.contender import FRESH, Contender
from bench.figures import Spread, spread
from bench.programs import say
from bench.waiting import wait_for

# Other routes that are there and stay as they are.
ROUTES = 100
PER_SECOND = 1000.0
CONNECTIONS = 8
# From one change being served to the next.
PAUSE_SECONDS = 0.02
SERVED_SECONDS = 30.0


class LoadFigures(Struct, frozen=True):
    """``failures`` by status, "no answer" among them; ``closes`` are connections the gateway ended, which is allowed.

    ``served`` are milliseconds from the rename to the first request answered by the new backend.
    """

    contender: str
    changes: int
    seconds: float
    requests: int
    failures: dict[str, int]
    closes: int
    served: Spread


class _Probe:
    """Asks the changed host until the new backend answers, and counts what else it is told."""

    def __init__(self, contender: Contender) -> None:
        self._contender = contender
        self._client = Client(contender.port)
        self.asked = 0
        self.failures: Counter[str] = Counter()

    def change(self, number: int) -> float:
        """Make a change; milliseconds until it is served."""
        renamed = self._contender.put_fresh(number)
        wanted = self._contender.fresh_body(number)
        what = f"{self._contender.name}: change {number} under load"
        return (wait_for(lambda: self._ask() == wanted, SERVED_SECONDS, what, self._contender.program) - renamed) * 1000

    def _ask(self) -> bytes:
        answer = self._client.get(FRESH)
        self.asked += 1
        if answer.status != 200:
            self.failures[str(answer.status) if answer.status else "no answer"] += 1
        return answer.body


def measure(folder: Path, makers: Sequence[Make], changes: int) -> list[LoadFigures]:
    """One gateway after the other, each with so many changes."""
    figures = []
    for at, make in enumerate(makers):
        with ExitStack() as running:
            place = folder / f"load-{at}"
            place.mkdir()
            backends = running.enter_context(Backends(place))
            contender = running.enter_context(make(place / "gateway", backends, ROUTES))
            found = _changed_under_load(contender, changes)
        say(f"{found.contender}: {changes} changes, {found.requests} requests, failures: {found.failures or 'none'}")
        figures.append(found)
    return figures


def _changed_under_load(contender: Contender, changes: int) -> LoadFigures:
    # The host has to be there before anybody asks for it.
    _Probe(contender).change(0)
    probe = _Probe(contender)
    started = time.perf_counter()
    with SteadyLoad(contender.port, FRESH, connections=CONNECTIONS, per_second=PER_SECOND) as load:
        served = []
        for number in range(1, changes + 1):
            time.sleep(PAUSE_SECONDS)
            served.append(probe.change(number))
    return LoadFigures(
        contender=contender.name,
        changes=changes,
        seconds=time.perf_counter() - started,
        requests=load.requests + probe.asked,
        failures=dict(probe.failures + Counter(load.failures)),
        closes=load.closes,
        served=spread(served),
    )
