"""Wait for a condition, for a bounded time."""

from __future__ import annotations

import time
from collections.abc import Callable

from bench.figures import Fault
from bench.programs import Program

# Between two looks; the resolution of every "time until served".
POLL_SECONDS = 0.0005


def wait_for(condition: Callable[[], bool], seconds: float, what: str, *programs: Program) -> float:
    """The moment (time.perf_counter) at which the condition held; Fault when it did not or a program ended."""
    deadline = time.perf_counter() + seconds
    while not condition():
        for program in programs:
            program.must_run()
        if time.perf_counter() > deadline:
            raise Fault(f"{what}: nothing after {seconds:g} s" + "".join(f"; {p.said()[-400:]}" for p in programs))
        time.sleep(POLL_SECONDS)
    return time.perf_counter()
