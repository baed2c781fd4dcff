"""`python -m bench`: progress on stderr, tables on stdout, everything as JSON into a file."""

from __future__ import annotations

import argparse
import datetime as dt
import shlex
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from bench import change, engine, load, machine, throughput, traefik
from bench.backend import Backends
from bench.contender import Contender
from bench.figures import Fault
from bench.programs import say
from bench.report import Results, report, with_figures
from bench.trilithon import Trilithon

SECTIONS = ("change", "load", "throughput", "engine")
# The shortest interval between two changes that is worth configuring: below it nothing gets quicker.
THROTTLE = "1ms"
CACHE = Path(__file__).parent.parent / ".made" / "bench"
FAILED, LACKING = 1, 3


def main(arguments: Sequence[str]) -> int:
    """Measure what is asked for; 0, 1 when a measurement failed, 3 when a tool is missing."""
    options = _options(arguments)
    # A benchmark that is told to end must end its programs too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(FAILED))
    if options.again is not None:
        print(report(msgspec.json.decode(options.again.read_bytes(), type=Results)))
        return 0
    if "throughput" in options.only and (lack := throughput.missing_tools()):
        print(lack, file=sys.stderr)
        return LACKING
    began = dt.datetime.now(dt.UTC)
    try:
        results = _measured(options, began)
    except Fault as fault:
        print(f"bench: {fault}", file=sys.stderr)
        return FAILED
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / f"{began:%Y-%m-%dT%H%M%S}.json"
    file.write_bytes(msgspec.json.format(msgspec.json.encode(results)) + b"\n")
    print(report(results))
    if options.document is not None:
        document = options.document.read_text()
        options.document.write_text(with_figures(document, report(results)))
    say(f"written to {file}")
    return 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure Trilithon beside Traefik.")
    parser.add_argument("--only", type=_sections, default=SECTIONS, help=f"of {','.join(SECTIONS)}; default: all")
    parser.add_argument("--routes", type=_numbers, default=(100, 1000, 5000), help="numbers of routes for change")
    parser.add_argument("--engine-routes", type=_numbers, default=(1000, 10_000), help="numbers of routes for engine")
    parser.add_argument(
        "--turns", type=int, default=12, help="alternating turns of change; Trilithon has 3 changes in each"
    )
    parser.add_argument("--changes", type=int, default=200, help="changes under load")
    parser.add_argument("--layout", choices=("files", "file"), default="files", help="a file per route, or one file")
    parser.add_argument("--alone", action="store_true", help="Trilithon without its rival")
    parser.add_argument("--out", type=Path, default=Path("bench/results"), help="folder of the JSON file")
    parser.add_argument("--document", type=Path, help="a page whose figures are replaced by these")
    parser.add_argument("--again", type=Path, help="print what an earlier run's JSON file says, and measure nothing")
    return parser.parse_args(arguments)


def _sections(text: str) -> tuple[str, ...]:
    chosen = tuple(text.split(","))
    if unknown := set(chosen) - set(SECTIONS):
        raise argparse.ArgumentTypeError(f"there is no {', '.join(sorted(unknown))}; choose of {', '.join(SECTIONS)}")
    return chosen


def _numbers(text: str) -> tuple[int, ...]:
    numbers = tuple(int(number) for number in text.split(","))
    if min(numbers) < 10:
        raise argparse.ArgumentTypeError("10 routes is the least that says anything")
    return numbers


def _measured(options: argparse.Namespace, began: dt.datetime) -> Results:
    command = shlex.join(["python", "-m", "bench", *sys.argv[1:]])
    other_work = machine.OtherWork()
    facts = machine.facts() | machine.load_tools()
    results = Results(f"{began:%Y-%m-%d %H:%M} UTC", command, facts)
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        ours = partial(_start, Trilithon, options.layout)
        if options.only == ("engine",) or options.alone:
            makers: list[Callable[..., Contender]] = [ours]
            quick = makers
        else:
            binary = traefik.program(CACHE)
            as_it_comes = partial(_start, partial(traefik.Traefik, binary), options.layout)
            quickest = partial(_start, partial(traefik.Traefik, binary, throttle=THROTTLE), options.layout)
            makers, quick = [ours, as_it_comes, quickest], [ours, quickest]
        if "change" in options.only:
            found = change.measure(folder, options.routes, makers, options.turns)
            results = replace(results, change=tuple(found))
        if "load" in options.only:
            # At 2 seconds between changes, 200 of them say nothing more about errors.
            results = replace(results, load=tuple(load.measure(folder, quick, options.changes)))
        if "throughput" in options.only:
            # The interval between changes has no part in this.
            results = replace(results, throughput=tuple(throughput.measure(folder, makers[:2])))
    if "engine" in options.only:
        results = replace(results, engine=tuple(engine.measure(routes) for routes in options.engine_routes))
    return replace(results, machine={**facts, "other work": f"{other_work.share():.0%} of all CPU time during the run"})


def _start(
    kind: Callable[..., Contender], layout: str, folder: Path, backends: Backends, routes: int, cpus: str = "", **_: Any
) -> Contender:
    return kind(folder, backends, routes, layout=layout, cpus=cpus)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
