"""What is understood of what the suite's program prints."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testcluster.conformance.outcome import Outcome, Verdict
from testcluster.conformance.output import Transcript

ASSERTION = """\
=== RUN   TestConformance
=== RUN   TestConformance/One
    one.go:7: 2026-01-01T00:00:00.000000001Z: Applying tests/one.yaml
    helpers.go:12:\x20
        \tError Trace:\thelpers.go:12
        \t            \t\t\t\tsuite.go:9
        \tError:      \tReceived unexpected error:
        \t            \tcontext deadline exceeded
        \tTest:       \tTestConformance/One
        \tMessages:   \terror waiting for Gateway to be ready
    apply.go:279: 2026-01-01T00:00:02.000000001Z: Deleting one Gateway
--- FAIL: TestConformance/One (2.00s)
=== NAME  TestConformance
--- FAIL: TestConformance (2.00s)
FAIL
"""
REQUEST = "{URL: {Scheme:http Host:10.0.0.1 Path:/}, Headers: map[], ClientCertificateKey: <truncated>}"
ASKED = """\
=== RUN   TestConformance
=== RUN   TestConformance/Two
=== RUN   TestConformance/Two/request_to_'/a/b'_should_work
=== PAUSE TestConformance/Two/request_to_'/a/b'_should_work
=== NAME  TestConformance/Two
=== CONT  TestConformance/Two/request_to_'/a/b'_should_work
    two.go:5: 2026-01-01T00:00:00Z: Making GET request to host  via http://10.0.0.1/a/b
    http.go:9: 2026-01-01T00:00:01Z: Response expectation failed for request: {0}  not ready yet: expected 1, got 2 (after 1s)
    http.go:9: 2026-01-01T00:00:02Z: Response expectation failed for request: {0}  not ready yet: expected 1, got 2 (after 2s)
    http.go:4: 2026-01-01T00:00:03Z: timeout while waiting after 2 attempts
--- FAIL: TestConformance/Two/request_to_'/a/b'_should_work (3.00s)
=== NAME  TestConformance/Two
    apply.go:279: 2026-01-01T00:00:03Z: Deleting two HTTPRoute
--- FAIL: TestConformance/Two (0.00s)
""".replace("{0}", REQUEST)  # noqa: E501 - lines as they are printed
SKIPPED = """\
=== RUN   TestConformance
=== RUN   TestConformance/Three
    conformance.go:56: Skipping Three: suite does not support Mesh
--- SKIP: TestConformance/Three (0.00s)
=== NAME  TestConformance
=== RUN   TestConformance/Four
    conformance.go:68: Skipping Four: test explicitly skipped
--- SKIP: TestConformance/Four (0.00s)
"""
SETUP = """\
=== RUN   TestConformance
    helpers.go:304: 2026-01-01T00:00:00Z: Pod infra/dns not ready yet
    suite.go:436:\x20
        \tError Trace:\thelpers.go:312
        \tError:      \tReceived unexpected error:
        \t            \tcontext deadline exceeded
        \tTest:       \tTestConformance
        \tMessages:   \terror waiting for infra to be ready
