"""Figures of the benchmarks: spreads, tables, what load tools say, and the sentences made of them. Nothing is timed."""

from __future__ import annotations

import msgspec
import pytest

from bench.change import ChangeFigures
from bench.contender import backends_for, host
from bench.engine import built, read_resources, single_edits
from bench.figures import Fault, Spread, quantile, ratio, spread
from bench.load import LoadFigures
from bench.report import Results, losses, report, times, with_figures
from bench.table import table
from bench.throughput import ThroughputFigures, read_h2load, read_wrk

WRK = """\
Running 2s test @ http://127.0.0.1:9001/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.60ms    1.02ms  22.19ms   93.63%
  Latency Distribution
     50%  947.00us
     75%    1.61ms
     90%    2.06ms
     99%    1.20s
  83262 requests in 2.00s, 8.58MB read
  Socket errors: connect 0, read 3, write 0, timeout 1
  Non-2xx or 3xx responses: 7
Requests/sec:  41623.07
"""

H2LOAD = """\
finished in 5.01s, 30660.20 req/s, 1.61MB/s
requests: 153301 total, 153365 started, 153301 done, 153299 succeeded, 2 failed, 2 errored, 0 timeout
status codes: 153299 2xx, 0 3xx, 1 4xx, 4 5xx
traffic: 8.04MB (8432187) total, 2.63MB (2759418) headers (space savings 85.71%), 598.83KB (613196) data
"""


@pytest.mark.parametrize(
    ("samples", "share", "expected"),
    [
        pytest.param([7.0], 0.99, 7.0, id="one sample is every quantile"),
        pytest.param(list(range(1, 101)), 0.99, 99, id="of 100 samples one is above p99"),
        pytest.param(list(range(1, 11)), 0.99, 10, id="of few samples p99 is the largest"),
        pytest.param([3, 1, 2], 1.0, 3, id="the order of samples does not matter"),
        pytest.param([1, 2, 3, 4], 0.5, 2, id="half of the samples are at most the middle one"),
    ],
)
def test_quantile(samples: list[float], share: float, expected: float) -> None:
    assert quantile(samples, share) == expected


def test_no_samples_have_no_spread() -> None:
    with pytest.raises(Fault):
        spread([])


def test_a_spread_keeps_the_worst_sample() -> None:
    assert spread([1.0, 2.0, 9.0]) == Spread(3, 2.0, 9.0, 9.0)


def test_nothing_is_no_multiple_of_nothing() -> None:
    assert ratio(1.0, 0.0) is None
    assert times(30.0, 2.0) == "15x"


def test_every_line_of_a_table_is_as_long_as_the_others() -> None:
    drawn = table(["gateway", "ms"], [["Trilithon", 1.234], ["Traefik", 12345], ["-", None]]).splitlines()
    assert len({len(line) for line in drawn}) == 1
    assert drawn[1].endswith(":|"), "numbers stand to the right"
    assert "12,345" in drawn[3]


def test_what_wrk_says_is_read_in_milliseconds_with_every_failure() -> None:
    sample = read_wrk(WRK)
    assert sample.p50 == pytest.approx(0.947)
    assert (sample.per_second, sample.p99, sample.failures) == (41623.07, 1200.0, 11)


def test_what_h2load_says_is_read_with_every_failure() -> None:
    sample = read_h2load(H2LOAD)
    assert (sample.per_second, sample.p99, sample.failures) == (30660.20, None, 7)


def test_a_load_tool_that_says_nothing_is_a_fault() -> None:
    for read in (read_wrk, read_h2load):
        with pytest.raises(Fault):
            read("")


def test_backends_come_in_pairs_with_different_answers() -> None:
    assert all(backends_for(routes) % 2 == 0 and backends_for(routes) >= 2 for routes in range(1, 300))


def _change(contender: str, milliseconds: float, mib: float) -> ChangeFigures:
    figure = Spread(9, milliseconds, milliseconds, milliseconds)
    return ChangeFigures(contender, 1000, figure, figure, 1.0, 0.0, None, mib, 0.0, 1.0)


def _results() -> Results:
    served = Spread(200, 5.0, 9.0, 9.0)
    return Results(
        began="2026-01-01 00:00 UTC",
        command="python -m bench",
        machine={"CPU": "some"},
        change=(_change("Trilithon", 10.0, 200.0), _change("Traefik", 200.0, 100.0)),
        load=(
            LoadFigures("Trilithon", 200, 10.0, 10_000, {}, 0, served),
            LoadFigures("Traefik", 200, 10.0, 10_000, {"502": 3}, 0, served),
        ),
        throughput=(
            ThroughputFigures("Trilithon", 1, "HTTP/1.1", 20_000.0, 25_000.0, 1.0, 2.0, 0, is_limited=False),
            ThroughputFigures("Traefik", 1, "HTTP/1.1", 40_000.0, 25_000.0, 1.0, 3.0, 0, is_limited=False),
        ),
    )


def test_the_report_says_where_the_rival_is_better_and_only_there() -> None:
    found = "\n".join(losses(_results()))
    assert "memory at 1,000 routes: 200 MiB, Traefik 100 MiB" in found
    assert "throughput, HTTP/1.1, last of 1 host: 20,000 requests/s, Traefik 40,000 requests/s" in found
    assert "edit" not in found
    assert "failed" not in found


def test_of_several_rivals_the_best_is_named() -> None:
    both = (_change("Trilithon", 10.0, 200.0), _change("Traefik", 20.0, 150.0), _change("Other", 20.0, 100.0))
    found = losses(msgspec.structs.replace(_results(), change=both, load=(), throughput=()))
    assert found == ["memory at 1,000 routes: 200 MiB, Other 100 MiB"]


def test_any_failure_is_a_loss_to_a_rival_without() -> None:
    served = Spread(200, 5.0, 9.0, 9.0)
    both = (
        LoadFigures("Trilithon", 200, 10.0, 10_000, {"503": 1}, 0, served),
        LoadFigures("Traefik", 200, 10.0, 10_000, {}, 0, served),
    )
    found = losses(msgspec.structs.replace(_results(), change=(), load=both, throughput=()))
    assert found == ["failed requests during changes: 1, Traefik 0"]


def test_a_difference_within_the_noise_is_no_loss() -> None:
    both = (_change("Trilithon", 10.4, 100.0), _change("Traefik", 10.0, 100.0))
    assert losses(msgspec.structs.replace(_results(), change=both, load=(), throughput=())) == [
        "Nowhere in what this run measured."
    ]


def test_the_report_has_the_multiple_and_each_failure() -> None:
    text = report(_results())
    assert "20x" in text
    assert "3 x 502" in text


def test_the_figures_of_a_page_are_replaced_and_its_words_kept() -> None:
    page = with_figures("Words.\n\n<!-- figures -->\n\nold\n", "new")
    assert page == "Words.\n\n<!-- figures -->\n\nnew\n"
    assert with_figures(page, "new") == page


def test_results_survive_their_json() -> None:
    assert msgspec.json.decode(msgspec.json.encode(_results()), type=Results) == _results()


def test_the_engine_bench_makes_valid_resources_and_one_row_of_figures_per_sort_of_change() -> None:
    resources = read_resources(30)
    engine = built(resources)
    assert not engine.faults
    edits = single_edits(engine, resources, 3)
    assert len(edits) == 5
    # A law, not a time: what one edited route costs does not depend on how many there are.
    assert edits[0].rows.worst <= 12
    assert host(29) == "h00029.example.com"
