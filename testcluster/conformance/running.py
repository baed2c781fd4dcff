"""One run of the suite: its program in the hub, its output kept and told as it comes."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from testcluster.cluster import Cluster
from testcluster.conformance.catalogue import Catalogue
from testcluster.conformance.outcome import Outcome, Run, Verdict
from testcluster.conformance.output import ROOT, Transcript
from testcluster.failure import Failure
from testcluster.hub import command_in_hub, environment
from testcluster.layout import BALANCER_NETWORK

PROGRAM: Final = "conformance.test"
CATALOGUE: Final = "CONFORMANCE_CATALOGUE"
"""The variable that names the file which the program's other test writes the catalogue to."""
TIME_LIMIT: Final = "60m"
PARALLEL: Final = 4
"""How many of the tests that allow it run at once."""
PATIENCE: Final = 20.0
"""Seconds of preparation after which it is told what is waited for."""
USABLE_ADDRESS: Final = BALANCER_NETWORK.broadcast_address - 1
"""For GatewayStaticAddresses: the last of the pool, which others would get long after this run."""
UNUSABLE_ADDRESS: Final = "198.51.100.7"
"""Outside of the pool, in a network that is kept for documentation."""
OUTPUT: Final = "output.log"
REPORT: Final = "report.yaml"
REMAINS: Final = "gateway-conformance-"
"""What the names of the suite's namespaces begin with."""
REMAINS_SECONDS: Final = 120.0

Say = Callable[[str], None]


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What to run."""

    gateway_class: str
    profiles: tuple[str, ...]
    tests: tuple[str, ...] = ()
    """Only these; empty: all."""
    features: tuple[str, ...] = ()
    """What to take for claimed, whatever the GatewayClass says; empty: what it says."""
    left_out: tuple[str, ...] = ()
    """Tests to skip."""
    implementation: Mapping[str, str] = {}
    """The report's fields about the implementation; without them there is no report."""

    def arguments(self, report: Path) -> list[str]:
        """The program's arguments."""
        chosen = f"/^({'|'.join(self.tests)})$" if self.tests else ""
        arguments = [
            "-test.v=test2json",
            f"-test.run=^{ROOT}${chosen}",
            f"-test.timeout={TIME_LIMIT}",
            f"-test.parallel={PARALLEL}",
            f"--gateway-class={self.gateway_class}",
            f"--conformance-profiles={','.join(self.profiles)}",
            f"--usable-address={USABLE_ADDRESS}",
            f"--unusable-address={UNUSABLE_ADDRESS}",
        ]
        if self.features:
            arguments.append(f"--supported-features={','.join(sorted(self.features))}")
        if self.left_out:
            arguments.append(f"--skip-tests={','.join(self.left_out)}")
        if self.implementation:
            arguments.append(f"--report-output={report}")
            arguments.extend(f"--{name}={value}" for name, value in self.implementation.items())
        return arguments


def catalogue(cluster: Cluster) -> Catalogue:
    """What the suite has, asked of its program."""
    path = cluster.layout.state / "conformance-catalogue.json"
    program = cluster.layout.bin / PROGRAM
    subprocess.run(
        [program, "-test.run=^TestCatalogue$"],
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, CATALOGUE: str(path)},
    )
    return Catalogue.read(path)


def run(cluster: Cluster, order: Order, folder: Path, say: Say) -> Run:
    """Run the suite and tell each test as it ends. Its output and its report are left in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    report = (folder / REPORT).absolute()
    report.unlink(missing_ok=True)
    clear_away(cluster, say)
    transcript = Transcript()
    begun = time.monotonic()
    command = [str(cluster.layout.bin / PROGRAM), *order.arguments(report)]
    with (
        (folder / OUTPUT).open("w", encoding="utf-8") as log,
        subprocess.Popen(
            command_in_hub(cluster.layout, command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=environment(cluster.layout),
            start_new_session=True,
        ) as process,
    ):
        try:
            _follow(process.stdout or (), log.write, transcript, begun, say)
            status = process.wait()
        except BaseException:
            # It has a session of its own, so an interrupt from the terminal does not reach it.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    seconds = time.monotonic() - begun
    outcomes = transcript.finish(time.monotonic())
    return Run(status, seconds, outcomes, tuple(transcript.setup))


def _follow(
    lines: Iterable[str], keep: Callable[[str], object], transcript: Transcript, begun: float, say: Say
) -> None:
    told = begun
    for line in lines:
        keep(line)
        now = time.monotonic()
        if outcome := transcript.take(line, now):
            if outcome.verdict not in {Verdict.UNCLAIMED, Verdict.SKIPPED}:
                say(_told(outcome, now - begun))
        elif not transcript.has_begun and now - told > PATIENCE:
            told = now
            say(f"{now - begun:7.1f} s  still preparing: {transcript.waiting_for}")


def _told(outcome: Outcome, elapsed: float) -> str:
    return f"{elapsed:7.1f} s  {outcome.verdict:10} {outcome.test} ({outcome.seconds:.1f} s)"


def clear_away(cluster: Cluster, say: Say) -> None:
    """Have the namespaces of an earlier run gone: the suite does not wait for that, and fails in those that go."""

    def remaining() -> list[str]:
        listed = cluster.get("/api/v1/namespaces")["items"]
        return [
            item["metadata"]["name"]
            for item in listed
            if item["metadata"]["name"].startswith(REMAINS) or item["metadata"].get("deletionTimestamp")
        ]

    found = remaining()
    if not found:
        return
    say(f"waiting until what an earlier run left is gone: {', '.join(found)}")
    for name in found:
        cluster.api.delete(f"/api/v1/namespaces/{name}")
    deadline = time.monotonic() + REMAINS_SECONDS
    while left := remaining():
        if time.monotonic() > deadline:
            raise Failure(
                f"The namespaces {', '.join(left)} of an earlier run do not go. Begin anew: make cluster-down"
            )
        time.sleep(0.2)
