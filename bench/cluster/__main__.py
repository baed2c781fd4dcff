"""`python -m bench.cluster`: progress on stderr, tables on stdout, everything as JSON into a file."""

from __future__ import annotations

import argparse
import datetime as dt
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from bench import machine
from bench.backend import Backends
from bench.cluster.contender import Contender, ItsTraefik, OurTrilithon
from bench.cluster.measure import Plan, measure
from bench.cluster.report import Results, report, with_figures
from bench.cluster.site import clear, site
from bench.figures import Fault
from bench.programs import say
from testcluster import ApiError, Cluster, Failure, namespaces
from testcluster.layout import NODE_ADDRESS

CLUSTER = "bench"
FAILED = 1
QUICK = Plan(edits=20, adds=6, moves=6, costed=2, change_seconds=8.0)
QUICK_IDLE_SECONDS = 5.0


def main(arguments: Sequence[str]) -> int:
    """Measure what is asked for; 0, or 1 when a measurement failed."""
    options = _options(arguments)
    # A benchmark that is told to end must take away what it made.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(FAILED))
    try:
        results = _again(options.again) if options.again is not None else _measured(options)
    except (Fault, Failure, ApiError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return FAILED
    if options.again is None:
        _keep(results, options.out)
    print(report(results))
    if options.document is not None:
        options.document.write_text(with_figures(options.document.read_text(), report(results)))
    return 0


def _again(file: Path) -> Results:
    return msgspec.json.decode(file.read_bytes(), type=Results)


def _keep(results: Results, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"cluster-{dt.datetime.now(dt.UTC):%Y-%m-%dT%H%M%S}.json"
    file.write_bytes(msgspec.json.format(msgspec.json.encode(results)) + b"\n")
    say(f"written to {file}")


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.cluster", description="Measure Trilithon beside Traefik in a test cluster of its own."
    )
    parser.add_argument("--routes", type=_numbers, default=None, help="numbers of routes; default: 100,1000,3000")
    parser.add_argument("--quick", action="store_true", help="100 routes and fewer changes: about two minutes")
    parser.add_argument("--alone", action="store_true", help="Trilithon without its rival")
    parser.add_argument("--idle", type=float, default=None, help="seconds to be watched at rest, at the first size")
    parser.add_argument("--keep", action="store_true", help="leave the cluster up for the next run")
    parser.add_argument("--out", type=Path, default=Path("bench/results"), help="folder of the JSON file")
    parser.add_argument("--document", type=Path, help="a page whose figures are replaced by these")
    parser.add_argument("--again", type=Path, help="tell what an earlier run's JSON file says, and measure nothing")
    return parser.parse_args(arguments)


def _numbers(text: str) -> tuple[int, ...]:
    numbers = tuple(int(number) for number in text.split(","))
    if min(numbers) < 10:
        raise argparse.ArgumentTypeError("10 routes is the least that says anything")
    return numbers


def _measured(options: argparse.Namespace) -> Results:
    sizes = options.routes or ((100,) if options.quick else (100, 1000, 3000))
    plan = QUICK if options.quick else Plan()
    idle = options.idle if options.idle is not None else QUICK_IDLE_SECONDS if options.quick else 60.0
    contenders: list[Contender] = [OurTrilithon()]
    if not options.alone:
        contenders += [ItsTraefik(), ItsTraefik("0s")]
    began = dt.datetime.now(dt.UTC)
    cluster = Cluster.up(CLUSTER, say=say)
    try:
        # Everything else is done on the node; what is started there stays there.
        with namespaces.entered(cluster.layout.hub), tempfile.TemporaryDirectory(prefix="bench-") as folder:
            for contender in contenders:
                clear(cluster, contender)
            time.sleep(2.0)
            before = machine.busy_share()
            figures = []
            with Backends(Path(folder), address=str(NODE_ADDRESS)) as backends:
                for size in sizes:
                    for contender in contenders:
                        # How it rests depends neither on how many routes there are nor on its throttle.
                        rests = size == sizes[0] and contender in contenders[:2]
                        with site(cluster, contender, backends, size) as made:
                            figures.append(measure(made, replace(plan, idle_seconds=idle if rests else 0.0)))
            after = machine.busy_share()
    finally:
        if not options.keep:
            cluster.down()
    return Results(
        began=f"{began:%Y-%m-%d %H:%M} UTC",
        command=shlex.join(["python", "-m", "bench.cluster", *sys.argv[1:]]),
        machine=machine.facts() | {"busy before and after": f"{before:.0%} and {after:.0%} of all CPU time"},
        figures=tuple(figures),
        minutes=(dt.datetime.now(dt.UTC) - began).total_seconds() / 60,
        idle_seconds=idle,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
