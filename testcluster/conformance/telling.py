"""What is printed about the runs of an implementation: a line per test, numbers per profile, why tests failed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from testcluster.conformance.catalogue import Catalogue, Level, Profile, SuiteTest
from testcluster.conformance.implementation import Published
from testcluster.conformance.outcome import BAD, Failing, Outcome, Results, Run, Tally, Verdict, tally


def told(results: Results) -> Iterator[str]:
    """All lines about the runs, the most important last."""
    yield from _tests(results)
    yield ""
    yield from _failures(results)
    yield from _rights(results)
    yield from _profiles(results)
    for number, run in enumerate(results.runs, 1):
        which = f"run {number} of {len(results.runs)}: " if len(results.runs) > 1 else ""
        ran = sum(outcome.verdict not in {Verdict.UNCLAIMED, Verdict.SKIPPED} for outcome in run.outcomes)
        yield f"{which}{ran} tests in {run.seconds:.0f} s; the suite's exit status is {run.status}"


def compared(results: Results, published: Mapping[str, Published]) -> list[str]:
    """In what the results differ from what was published; nothing if they are the same."""
    verdicts = results.verdicts()
    differences: list[str] = []
    for name, said in published.items():
        profile = results.catalogue.profile(name)
        core, extended = (tally(verdicts, results.catalogue, profile, level) for level in Level)
        pairs = (
            ("core tests passed", core.count(Verdict.PASSED), said.core),
            ("core tests skipped", core.count(Verdict.SKIPPED), said.core_skipped),
            ("extended tests passed", extended.count(Verdict.PASSED), said.extended),
        )
        differences.extend(
            f"{name}: {count} {what}, but {expected} were published"
            for what, count, expected in pairs
            if count != expected
        )
    return differences


def letters(test: SuiteTest, profiles: Iterable[Profile]) -> str:
    """How the profiles count a test: HTTP core, TLS extended."""
    levels = ((profile, profile.level(test)) for profile in profiles)
    return ", ".join(f"{short(profile)} {level}" for profile, level in levels if level)


def short(profile: Profile) -> str:
    """A profile's name without what all of them begin with."""
    return profile.name.removeprefix("GATEWAY-")


def numbers(found: Tally) -> str:
    """How many passed, failed and were skipped."""
    parts = [f"{found.count(Verdict.PASSED)} passed", f"{found.count(Verdict.FAILED)} failed"]
    parts.append(f"{found.count(Verdict.SKIPPED)} skipped")
    if unfinished := found.count(Verdict.UNFINISHED):
        parts.append(f"{unfinished} unfinished")
    return ", ".join(parts)


def claimed_features(results: Results, profile: Profile) -> tuple[int, int]:
    """How many of a profile's extended features are claimed, and how many there are, counted as reports count them."""
    extended = set(profile.extended)
    return len(extended & set(results.features)), len(extended)


def profiles_of(results: Results) -> tuple[Profile, ...]:
    """The profiles that were run."""
    return tuple(results.catalogue.profile(name) for name in results.profiles)


def _tests(results: Results) -> Iterator[str]:
    profiles = profiles_of(results)
    by_run = [{outcome.test: outcome for outcome in run.outcomes} for run in results.runs]
    rows = []
    for test in results.catalogue.tests:
        outcomes = [run[test.name] for run in by_run if test.name in run]
        if any(outcome.verdict is not Verdict.UNCLAIMED for outcome in outcomes):
            rows.append((test.name, _verdicts(outcomes), _seconds(outcomes), letters(test, profiles)))
    width = max((len(name) for name, *_ in rows), default=4)
    how = max((len(verdict) for _, verdict, *_ in rows), default=0)
    yield f"{'test':{width}}  {'':{how}}  {'seconds':>7}  counts in"
    for name, verdict, seconds, where in rows:
        yield f"{name:{width}}  {verdict:{how}}  {seconds:>7}  {where or '-'}"
    unclaimed = sum(verdict is Verdict.UNCLAIMED for verdict in results.verdicts().values())
    if unclaimed:
        yield f"({unclaimed} tests are not listed: they need a feature that {results.implementation} does not claim)"


def _verdicts(outcomes: list[Outcome]) -> str:
    bad = sum(outcome.verdict in BAD for outcome in outcomes)
    if bad and len(outcomes) > 1:
        return f"{Verdict.FAILED} {bad} of {len(outcomes)}"
    return str(outcomes[-1].verdict)


def _seconds(outcomes: list[Outcome]) -> str:
    return f"{max(outcome.seconds for outcome in outcomes):.1f}"


def _rights(results: Results) -> Iterator[str]:
    if results.rights is None:
        return
    if results.rights.refused:
        yield f"{results.implementation} was refused for lack of rights: {', '.join(results.rights.refused)}"
    if results.rights.unused and not results.is_part:
        yield f"rights of {results.implementation} that no test needed: {', '.join(results.rights.unused)}"
    yield ""


def _profiles(results: Results) -> Iterator[str]:
    verdicts = results.verdicts()
    for profile in profiles_of(results):
        for level in Level:
            found = tally(verdicts, results.catalogue, profile, level)
            line = f"{profile.name + ' ' + level:24} {numbers(found)}"
            if level is Level.EXTENDED:
                have, known = claimed_features(results, profile)
                line += f"; {have} of {known} features claimed"
            yield line
            for verdict in (Verdict.FAILED, Verdict.UNFINISHED, Verdict.SKIPPED):
                if names := found.names.get(verdict):
                    yield f"    {verdict}: {', '.join(names)}"
    uncounted = _uncounted(verdicts, results.catalogue, profiles_of(results))
    if uncounted:
        yield f"failed, and counted by none of these profiles: {', '.join(uncounted)}"


def _uncounted(verdicts: Mapping[str, Verdict], catalogue: Catalogue, profiles: tuple[Profile, ...]) -> list[str]:
    counted = {test.name for test in catalogue.counted(profiles)}
    return [name for name, verdict in verdicts.items() if verdict in BAD and name not in counted]


def _failures(results: Results) -> Iterator[str]:
    for number, run in enumerate(results.runs, 1):
        which = f" in run {number}" if len(results.runs) > 1 else ""
        for title, failings in _failed(run):
            yield f"{title}{which}:"
            for failing in failings:
                if failing.where:
                    yield f"  {failing.where}"
                yield from (f"    {line}" for line in failing.lines)
            yield ""


def _failed(run: Run) -> Iterator[tuple[str, tuple[Failing, ...]]]:
    if run.setup:
        yield "outside of the tests", run.setup
    for outcome in run.outcomes:
        if outcome.verdict in BAD:
            yield f"{outcome.test} {outcome.verdict}", outcome.failings
