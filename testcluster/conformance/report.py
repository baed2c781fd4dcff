"""The report that the suite writes, with what it says about tests that ran in parallel put right.

Version 1.6.1 notes such a test as passed before it ran and writes the report before it ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from testcluster.conformance.catalogue import Catalogue, Level
from testcluster.conformance.outcome import BAD, Verdict, tally


def correct(path: Path, verdicts: Mapping[str, Verdict], catalogue: Catalogue) -> None:
    """Put a report right; nothing happens if there is none."""
    if path.exists():
        report = yaml.safe_load(path.read_text(encoding="utf-8"))
        path.write_text(yaml.safe_dump(corrected(report, verdicts, catalogue), sort_keys=False), encoding="utf-8")


def corrected(report: dict[str, Any], verdicts: Mapping[str, Verdict], catalogue: Catalogue) -> dict[str, Any]:
    """The report with the numbers, names and results that the verdicts give."""
    profiles = [_profile(one, verdicts, catalogue) for one in report.get("profiles", ())]
    fixed = {**report, "profiles": sorted(profiles, key=lambda one: str(one["name"]))}
    passed = [
        name
        for name in report.get("succeededProvisionalTests", ())
        if verdicts.get(name, Verdict.PASSED) is Verdict.PASSED
    ]
    return {**fixed, "succeededProvisionalTests": passed} if passed else _without(fixed, "succeededProvisionalTests")


def _profile(said: dict[str, Any], verdicts: Mapping[str, Verdict], catalogue: Catalogue) -> dict[str, Any]:
    profile = catalogue.profile(said["name"])
    levels = {}
    for level in Level:
        if level in said:
            found = tally(verdicts, catalogue, profile, level)
            failed = tuple(name for verdict in BAD for name in found.names.get(verdict, ()))
            skipped = found.names.get(Verdict.SKIPPED, ())
            levels[level.value] = _status(said[level], found.count(Verdict.PASSED), failed, skipped)
    summary = ". ".join(f"{name.capitalize()} tests {_summary(status)}" for name, status in levels.items())
    return {**said, **levels, "summary": f"{summary}."}


def _status(said: dict[str, Any], passed: int, failed: tuple[str, ...], skipped: tuple[str, ...]) -> dict[str, Any]:
    result = "failure" if failed else "partial" if skipped else "success"
    fixed = _without(said, "failedTests", "skippedTests", "result", "statistics")
    return {
        "result": result,
        "statistics": {"Failed": len(failed), "Passed": passed, "Skipped": len(skipped)},
        **({"failedTests": sorted(failed)} if failed else {}),
        **({"skippedTests": sorted(skipped)} if skipped else {}),
        **fixed,
    }


def _summary(status: dict[str, Any]) -> str:
    numbers = status["statistics"]
    match status["result"]:
        case "failure":
            return f"failed with {numbers['Failed']} test failures"
        case "partial":
            return f"partially succeeded with {numbers['Skipped']} test skips"
        case _:
            return "succeeded"


def _without(mapping: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in mapping.items() if name not in names}
