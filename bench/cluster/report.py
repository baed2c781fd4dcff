"""From figures to tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct

from bench.cluster.measure import Figures, Traffic
from bench.report import times
from bench.table import Value, table

OURS = "Trilithon"
# Between them a page has the figures of one run.
BEGIN, END = "<!-- cluster figures -->", "<!-- end of cluster figures -->"


class Results(Struct, frozen=True):
    """Everything one run measured."""

    began: str
    command: str
    machine: dict[str, str]
    figures: tuple[Figures, ...]
    minutes: float
    idle_seconds: float


def report(results: Results) -> str:
    """The whole result as Markdown."""
    figures = results.figures
    return "\n\n".join(
        [
            f"Measured {results.began} with `{results.command}`, which took {results.minutes:.0f} minutes.",
            table(["", ""], list(results.machine.items())),
            "### Many routes created at once",
            _created(figures),
            "### One change, from its request to the first answer that shows it",
            _changed(figures),
            "### What one changed route costs, and memory",
            _costs(figures),
            "### Requests that failed, and writes at rest",
            _failed(figures, results.idle_seconds),
        ]
    )


def with_figures(document: str, figures: str) -> str:
    """A page with everything between its marks replaced; at its end where it has none."""
    before, begin, rest = document.partition(BEGIN)
    if not begin:
        return f"{document.rstrip()}\n\n{BEGIN}\n\n{figures}\n\n{END}\n"
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{figures}\n\n{END}{after}"


def _created(figures: Sequence[Figures]) -> str:
    columns = ["routes", "controller", "created in s", "all served after s", "vs Trilithon"]
    columns += ["all statuses after s", "vs Trilithon", "from the first to all that s", "vs Trilithon"]
    columns += ["status writes per route"]
    rows: list[list[Value]] = [
        [
            f"{each.routes:,}",
            each.contender,
            each.create_seconds,
            each.served_seconds,
            _beside(each, ours, lambda one: one.served_seconds),
            each.statuses_seconds,
            _beside(each, ours, lambda one: one.statuses_seconds),
            _whole(each),
            _beside(each, ours, _whole),
            each.writes_per_route,
        ]
        for each, ours in _pairs(figures)
    ]
    return table(columns, rows)


def _changed(figures: Sequence[Figures]) -> str:
    columns = ["routes", "controller", "changed p50 ms", "p90", "worst", "vs Trilithon"]
    columns += ["new p50 ms", "p90", "vs Trilithon", "endpoint p50 ms", "p90", "vs Trilithon", "changes"]
    rows: list[list[Value]] = [
        [
            f"{each.routes:,}",
            each.contender,
            each.edit.p50,
            each.edit.p90,
            each.edit.worst,
            _beside(each, ours, lambda one: one.edit.p50),
            each.add.p50,
            each.add.p90,
            _beside(each, ours, lambda one: one.add.p50),
            each.move.p50,
            each.move.p90,
            _beside(each, ours, lambda one: one.move.p50),
            each.edit.count + each.add.count + each.move.count,
        ]
        for each, ours in _pairs(figures)
    ]
    return table(columns, rows)


def _costs(figures: Sequence[Figures]) -> str:
    columns = ["routes", "controller", "controller CPU ms", "proxy CPU ms", "API server CPU ms", "without it"]
    columns += ["vs Trilithon", "replicas", "controller MiB", "proxy MiB", "all MiB"]
    rows: list[list[Value]] = [
        [
            f"{each.routes:,}",
            each.contender,
            each.control_cpu_ms,
            each.proxy_cpu_ms if each.proxy_mib else None,
            each.server_cpu_ms,
            _own(each),
            _beside(each, ours, _own),
            each.replicas,
            each.control_mib,
            each.proxy_mib or None,
            each.control_mib + each.proxy_mib,
        ]
        for each, ours in _pairs(figures)
    ]
    return table(columns, rows)


def _failed(figures: Sequence[Figures], idle_seconds: float) -> str:
    columns = ["routes", "controller", "requests meanwhile", "failed", "requests around kill -9", "failed", "which"]
    columns += ["serves a change after s", f"writes at rest in {idle_seconds:g} s"]
    rows: list[list[Value]] = [
        [
            f"{each.routes:,}",
            each.contender,
            each.traffic.requests,
            each.traffic.failed,
            each.kill_traffic.requests,
            each.kill_traffic.failed,
            _which(each.traffic, each.kill_traffic),
            each.recovered_seconds,
            each.idle_writes,
        ]
        for each in figures
    ]
    return table(columns, rows)


def _whole(figures: Figures) -> float:
    """From the first creation until everything is served and told."""
    return figures.create_seconds + max(figures.served_seconds, figures.statuses_seconds)


def _own(figures: Figures) -> float:
    return figures.control_cpu_ms + figures.proxy_cpu_ms


def _which(*traffics: Traffic) -> str:
    counts: dict[str, int] = {}
    for traffic in traffics:
        for status, count in traffic.failures.items():
            counts[status] = counts.get(status, 0) + count
    return ", ".join(f"{count} {status}" for status, count in sorted(counts.items())) or "none"


def _pairs(figures: Sequence[Figures]) -> list[tuple[Figures, Figures | None]]:
    """Each beside Trilithon's of the same size; None beside Trilithon itself."""
    ours = {each.routes: each for each in figures if each.contender == OURS}
    return [(each, None if each.contender == OURS else ours.get(each.routes)) for each in figures]


def _beside(each: Figures, ours: Figures | None, pick: Callable[[Figures], float]) -> str | None:
    return None if ours is None else times(pick(each), pick(ours))
