"""The results of several implementations side by side, as the marked part of a Markdown page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from testcluster.conformance.catalogue import Catalogue, Level, Profile
from testcluster.conformance.outcome import Results, Verdict, tally
from testcluster.conformance.telling import claimed_features, letters, profiles_of, short
from testcluster.failure import Failure

BEGIN: Final = "<!-- results: written by python -m testcluster conformance --document -->"
END: Final = "<!-- /results -->"
NOTHING: Final = "-"
CELLS: Final = {
    Verdict.PASSED: "passed",
    Verdict.FAILED: "**failed**",
    Verdict.UNFINISHED: "**failed**",
    Verdict.SKIPPED: "skipped",
    Verdict.UNCLAIMED: NOTHING,
}


def update(path: Path, results: Sequence[Results]) -> None:
    """Write the results into the marked part of a page. Failure if it has none."""
    text = path.read_text(encoding="utf-8")
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise Failure(f"{path} has no part between {BEGIN} and {END}")
    body = "\n".join(written(results))
    path.write_text(f"{head}{BEGIN}\n{body}\n{END}{tail}", encoding="utf-8")


def written(results: Sequence[Results]) -> Iterator[str]:
    """The lines of that part."""
    names = [f"{one.implementation} {one.version}" for one in results]
    yield from _about(results)
    yield ""
    yield "### By profile"
    yield ""
    yield from _table(["profile", *names], _profile_rows(results))
    yield ""
    yield "### By test"
    yield ""
    catalogue, profiles = results[0].catalogue, _profiles(results)
    yield f"Tests that none of these claims are not listed. `{NOTHING}`: it needs a feature that is not claimed;"
    yield "skipped: it was left out on request, though its features are claimed."
    yield ""
    yield from _table(["test", "counts in", *names], _test_rows(results, catalogue, profiles))


def _about(results: Sequence[Results]) -> Iterator[str]:
    first = results[0]
    yield (
        f"The suite of Gateway API {first.gateway_api}, {first.channel} channel, in the test cluster "
        f"(Kubernetes {first.kubernetes})."
    )
    yield ""
    for one in results:
        count = len(one.runs)
        times = ", ".join(f"{run.seconds:.0f} s" for run in one.runs)
        runs = "one run" if count == 1 else f"{count} runs in a row"
        yield f"* {one.implementation} {one.version}: {runs} on {one.date}, {times}."


def _profiles(results: Sequence[Results]) -> tuple[Profile, ...]:
    wanted = {profile.name for one in results for profile in profiles_of(one)}
    return tuple(profile for profile in results[0].catalogue.profiles if profile.name in wanted)


def _profile_rows(results: Sequence[Results]) -> Iterator[list[str]]:
    for profile in _profiles(results):
        for level in Level:
            yield [f"{short(profile)} {level}", *(_profile_cell(one, profile, level) for one in results)]
        yield [f"{short(profile)} features", *(_feature_cell(one, profile) for one in results)]


def _profile_cell(results: Results, profile: Profile, level: Level) -> str:
    if profile.name not in results.profiles:
        return NOTHING
    found = tally(results.verdicts(), results.catalogue, profile, level)
    failed = found.count(Verdict.FAILED) + found.count(Verdict.UNFINISHED)
    parts = [f"{found.count(Verdict.PASSED)} of {found.asked} passed"]
    if failed:
        parts.append(f"**{failed} failed**")
    if skipped := found.count(Verdict.SKIPPED):
        parts.append(f"{skipped} skipped")
    return ", ".join(parts)


def _feature_cell(results: Results, profile: Profile) -> str:
    if profile.name not in results.profiles:
        return NOTHING
    have, known = claimed_features(results, profile)
    return f"{have} of {known} extended"


def _test_rows(results: Sequence[Results], catalogue: Catalogue, profiles: tuple[Profile, ...]) -> Iterator[list[str]]:
    verdicts = [one.verdicts() for one in results]
    for test in sorted(catalogue.tests, key=lambda test: test.name):
        found = [known.get(test.name, Verdict.UNCLAIMED) for known in verdicts]
        if any(verdict is not Verdict.UNCLAIMED for verdict in found):
            yield [test.name, letters(test, profiles) or NOTHING, *(CELLS[verdict] for verdict in found)]


def _table(head: list[str], rows: Iterator[list[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
