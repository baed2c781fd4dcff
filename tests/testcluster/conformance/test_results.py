"""What is said about runs: tallies, tables, the report put right, the page."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testcluster.conformance import document, telling
from testcluster.conformance.catalogue import Catalogue, Level, Profile, SuiteTest
from testcluster.conformance.command import Wanted, chosen_profiles, order_of
from testcluster.conformance.implementation import Published
from testcluster.conformance.outcome import SEVERITY, Failing, Outcome, Results, Run, Verdict, tally, worst
from testcluster.conformance.report import corrected
from testcluster.conformance.running import Order
from testcluster.conformance.traefik import Traefik
from testcluster.failure import Failure

HTTP = Profile("GATEWAY-HTTP", ("Gateway", "HTTPRoute"), ("HTTPRoute", "Retry", "CORS"))
TLS = Profile("GATEWAY-TLS", ("Gateway", "TLSRoute"), ("Terminate",))
MESH = Profile("MESH-HTTP", ("Mesh", "HTTPRoute"), ())
CATALOGUE = Catalogue(
    (
        SuiteTest("Both", "", ("Gateway",)),
        SuiteTest("Simple", "", ("Gateway", "HTTPRoute")),
        SuiteTest("Retry", "", ("Gateway", "HTTPRoute", "Retry"), provisional=True),
        SuiteTest("Passthrough", "", ("Gateway", "TLSRoute")),
        SuiteTest("Nobodys", "", ("Gateway", "HTTPRoute", "TLSRoute")),
    ),
    (HTTP, TLS, MESH),
)


def run_of(status: int = 0, **verdicts: Verdict) -> Run:
    """A run with these outcomes."""
    failing = (Failing("part", ("x.go:1: wrong",)),)
    outcomes = (
        Outcome(name, verdict, 1.0, failings=failing if verdict is Verdict.FAILED else ())
        for name, verdict in verdicts.items()
    )
    return Run(status, 12.0, tuple(outcomes))


def results_of(*runs: Run, name: str = "Trilithon", profiles: tuple[str, ...] = ("GATEWAY-HTTP",)) -> Results:
    """The results of these runs."""
    return Results(
        implementation=name,
        version="1.0",
        gateway_api="v1",
        channel="experimental",
        kubernetes="v1",
        date="2026-01-01",
        features=("Gateway", "HTTPRoute", "Retry"),
        profiles=profiles,
        is_part=False,
        catalogue=CATALOGUE,
        runs=runs,
    )


def wanted(*, profiles: tuple[str, ...] = (), tests: tuple[str, ...] = ()) -> Wanted:
    """What was asked for."""
    return Wanted(Traefik("3.7.10"), profiles, tests, 1, Path())


PASSED, FAILED, SKIPPED, UNCLAIMED = Verdict.PASSED, Verdict.FAILED, Verdict.SKIPPED, Verdict.UNCLAIMED


def test_a_test_that_needs_any_extended_feature_is_extended() -> None:
    """And one that needs a feature which the profile does not know is none of its."""
    levels = {test.name: HTTP.level(test) for test in CATALOGUE.tests}
    assert levels == {
        "Both": Level.CORE,
        "Simple": Level.CORE,
        "Retry": Level.EXTENDED,
        "Passthrough": None,
        "Nobodys": None,
    }


def test_tests_are_chosen_by_name_and_wildcard() -> None:
    """In the suite's order; a name that fits nothing is refused, and the nearest are told."""
    assert [test.name for test in CATALOGUE.named(["Retry", "B*"])] == ["Both", "Retry"]
    with pytest.raises(Failure, match="Is it Simple"):
        CATALOGUE.named(["Simpl"])


