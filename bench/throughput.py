"""Requests per second and their latency, at full load, with one core for the gateway."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from msgspec import Struct

from bench.backend import Backends
from bench.client import Client
from bench.contender import Contender, host
from bench.figures import Fault
from bench.programs import cpu_seconds, say

PinnedMake = Callable[[Path, Backends, int, str], Contender]

SIZES = (1, 1000)
ROUNDS = 3
SECONDS = 5
WARM_SECONDS = 1
CONNECTIONS = 64
HTTP2_CLIENTS = 16
HTTP2_STREAMS = 4
# A sample is limited by the client and the backend, not by the gateway, above this share of what they do alone.
CEILING_SHARE = 0.85

TOOLS = {"wrk": "wrk", "h2load": "nghttp2-client", "taskset": "util-linux"}

_MILLISECONDS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


class Sample(Struct, frozen=True):
    """One run of a load tool; latencies in milliseconds, None where the tool has no such figure."""

    per_second: float
    p50: float | None
    p99: float | None
    failures: int


class ThroughputFigures(Struct, frozen=True):
    """Medians of the rounds; ``is_limited`` where the client and the backend could hardly do more.

    ``per_cpu_second`` is requests per second of CPU time that the gateway used: other work on the machine hardly
    changes it.
    """

    contender: str
    routes: int
    protocol: str
    per_second: float
    per_cpu_second: float
    p50: float | None
    p99: float | None
    failures: int
    is_limited: bool


def missing_tools() -> str:
    """How to install what is missing, in one line; "" when everything is there."""
    packages = [package for tool, package in TOOLS.items() if shutil.which(tool) is None]
    return f"missing load tools; install them with: apt-get install {' '.join(packages)}" if packages else ""


def cpus() -> tuple[str, str]:
    """The CPUs for the gateway and for the client with the backend; "" where there are too few to pin."""
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        return "", ""
    return str(usable[0]), ",".join(map(str, usable[1:3]))


def measure(folder: Path, makers: Sequence[PinnedMake]) -> list[ThroughputFigures]:
    """All gateways at each size, in alternating rounds."""
    gateway_cpu, client_cpu = cpus()
    figures: list[ThroughputFigures] = []
    for size in SIZES:
        with ExitStack() as running:
            place = folder / f"throughput-{size}"
            place.mkdir()
            backends = running.enter_context(Backends(place, cpus=client_cpu))
            contenders = [
                running.enter_context(make(place / str(at), backends, size, gateway_cpu))
                for at, make in enumerate(makers)
            ]
            for contender in contenders:
                _must_route(contender, size)
            ceiling = wrk(backends.ports[0], "direct.example.com", SECONDS, client_cpu).per_second
            say(f"client and backend alone: {ceiling:,.0f} requests/s")
            last = host(size - 1)
            figures += _rounds(contenders, size, "HTTP/1.1", ceiling, lambda port, s: wrk(port, last, s, client_cpu))  # noqa: B023
            figures += _rounds(contenders, size, "HTTP/2", ceiling, lambda port, s: h2load(port, last, s, client_cpu))  # noqa: B023
    return figures


def _must_route(contender: Contender, size: int) -> None:
    """Fault unless exactly the hosts that have routes are served."""
    client = Client(contender.port)
    found = [client.get(name).status for name in (host(0), host(size - 1), host(size))]
    client.close()
    if found != [200, 200, 404]:
        raise Fault(f"{contender.name} with {size} routes answers {found} where 200, 200, 404 are right")


def _rounds(
    contenders: Sequence[Contender], size: int, protocol: str, ceiling: float, run: Callable[[int, int], Sample]
) -> list[ThroughputFigures]:
    samples: dict[str, list[Sample]] = {contender.name: [] for contender in contenders}
    costs: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    for contender in contenders:
        run(contender.port, WARM_SECONDS)
    for _ in range(ROUNDS):
        for contender in contenders:
            pids = [*contender.control_pids, *contender.proxy_pids]
            before = cpu_seconds(pids)
            sample = run(contender.port, SECONDS)
            samples[contender.name].append(sample)
            costs[contender.name].append(sample.per_second * SECONDS / (cpu_seconds(pids) - before))
    figures = []
    for name, found in samples.items():
        per_second = median(sample.per_second for sample in found)
        p50s = [sample.p50 for sample in found if sample.p50 is not None]
        p99s = [sample.p99 for sample in found if sample.p99 is not None]
        failures = sum(sample.failures for sample in found)
        say(f"{protocol}, {size} routes: {name}: {per_second:,.0f} requests/s, {failures} failures")
        figures.append(
            ThroughputFigures(
                contender=name,
                routes=size,
                protocol=protocol,
                per_second=per_second,
                per_cpu_second=median(costs[name]),
                p50=median(p50s) if p50s else None,
                p99=median(p99s) if p99s else None,
                failures=failures,
                is_limited=protocol == "HTTP/1.1" and per_second > CEILING_SHARE * ceiling,
            )
        )
    return figures


def wrk(port: int, hostname: str, seconds: int, cpu: str) -> Sample:
    """HTTP/1.1 with kept connections, as fast as it goes."""
    arguments = ["-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "-H", f"Host: {hostname}"]
    return read_wrk(_run(["wrk", *arguments, f"http://127.0.0.1:{port}/"], seconds, cpu))


def read_wrk(said: str) -> Sample:
    """What wrk's output says."""
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    if rate is None:
        raise Fault(f"wrk said no rate: {said[-300:]}")
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", said)
    failures = (int(bad[1]) if bad else 0) + sum(map(int, broken.groups() if broken else ()))
    return Sample(
        per_second=float(rate[1]),
        p50=_latency(said, "50%"),
        p99=_latency(said, "99%"),
        failures=failures,
    )


def _latency(said: str, share: str) -> float | None:
    found = re.search(rf"^\s+{share}\s+([\d.]+)(us|ms|s|m)$", said, re.MULTILINE)
    return float(found[1]) * _MILLISECONDS[found[2]] if found else None


def h2load(port: int, hostname: str, seconds: int, cpu: str) -> Sample:
    """HTTP/2 without TLS, several streams on each connection."""
    arguments = [f"-c{HTTP2_CLIENTS}", f"-m{HTTP2_STREAMS}", f"-D{seconds}", f"--connect-to=127.0.0.1:{port}"]
    return read_h2load(_run(["h2load", *arguments, f"http://{hostname}/"], seconds, cpu))


def read_h2load(said: str) -> Sample:
    """What h2load's output says; it has no percentiles."""
    rate = re.search(r"finished in [\d.]+\w+, ([\d.]+) req/s", said)
    bad = re.search(r"status codes: \d+ 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", said)
    failed = re.search(r"requests: .* (\d+) failed", said)
    if rate is None or bad is None or failed is None:
        raise Fault(f"h2load said no rate: {said[-300:]}")
    return Sample(float(rate[1]), None, None, sum(map(int, bad.groups())) + int(failed[1]))


def _run(command: Sequence[str], seconds: int, cpu: str) -> str:
    pinned = [*(["taskset", "-c", cpu] if cpu else []), *command]
    try:
        return subprocess.run(pinned, capture_output=True, text=True, check=True, timeout=seconds + 30).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise Fault(f"{command[0]} failed: {error}") from error
