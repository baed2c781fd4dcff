"""``python -m testcluster conformance``."""

from __future__ import annotations

import shutil
import signal
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from testcluster.cluster import Cluster
from testcluster.conformance import document, running, telling
from testcluster.conformance.catalogue import Catalogue, Profile
from testcluster.conformance.implementation import Implementation, wait_claims, write_logs
from testcluster.conformance.outcome import Results, Run
from testcluster.conformance.report import correct
from testcluster.conformance.rights import accounted
from testcluster.conformance.running import OUTPUT, REPORT, Order
from testcluster.conformance.traefik import Traefik
from testcluster.conformance.trilithon import MODES, Trilithon
from testcluster.failure import Failure
from testcluster.layout import ROOT, Layout
from testcluster.versions import GATEWAY_API, KUBERNETES, TRAEFIK

FOLDER: Final = ROOT / ".made" / "conformance"
CHANNEL: Final = "experimental"
PART: Final = "-part"
"""Added to the folder's name for a run of chosen tests, so that it does not pass for the whole."""
RESULTS: Final = "results.json"
GATEWAY_PROFILES: Final = "GATEWAY-"
"""What the names of profiles begin with whose features a GatewayClass claims."""


class Wanted(msgspec.Struct, frozen=True):
    """What was asked for."""

    implementation: Implementation
    profiles: tuple[str, ...]
    tests: tuple[str, ...]
    times: int
    folder: Path