def test_profiles_are_those_whose_core_is_claimed() -> None:
    """Of Gateways only: a GatewayClass says nothing about meshes."""
    assert chosen_profiles(CATALOGUE, wanted(), ("Gateway", "HTTPRoute", "Mesh")) == (HTTP,)
    assert chosen_profiles(CATALOGUE, wanted(profiles=("gateway-tls",)), ("Gateway",)) == (TLS,)
    assert chosen_profiles(CATALOGUE, wanted(tests=("Pass*",)), ()) == (TLS,)
    with pytest.raises(Failure):
        chosen_profiles(CATALOGUE, wanted(), ("Gateway",))
    with pytest.raises(Failure, match="GATEWAY-HTTP"):
        chosen_profiles(CATALOGUE, wanted(profiles=("GATEWAY-FTP",)), ())


def test_chosen_tests_are_run_though_not_claimed() -> None:
    """And nothing is reported of them, nor are any left out; of chosen profiles all tests are run and reported."""
    features = ("Gateway", "HTTPRoute")
    some = order_of(wanted(tests=("Pass*",)), CATALOGUE, (TLS,), features)
    assert some.tests == ("Passthrough",)
    assert some.features == ("Gateway", "HTTPRoute", "TLSRoute")
    assert not some.implementation
    assert not some.left_out
    profile = order_of(wanted(profiles=("GATEWAY-TLS",)), CATALOGUE, (TLS,), features)
    assert profile.tests == ("Both", "Passthrough")
    assert not profile.features
    assert profile.left_out
    assert profile.implementation["version"] == "v3.7.10"


def test_of_several_runs_the_worst_counts() -> None:
    """A test that failed once has failed, and one that a run lacks was not finished in it."""
    runs = [run_of(Both=PASSED, Simple=PASSED, Retry=UNCLAIMED), run_of(1, Both=FAILED, Retry=UNCLAIMED)]
    assert worst(runs) == {"Both": FAILED, "Simple": Verdict.UNFINISHED, "Retry": UNCLAIMED}


@given(st.lists(st.sampled_from(Verdict), min_size=1))
def test_the_order_of_runs_does_not_matter(verdicts: list[Verdict]) -> None:
    """The worst is the worst."""
    runs = [run_of(Both=verdict) for verdict in verdicts]
    assert worst(runs) == worst(runs[::-1])
    assert set(SEVERITY) == set(Verdict)


def test_a_tally_counts_what_a_profile_counts() -> None:
    """Each test once; what is not claimed was not asked for."""
    verdicts = {"Both": PASSED, "Simple": FAILED, "Retry": UNCLAIMED, "Passthrough": PASSED}
    core = tally(verdicts, CATALOGUE, HTTP, Level.CORE)
    assert core.names == {PASSED: ("Both",), FAILED: ("Simple",)}
    assert tally(verdicts, CATALOGUE, HTTP, Level.EXTENDED).asked == 0


def test_what_failed_is_told_with_its_reason() -> None:
    """The name of the test, of its part, and what the suite said; of several runs, how often."""
    results = results_of(run_of(1, Both=FAILED, Simple=PASSED, Retry=UNCLAIMED), run_of(Both=PASSED, Simple=PASSED))
    lines = list(telling.told(results))
    assert not results.good
    assert any(line.startswith("Both") and "failed 1 of 2" in line for line in lines)
    assert "    x.go:1: wrong" in lines
    assert any(line.startswith("GATEWAY-HTTP core") and "1 passed, 1 failed" in line for line in lines)
    # HTTPRoute is among the extended features too, as UDPRoute is in the suite.
    assert any("2 of 3 features claimed" in line for line in lines)
    assert "exit status is 1" in lines[-2]


def test_a_failure_that_no_profile_counts_is_told_too() -> None:
    """The exit status includes it, so somebody will look for it."""
    lines = list(telling.told(results_of(run_of(1, Both=PASSED, Nobodys=FAILED))))
    assert "failed, and counted by none of these profiles: Nobodys" in lines


