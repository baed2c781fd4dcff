"""The engine by itself: what a change costs with many routes in memory, without files, Envoy or a proxy.

`python -m bench.engine ROUTES` prints the figures as JSON: a process of its own, so that memory can be told apart.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from bench.contender import backends_for
from bench.figures import Fault, Spread, spread
from bench.programs import MIB, resident_mib, say
from bench.trilithon import fixed_files, routes_file
from trilithon.incremental import Engine
from trilithon.model.settings import Settings
from trilithon.pipeline import acknowledged, build, edits
from trilithon.resources.meta import Key
from trilithon.sources.folder.files import FileSource

SAMPLES = 100
SECONDS = 600


class EditFigures(Struct, frozen=True):
    """A sort of change: milliseconds and rows recomputed, of single changes."""

    change: str
    milliseconds: Spread
    rows: Spread


class EngineFigures(Struct, frozen=True):
    """``read`` is from files to typed resources, ``rebuild`` from those to everything Envoy is sent, in seconds.

    Memory in KiB per route: of the resources, and of all that is computed from them.
    """

    routes: int
    read_seconds: float
    rebuild_seconds: float
    resources_kib: float
    derived_kib: float
    edits: tuple[EditFigures, ...]


def measure(routes: int) -> EngineFigures:
    """In a new process."""
    say(f"engine: {routes} routes")
    try:
        done = subprocess.run(
            [sys.executable, "-m", "bench.engine", str(routes)],
            stdout=subprocess.PIPE,
            check=True,
            timeout=SECONDS,
            cwd=Path(__file__).parent.parent,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise Fault(f"the engine by itself failed: {error}") from error
    return msgspec.json.decode(done.stdout, type=EngineFigures)


def read_resources(routes: int) -> Mapping[Key, Any]:
    """The resources of so many routes, read from files as `run` reads them."""
    backends = backends_for(routes)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, text in fixed_files(8080, [9000] * backends).items():
            (folder / file).write_text(text)
        for route in range(routes):
            (folder / f"r{route:05d}.yaml").write_text(routes_file([(route, route % backends)]))
        change = FileSource([folder]).load()
    if change.problems:
        raise Fault(f"the benchmark's own files have problems: {change.problems[0]}")
    return change.upserts


def changed(route: Any, *, hostname: str = "", backend: str = "", name: str = "") -> Any:
    """The route with another hostname, backend or name."""
    spec = route.spec
    if hostname:
        spec = replace(spec, hostnames=(hostname,))
    if backend:
        rule = spec.rules[0]
        ref = replace(rule.backend_refs[0], name=backend)
        spec = replace(spec, rules=(replace(rule, backend_refs=(ref,)),))
    key = Key(route.key.kind, route.key.namespace, name) if name else route.key
    return replace(route, key=key, spec=spec)


def sorts_of_change(resources: Mapping[Key, Any]) -> dict[str, Callable[[int], Any]]:
    """Each sort of change: from a number to the resource that comes, or the key that goes."""
    routes = [each for key, each in resources.items() if key.kind == "HTTPRoute"]
    backends = [each for key, each in resources.items() if key.kind == "Backend"]

    def other_address(number: int) -> Any:
        ip = replace(backends[number].spec.endpoints[0].ip, port=9500)
        endpoint = replace(backends[number].spec.endpoints[0], ip=ip)
        return replace(backends[number], spec=replace(backends[number].spec, endpoints=(endpoint,)))

    return {
        "a route's backend": lambda at: changed(
            routes[at * 7], backend=backends[(at * 7 + 1) % len(backends)].key.name
        ),
        "a route's hostname": lambda at: changed(routes[at * 7 + 1], hostname=f"other{at}.example.com"),
        "a new route": lambda at: changed(routes[at * 7 + 2], name=f"new{at}", hostname=f"new{at}.example.com"),
        "a route is removed": lambda at: routes[at * 7 + 3].key,
        "a backend's address": other_address,
    }


def built(resources: Mapping[Key, Any]) -> Engine:
    """A settled engine over the resources, acknowledged by its Envoy."""
    engine = build(Settings())
    engine.apply(edits(resources.values()))
    engine.apply(acknowledged(engine))
    return engine


def single_edits(engine: Engine, resources: Mapping[Key, Any], samples: int) -> tuple[EditFigures, ...]:
    """So many changes of each sort, one at a time."""
    figures = []
    for name, change in sorts_of_change(resources).items():
        times, rows = [], []
        for number in range(samples):
            coming = change(number)
            edit = edits([], [coming]) if isinstance(coming, Key) else edits([coming])
            started = time.perf_counter()
            changes = engine.apply(edit)
            times.append((time.perf_counter() - started) * 1000)
            rows.append(changes.recomputed)
        figures.append(EditFigures(name, spread(times), spread(rows)))
    return tuple(figures)


def _measure_here(routes: int) -> EngineFigures:
    sizes = [_resident()]
    started = time.perf_counter()
    resources = read_resources(routes)
    read = time.perf_counter() - started
    sizes.append(_resident())
    started = time.perf_counter()
    engine = built(resources)
    rebuilt = time.perf_counter() - started
    sizes.append(_resident())
    if engine.faults:
        raise Fault(f"the engine has faults: {next(iter(engine.faults.values()))}")
    # As the controller does once everything is there.
    gc.freeze()
    per_route = MIB / 1024 / routes
    return EngineFigures(
        routes=routes,
        read_seconds=read,
        rebuild_seconds=rebuilt,
        resources_kib=(sizes[1] - sizes[0]) * per_route,
        derived_kib=(sizes[2] - sizes[1]) * per_route,
        edits=single_edits(engine, resources, min(SAMPLES, routes // 10)),
    )


def _resident() -> float:
    gc.collect()
    return resident_mib([os.getpid()])


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(_measure_here(int(sys.argv[1]))))