def _listed(_: click.Context, __: click.Parameter, text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


@click.command()
@click.option("--implementation", "name", type=click.Choice(["trilithon", "traefik"]), default="trilithon")
@click.option("--infrastructure", type=click.Choice(MODES), default=MODES[0], help="What runs Trilithon's Envoys.")
@click.option("--traefik-version", type=click.Choice(TRAEFIK), default=TRAEFIK[0], show_default=True)
@click.option("--profiles", default="", callback=_listed, help="Only these (A,B); else all whose core is claimed.")
@click.option("--run", "tests", default="", callback=_listed, help="Only these tests (A,B*), be they claimed or not.")
@click.option("--times", type=click.IntRange(min=1), default=1, help="So many runs in a row, judged together.")
@click.option("--out", type=click.Path(path_type=Path), help="The folder for logs, report and results.")
@click.option("--document", "page", type=click.Path(path_type=Path), help="Run nothing: write the last results here.")
@click.pass_obj
def conformance(layout: Layout, /, name: str, infrastructure: str, traefik_version: str, **options: Any) -> None:
    """Run the official Gateway API conformance suite.

    The exit status is 0 if the suite's own is, in every run, and if an implementation with published results got them.
    """
    if page := options["page"]:
        document.update(page, last_results())
        return
    implementation: Implementation = Traefik(traefik_version) if name == "traefik" else Trilithon(infrastructure)
    # So that what was started ends with this, and is not left behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    tests = options["tests"]
    folder = options["out"] or FOLDER / (implementation.label + (PART if tests else ""))
    wanted = Wanted(implementation, options["profiles"], tests, options["times"], folder)
    cluster = Cluster.up(layout.name, CHANNEL, click.echo)
    results = run_all(cluster, wanted)
    for line in telling.told(results):
        click.echo(line)
    click.echo(f"logs, report and results are in {wanted.folder}")
    differences = [] if tests or wanted.profiles else telling.compared(results, implementation.published)
    for difference in differences:
        click.echo(f"not as {implementation.name} {implementation.version} published it: {difference}")
    if implementation.published and not differences and not tests and not wanted.profiles:
        click.echo(f"the same as {implementation.name} {implementation.version} published")
    if differences or not results.good:
        raise SystemExit(1)


def run_all(cluster: Cluster, wanted: Wanted) -> Results:
    """Install the implementation, and nothing else, and run the suite so many times. Files are left in the folder."""
    implementation = wanted.implementation
    running.clear_away(cluster, click.echo)
    for other in (Trilithon(), *(Traefik(version) for version in TRAEFIK)):
        other.remove(cluster)
    mark = cluster.audit.mark()
    implementation.install(cluster, click.echo)
    features = wait_claims(cluster, implementation)
    catalogue = running.catalogue(cluster)
    profiles = chosen_profiles(catalogue, wanted, features)
    order = order_of(wanted, catalogue, profiles, features)
    version = implementation.version
    click.echo(f"{implementation.name} {version} claims {len(features)} features: {', '.join(order.profiles)}")
    _remove_earlier(wanted.folder)
    runs: list[Run] = []
    for number in range(1, wanted.times + 1):
        folder = wanted.folder / f"run-{number}"
        runs.append(running.run(cluster, order, folder, click.echo))
        write_logs(cluster, implementation, folder)
    results = Results(
        implementation=implementation.name,
        version=version,
        gateway_api=GATEWAY_API,
        channel=CHANNEL,
        kubernetes=KUBERNETES,
        date=datetime.now(UTC).date().isoformat(),
        features=features,
        profiles=order.profiles,
        is_part=bool(wanted.tests),
        catalogue=catalogue,
        runs=tuple(runs),
        rights=accounted(cluster, implementation.namespace, mark) if implementation.has_account else None,
    )
    (wanted.folder / RESULTS).write_bytes(msgspec.json.format(msgspec.json.encode(results)))
    _keep_report(wanted.folder, results)
    return results


def chosen_profiles(catalogue: Catalogue, wanted: Wanted, features: tuple[str, ...]) -> tuple[Profile, ...]:
    """The profiles that were asked for, else those that count a test that was, else all of Gateways that are claimed.

    Claimed is one whose core features all are. Failure if there are none.
    """
    if wanted.profiles:
        return tuple(catalogue.profile(name) for name in wanted.profiles)
    if wanted.tests:
        named = catalogue.named(wanted.tests)
        return tuple(one for one in catalogue.profiles if any(one.level(test) for test in named))
    found = tuple(one for one in catalogue.claimed(features) if one.name.startswith(GATEWAY_PROFILES))
    if not found:
        raise Failure("No profile's core features are all claimed: choose one (--profiles GATEWAY-HTTP).")
    return found


def order_of(wanted: Wanted, catalogue: Catalogue, profiles: tuple[Profile, ...], features: tuple[str, ...]) -> Order:
    """What the suite is told to run. Chosen tests are run though what they need is not claimed, and not reported."""
    tests: tuple[str, ...] = ()
    if wanted.tests:
        named = catalogue.named(wanted.tests)
        tests = tuple(test.name for test in named)
        features = (*features, *(feature for test in named for feature in test.features))
    elif wanted.profiles:
        # Left to itself the suite runs all that is claimed, and its exit status includes it.
        tests = tuple(test.name for test in catalogue.counted(profiles))
    return Order(
        gateway_class=wanted.implementation.gateway_class,
        profiles=tuple(profile.name for profile in profiles),
        tests=tests,
        features=tuple(sorted(set(features))) if wanted.tests else (),
        left_out=() if wanted.tests else wanted.implementation.left_out,
        implementation={} if wanted.tests else wanted.implementation.report_fields,
    )


def last_results() -> list[Results]:
    """The last complete results of each implementation, ours first. Failure if there are none."""
    labels = [Trilithon().label, *(Traefik(version).label for version in TRAEFIK)]
    found = list(_read(FOLDER / label / RESULTS for label in labels))
    if not found:
        raise Failure("There are no results yet: make conformance")
    return found


def _read(paths: Iterator[Path]) -> Iterator[Results]:
    for path in paths:
        if path.exists():
            yield msgspec.json.decode(path.read_bytes(), type=Results)


def _remove_earlier(folder: Path) -> None:
    """Remove what an earlier command left in the folder, and nothing else: it may be anybody's."""
    for path in (folder / RESULTS, folder / REPORT):
        path.unlink(missing_ok=True)
    for path in folder.glob("run-*"):
        if (path / OUTPUT).exists():
            shutil.rmtree(path)


def _keep_report(folder: Path, results: Results) -> None:
    """Put the reports right, and file that of the worst run as the report of all."""
    for number, run in enumerate(results.runs, 1):
        verdicts = {outcome.test: outcome.verdict for outcome in run.outcomes}
        correct(folder / f"run-{number}" / REPORT, verdicts, results.catalogue)
    worst = max(range(len(results.runs)), key=lambda index: results.runs[index].status)
    report = folder / f"run-{worst + 1}" / REPORT
    if report.exists():
        shutil.copyfile(report, folder / REPORT)
