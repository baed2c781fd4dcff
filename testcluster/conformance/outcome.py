"""What came of each test of a run, of a run, and of several runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

import msgspec

from testcluster.conformance.catalogue import Catalogue, Level, Profile
from testcluster.conformance.rights import Rights


class Verdict(StrEnum):
    """What came of a test."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    """Left out on request, though its features are claimed."""
    UNCLAIMED = "not claimed"
    """It needs a feature that the implementation does not claim."""
    UNFINISHED = "unfinished"
    """The run ended before it did."""


BAD = frozenset({Verdict.FAILED, Verdict.UNFINISHED})
# From what hides no other to what hides all: of several runs, the worst counts.
SEVERITY = (Verdict.UNCLAIMED, Verdict.PASSED, Verdict.SKIPPED, Verdict.UNFINISHED, Verdict.FAILED)


class Failing(msgspec.Struct, frozen=True):
    """Where in a test it failed, and what the suite said."""

    where: str
    """The path of the part below the test; empty for the test itself."""
    lines: tuple[str, ...]


class Outcome(msgspec.Struct, frozen=True):
    """What came of a test in a run."""

    test: str
    verdict: Verdict
    seconds: float
    reason: str = ""
    """Why it was left out."""
    failings: tuple[Failing, ...] = ()


class Run(msgspec.Struct, frozen=True):
    """A run of the suite. ``status`` is the exit status of its program, the only thing that says whether it is good."""

    status: int
    seconds: float
    outcomes: tuple[Outcome, ...]
    setup: tuple[Failing, ...] = ()
    """What failed outside of the tests."""


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """The runs of an implementation, with all that is needed to read them: this is what ``results.json`` holds."""

    implementation: str
    version: str
    gateway_api: str
    channel: str
    kubernetes: str
    date: str
    features: tuple[str, ...]
    """What the implementation claims."""
    profiles: tuple[str, ...]
    is_part: bool
    """Whether tests were chosen by name, so that nothing is said about the whole."""
    catalogue: Catalogue
    runs: tuple[Run, ...]
    rights: Rights | None = None
    """What it may do in the cluster and what it did; None if it has no account of its own."""

    @property
    def good(self) -> bool:
        """Whether every run is, and the implementation has the rights that it needs."""
        return all(run.status == 0 for run in self.runs) and not (self.rights and self.rights.refused)

    def verdicts(self) -> dict[str, Verdict]:
        """The worst that came of each test."""
        return worst(self.runs)


class Tally(msgspec.Struct, frozen=True):
    """The tests of a profile at a level, by what came of them."""

    names: Mapping[Verdict, tuple[str, ...]]

    def count(self, verdict: Verdict) -> int:
        """How many came out so."""
        return len(self.names.get(verdict, ()))

    @property
    def asked(self) -> int:
        """How many were to be run: those whose features are claimed."""
        return sum(len(names) for verdict, names in self.names.items() if verdict is not Verdict.UNCLAIMED)


def worst(runs: Sequence[Run]) -> dict[str, Verdict]:
    """The worst verdict of each test in these runs; a test that one run lacks was not finished in it."""
    verdicts: dict[str, Verdict] = {}
    by_run = [{outcome.test: outcome.verdict for outcome in run.outcomes} for run in runs]
    for test in dict.fromkeys(name for run in by_run for name in run):
        found = [run.get(test, Verdict.UNFINISHED) for run in by_run]
        verdicts[test] = max(found, key=SEVERITY.index)
    return verdicts


def tally(verdicts: Mapping[str, Verdict], catalogue: Catalogue, profile: Profile, level: Level) -> Tally:
    """The tests that a profile counts at a level; those without a verdict are left out."""
    names: dict[Verdict, tuple[str, ...]] = {}
    for test in catalogue.tests:
        verdict = verdicts.get(test.name)
        if verdict is not None and profile.level(test) is level:
            names[verdict] = (*names.get(verdict, ()), test.name)
    return Tally(names)
