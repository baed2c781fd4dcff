"""From figures to tables, and to sentences that say where Trilithon is worse."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from msgspec import Struct

from bench.change import ChangeFigures
from bench.engine import EngineFigures
from bench.figures import ratio
from bench.load import LoadFigures
from bench.table import Value, cell, table
from bench.throughput import ThroughputFigures

OURS = "Trilithon"
# Below it a page has the figures of one run.
MARK = "<!-- figures -->"
# Runs of the same configuration differ by about as much.
NOISE = 0.07

F = TypeVar("F", ChangeFigures, LoadFigures, ThroughputFigures)


class Results(Struct, frozen=True):
    """Everything one run measured; what was not asked for is empty."""

    began: str
    command: str
    machine: dict[str, str]
    change: tuple[ChangeFigures, ...] = ()
    load: tuple[LoadFigures, ...] = ()
    throughput: tuple[ThroughputFigures, ...] = ()
    engine: tuple[EngineFigures, ...] = ()


def report(results: Results) -> str:
    """The whole result as Markdown."""
    parts = [f"Measured {results.began} with `{results.command}`.", _machine(results.machine)]
    if results.change:
        parts += ["## From a changed file to the first request with the new answer", _served(results.change)]
        parts += ["## What one edited route costs", _costs(results.change)]
    if results.load:
        parts += ["## Changes under load, each to a new backend", _load(results.load)]
    if results.throughput:
        parts += ["## Throughput on one core", _throughput(results.throughput)]
    if results.engine:
        parts += ["## The engine by itself", _engine(results.engine), _edits(results.engine)]
    pairs = results.change or results.load or results.throughput
    if any(each.contender != OURS for each in pairs):
        parts += ["## Where Trilithon loses", *(f"- {line}" for line in losses(results))]
    return "\n\n".join(parts).replace("\n\n- ", "\n- ").replace("loses\n- ", "loses\n\n- ")


def with_figures(document: str, figures: str) -> str:
    """A page with everything below its mark replaced."""
    before, mark, _ = document.partition(MARK)
    return f"{before}{mark or MARK}\n\n{figures}\n"


def _machine(facts: Mapping[str, str]) -> str:
    return table(["", ""], list(facts.items()))


def _served(figures: Sequence[ChangeFigures]) -> str:
    columns = [
        "routes",
        "gateway",
        "edit p50 ms",
        "p99",
        "worst",
        "add p50 ms",
        "p99",
        "worst",
        "edits",
        "vs Trilithon",
    ]
    rows: list[list[Value]] = [
        [
            f"{each.routes:,}",
            each.contender,
            each.edit.p50,
            each.edit.p99,
            each.edit.worst,
            each.add.p50,
            each.add.p99,
            each.add.worst,
            each.edit.count,
            times(each.edit.p50, ours.edit.p50) if ours and each is not ours else None,
        ]
        for each, ours in _beside(figures, lambda each: each.routes)
    ]
    return table(columns, rows)


def _costs(figures: Sequence[ChangeFigures]) -> str:
    columns = [
        "routes",
        "gateway",
        "control CPU ms",
        "proxy CPU ms",
        "rows",
        "control MiB",
        "proxy MiB",
        "all MiB",
        "start s",
    ]
    rows: list[list[Value]] = [
        [
            f"{each.routes:,}",
            each.contender,
            each.control_cpu_ms,
            each.proxy_cpu_ms if each.proxy_mib else None,
            None if each.rows is None else round(each.rows),
            each.control_mib,
            each.proxy_mib or None,
            each.control_mib + each.proxy_mib,
            each.start_seconds,
        ]
        for each in figures
    ]
    return table(columns, rows)


def _load(figures: Sequence[LoadFigures]) -> str:
    columns = ["gateway", "changes", "requests", "failed", "which", "closes", "served p50 ms", "p99", "worst"]
    rows: list[list[Value]] = [
        [
            each.contender,
            each.changes,
            each.requests,
            sum(each.failures.values()),
            ", ".join(f"{count} x {status}" for status, count in each.failures.items()) or "none",
            each.closes,
            each.served.p50,
            each.served.p99,
            each.served.worst,
        ]
        for each in figures
    ]
    return table(columns, rows)


def _throughput(figures: Sequence[ThroughputFigures]) -> str:
    columns = [
        "protocol",
        "last of",
        "gateway",
        "requests/s",
        "per CPU second",
        "p50 ms",
        "p99 ms",
        "failed",
        "Trilithon/it",
        "per CPU second",
    ]
    rows: list[list[Value]] = [
        [
            each.protocol,
            f"{each.routes:,} host{'s' if each.routes > 1 else ''}",
            each.contender,
            f"{'>=' if each.is_limited else ''}{each.per_second:,.0f}",
            round(each.per_cpu_second),
            each.p50,
            each.p99,
            each.failures,
            ratio(ours.per_second, each.per_second) if ours and each is not ours else None,
            ratio(ours.per_cpu_second, each.per_cpu_second) if ours and each is not ours else None,
        ]
        for each, ours in _beside(figures, lambda each: (each.routes, each.protocol))
    ]
    return table(columns, rows)


def _engine(figures: Sequence[EngineFigures]) -> str:
    columns = ["routes", "read files s", "rebuild all s", "resources KiB/route", "derived KiB/route"]
    rows: list[list[Value]] = [
        [f"{each.routes:,}", each.read_seconds, each.rebuild_seconds, each.resources_kib, each.derived_kib]
        for each in figures
    ]
    return table(columns, rows)


def _edits(figures: Sequence[EngineFigures]) -> str:
    columns = ["routes", "one change", "rows p50", "rows worst", "p50 ms", "p99 ms", "worst ms"]
    rows: list[list[Value]] = [
        [
            f"{each.routes:,}",
            edit.change,
            round(edit.rows.p50),
            round(edit.rows.worst),
            edit.milliseconds.p50,
            edit.milliseconds.p99,
            edit.milliseconds.worst,
        ]
        for each in figures
        for edit in each.edits
    ]
    return table(columns, rows)


def times(theirs: float, ours: float) -> str | None:
    """Theirs as a multiple of ours."""
    found = ratio(theirs, ours)
    return None if found is None else f"{found:.3g}x"


def _beside(figures: Sequence[F], place: Callable[[F], object]) -> Iterator[tuple[F, F | None]]:
    """Each figure with ours of the same place."""
    ours = {place(each): each for each in figures if each.contender == OURS}
    for each in figures:
        yield each, ours.get(place(each))


# Where we lose


class Loss(Struct, frozen=True):
    """One figure in which a rival is better, by this factor."""

    what: str
    ours: float
    theirs: float
    unit: str
    rival: str
    factor: float

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        return f"{self.what}: {cell(self.ours)}{unit}, {self.rival} {cell(self.theirs)}{unit}"


def losses(results: Results) -> list[str]:
    """A sentence for each figure in which a rival is better by more than the noise, beside the best of the rivals."""
    worst: dict[str, Loss] = {}
    for loss in (*_change_losses(results.change), *_load_losses(results.load), *_traffic_losses(results.throughput)):
        if loss.factor > 1 + NOISE and (loss.what not in worst or worst[loss.what].factor < loss.factor):
            worst[loss.what] = loss
    return [str(loss) for loss in worst.values()] or ["Nowhere in what this run measured."]


def _change_losses(figures: Sequence[ChangeFigures]) -> Iterator[Loss]:
    for each, ours in _rivals(figures, lambda each: each.routes):
        at = f"at {each.routes:,} routes"
        for what, pick, unit in _CHANGE:
            yield _less_is_better(f"{what} {at}", pick(ours), pick(each), unit, each.contender)


_CHANGE: tuple[tuple[str, Callable[[ChangeFigures], float], str], ...] = (
    ("edit p50", lambda each: each.edit.p50, "ms"),
    ("edit p99", lambda each: each.edit.p99, "ms"),
    ("add p50", lambda each: each.add.p50, "ms"),
    ("add p99", lambda each: each.add.p99, "ms"),
    ("CPU of an edit", lambda each: each.control_cpu_ms + each.proxy_cpu_ms, "ms"),
    ("memory", lambda each: each.control_mib + each.proxy_mib, "MiB"),
    ("start", lambda each: each.start_seconds, "s"),
)


def _load_losses(figures: Sequence[LoadFigures]) -> Iterator[Loss]:
    for each, ours in _rivals(figures, lambda _: None):
        failed = sum(ours.failures.values()), sum(each.failures.values())
        yield _less_is_better("failed requests during changes", *failed, "", each.contender)
        yield _less_is_better("connections closed during changes", ours.closes, each.closes, "", each.contender)
        yield _less_is_better("p50 to a new backend under load", ours.served.p50, each.served.p50, "ms", each.contender)


def _traffic_losses(figures: Sequence[ThroughputFigures]) -> Iterator[Loss]:
    for each, ours in _rivals(figures, lambda each: (each.routes, each.protocol)):
        at = f"{each.protocol}, last of {each.routes:,} host{'s' if each.routes > 1 else ''}"
        factor = ratio(each.per_second, ours.per_second) or 0.0
        yield Loss(f"throughput, {at}", ours.per_second, each.per_second, "requests/s", each.contender, factor)
        if ours.p99 is not None and each.p99 is not None:
            yield _less_is_better(f"p99, {at}", ours.p99, each.p99, "ms", each.contender)


def _less_is_better(what: str, ours: float, theirs: float, unit: str, rival: str) -> Loss:
    if not theirs:
        # Anything is infinitely more than nothing.
        return Loss(what, ours, theirs, unit, rival, math.inf if ours else 1.0)
    return Loss(what, ours, theirs, unit, rival, ours / theirs)


def _rivals(figures: Sequence[F], place: Callable[[F], object]) -> Iterator[tuple[F, F]]:
    for each, ours in _beside(figures, place):
        if ours is not None and each is not ours:
            yield each, ours