--- FAIL: TestConformance (300.00s)
FAIL
"""


def outcomes(text: str, *, marked: bool = True) -> tuple[Transcript, tuple[Outcome, ...]]:
    """A transcript of a text whose lines come one second after the other."""
    transcript = Transcript()
    lines = text.splitlines(keepends=True)
    for second, line in enumerate(lines):
        transcript.take(f"\x16{line}" if marked and line[:3] in {"===", "---"} else line, float(second))
    return transcript, transcript.finish(float(len(lines)))


@pytest.mark.parametrize("marked", [True, False])
def test_an_assertion_is_told_in_one_line(marked: bool) -> None:
    """Where it is, what it means, what was wrong."""
    _, (outcome,) = outcomes(ASSERTION, marked=marked)
    assert (outcome.test, outcome.verdict) == ("One", Verdict.FAILED)
    (failing,) = outcome.failings
    assert failing.where == ""
    expected = "error waiting for Gateway to be ready: Received unexpected error: context deadline exceeded"
    assert failing.lines == (f"helpers.go:12: {expected}",)


def test_without_an_assertion_the_last_that_was_logged_is_told() -> None:
    """Each answer once, without the request; the part that failed is named, slashes and all."""
    _, (outcome,) = outcomes(ASKED)
    (failing,) = outcome.failings
    assert failing.where == "request_to_'/a/b'_should_work"
    assert failing.lines == (
        "two.go:5: Making GET request to host  via http://10.0.0.1/a/b",
        "http.go:9: expected 1, got 2",
        "http.go:4: timeout while waiting after 2 attempts",
    )


def test_a_test_lasts_as_long_as_its_parts() -> None:
    """Though the testing package does not count those that ran in parallel."""
    _, (outcome,) = outcomes(ASKED)
    assert outcome.seconds == ASKED.count("\n") - 2


def test_what_is_not_claimed_is_told_from_what_was_left_out() -> None:
    """By what the suite gives as the reason."""
    _, (three, four) = outcomes(SKIPPED)
    assert (three.verdict, three.reason) == (Verdict.UNCLAIMED, "suite does not support Mesh")
    assert (four.verdict, four.reason) == (Verdict.SKIPPED, "test explicitly skipped")


def test_a_failure_before_the_tests() -> None:
    """No test has an outcome, and the reason is there."""
    transcript, ended = outcomes(SETUP)
    assert ended == ()
    waiting, _ = outcomes("".join(SETUP.splitlines(keepends=True)[:2]) + "    helpers.go:301: Ready is False\n")
    assert waiting.waiting_for == "Pod infra/dns not ready yet"
    assert not transcript.has_begun
    (failing,) = transcript.setup
    expected = "error waiting for infra to be ready: Received unexpected error: context deadline exceeded"
    assert failing.lines == (f"suite.go:436: {expected}",)


def test_a_failed_test_is_no_failure_outside_of_the_tests() -> None:
    """The suite as a whole fails with it, but that says nothing new."""
    transcript, _ = outcomes(ASSERTION)
    assert transcript.setup == []


@pytest.mark.parametrize("last", range(3, ASKED.count("\n")))
def test_what_is_cut_short_is_unfinished(last: int) -> None:
    """Wherever the output ends after the test began."""
    _, (outcome,) = outcomes("".join(ASKED.splitlines(keepends=True)[:last]))
    assert (outcome.test, outcome.verdict) == ("Two", Verdict.UNFINISHED)


def test_a_crash_is_told() -> None:
    """A panic is of no test, and ends all."""
    transcript, (outcome,) = outcomes(
        "=== RUN   TestConformance\n=== RUN   TestConformance/Five\npanic: nil map\n\ngoroutine 1 [running]:\n"
    )
    assert outcome.verdict is Verdict.UNFINISHED
    assert transcript.setup[0].lines[0] == "panic: nil map"


NAMES = ("Five", "Six", "Seven")


@st.composite
def interleaved(draw: st.DrawFn) -> list[str]:
    """Three parallel tests whose lines come in any order, each line under the name of its test."""
    results = {name: draw(st.sampled_from(("PASS", "FAIL"))) for name in NAMES}
    pending = {
        name: [
            f"=== CONT  TestConformance/{name}\n",
            f"    {name.lower()}.go:1: said by {name}\n",
            f"--- {results[name]}: TestConformance/{name} (0.01s)\n",
        ]
        for name in NAMES
    }
    lines = ["=== RUN   TestConformance\n"]
    for name in NAMES:
        lines += [f"=== RUN   TestConformance/{name}\n", f"=== PAUSE TestConformance/{name}\n"]
    while left := sorted(name for name in pending if pending[name]):
        name = draw(st.sampled_from(left))
        lines += [f"=== NAME  TestConformance/{name}\n", pending[name].pop(0)]
    return lines


@given(interleaved())
def test_parallel_tests_are_kept_apart(lines: Iterable[str]) -> None:
    """What one logs is never told of another, and every result is its own."""
    text = "".join(lines)
    _, ended = outcomes(text)
    assert sorted(outcome.test for outcome in ended) == sorted(NAMES)
    for outcome in ended:
        failed = f"--- FAIL: TestConformance/{outcome.test} " in text
        assert (outcome.verdict is Verdict.FAILED) == failed
        said = [line for failing in outcome.failings for line in failing.lines]
        assert said == ([f"{outcome.test.lower()}.go:1: said by {outcome.test}"] if failed else [])