def test_results_are_compared_with_published_ones() -> None:
    """Nothing to say if they are the same."""
    results = results_of(run_of(Both=PASSED, Simple=SKIPPED, Retry=PASSED))
    assert telling.compared(results, {"GATEWAY-HTTP": Published(1, 1, 1)}) == []
    (difference,) = telling.compared(results, {"GATEWAY-HTTP": Published(2, 1, 1)})
    assert difference == "GATEWAY-HTTP: 1 core tests passed, but 2 were published"


def test_a_report_that_counts_a_failed_test_as_passed_is_put_right() -> None:
    """Numbers, names, result and summary; all else stays."""
    said = {
        "mode": "default",
        "profiles": [
            {
                "name": "GATEWAY-HTTP",
                "core": {"result": "success", "statistics": {"Passed": 2, "Failed": 0, "Skipped": 0}},
                "extended": {
                    "result": "success",
                    "statistics": {"Passed": 1, "Failed": 0, "Skipped": 0},
                    "supportedFeatures": ["Retry"],
                },
                "summary": "Core tests succeeded. Extended tests succeeded.",
            }
        ],
        "succeededProvisionalTests": ["Retry"],
    }
    fixed = corrected(said, {"Both": FAILED, "Simple": SKIPPED, "Retry": PASSED}, CATALOGUE)
    (profile,) = fixed["profiles"]
    assert profile["core"] == {
        "result": "failure",
        "statistics": {"Failed": 1, "Passed": 0, "Skipped": 1},
        "failedTests": ["Both"],
        "skippedTests": ["Simple"],
    }
    assert profile["extended"]["supportedFeatures"] == ["Retry"]
    assert profile["summary"] == "Core tests failed with 1 test failures. Extended tests succeeded."
    assert fixed["succeededProvisionalTests"] == ["Retry"]
    worse = corrected(said, {"Both": PASSED, "Simple": PASSED, "Retry": FAILED}, CATALOGUE)
    assert "succeededProvisionalTests" not in worse
    assert corrected(said, {"Both": PASSED, "Simple": PASSED, "Retry": PASSED}, CATALOGUE) == said


def test_the_page_has_implementations_side_by_side(tmp_path: Path) -> None:
    """Only between the marks, and the same again when written again."""
    page = tmp_path / "page.md"
    page.write_text(f"before\n{document.BEGIN}\nold\n{document.END}\nafter\n")
    ours = results_of(run_of(Both=PASSED, Simple=PASSED, Retry=PASSED, Passthrough=UNCLAIMED))
    theirs = results_of(run_of(1, Both=PASSED, Simple=FAILED, Retry=UNCLAIMED), name="Other")
    document.update(page, [ours, theirs])
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert "| HTTP core | 2 of 2 passed | 1 of 2 passed, **1 failed** |" in text
    assert "| Simple | HTTP core | passed | **failed** |" in text
    assert "| Retry | HTTP extended | passed | - |" in text
    assert "Passthrough" not in text
    document.update(page, [ours, theirs])
    assert page.read_text() == text


def test_a_page_without_marks_is_left_alone(tmp_path: Path) -> None:
    """Nothing is written anywhere else."""
    page = tmp_path / "page.md"
    page.write_text("text\n")
    with pytest.raises(Failure):
        document.update(page, [results_of(run_of())])
    assert page.read_text() == "text\n"


def test_the_suite_is_told_what_to_run() -> None:
    """Chosen tests by a filter of their exact names; a report only with what it must say."""
    order = Order(gateway_class="c", profiles=("A", "B"), tests=("One", "Two"), left_out=("Three",))
    arguments = order.arguments(Path("/r.yaml"))
    assert "-test.run=^TestConformance$/^(One|Two)$" in arguments
    assert "--conformance-profiles=A,B" in arguments
    assert "--skip-tests=Three" in arguments
    assert not any(argument.startswith("--report-output") for argument in arguments)
    whole = Order(gateway_class="c", profiles=("A",), implementation={"project": "p"}).arguments(Path("/r.yaml"))
    assert "-test.run=^TestConformance$" in whole
    assert {"--report-output=/r.yaml", "--project=p"} <= set(whole)
