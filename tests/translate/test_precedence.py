"""The spec's order of matches (HTTPRouteRule.matches)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trilithon.model.rule import Match, PathMatch, ValueMatch
from trilithon.resources.meta import Key
from trilithon.translate.precedence import Rank, rank, why_later

HEADERS = tuple(ValueMatch(f"h{number}", "exact", "v") for number in range(3))


def place(
    path: str = "prefix /",
    *,
    method: str | None = None,
    headers: int = 0,
    query: int = 0,
    created: str = "",
    route: str = "ns/name",
    rule: int = 0,
    index: int = 0,
) -> Rank:
    kind, value = path.split(" ", 1)
    match = Match(index, PathMatch(kind, value), method, HEADERS[:headers], HEADERS[:query])  # type: ignore[arg-type]
    return rank(match, created, Key("HTTPRoute", *route.split("/")), rule)


@pytest.mark.parametrize(
    ("first", "second", "why"),
    [
        pytest.param(
            place("exact /a"),
            place("prefix /a/long", method="GET", headers=2),
            "prefix behind exact path",
            id="an exact path comes first",
        ),
        pytest.param(
            place("prefix /abc"),
            place("prefix /ab", method="GET"),
            "shorter prefix",
            id="the prefix with the most characters",
        ),
        pytest.param(
            place(method="GET"),
            place(headers=3),
            "no condition on the method",
            id="then a method",
        ),
        pytest.param(
            place(headers=2),
            place(headers=1, query=3),
            "fewer header conditions",
            id="then the most headers",
        ),
        pytest.param(
            place(query=1, created="2024-02-01T00:00:00Z"),
            place(created="2024-01-01T00:00:00Z"),
            "fewer query parameter conditions",
            id="then the most query parameters",
        ),
        pytest.param(
            place(created="2024-01-01T00:00:00Z", route="z/z"),
            place(created="2024-01-01T00:00:01Z", route="a/a"),
            "newer route",
            id="the oldest route wins a tie",
        ),
        pytest.param(
            place(created="2024-01-01T00:00:00Z", route="z/z"),
            place(route="a/a"),
            "newer route",
            id="a route without a time is the newest",
        ),
        pytest.param(
            place(route="a/b", rule=3),
            place(route="a/c"),
            "the route's name is later in the alphabet",
            id="then the first by namespace and name",
        ),
        pytest.param(
            place(route="a-b/x"),
            place(route="a/x"),
            "the route's name is later in the alphabet",
            id="namespace/name is compared as one text",
        ),
        pytest.param(place(rule=1), place(rule=2), "later rule of the same route", id="then the first rule"),
        pytest.param(place(index=1), place(index=2), "later match of the same rule", id="then the first match"),
        pytest.param(
            place("exact /a"),
            place("regex /aaaaaaaaaa"),
            "regular expression behind exact path",
            id="a regular expression comes behind exact paths",
        ),
        pytest.param(
            place("regex /a"),
            place("prefix /aaaaaaaaaa"),
            "prefix behind regular expression",
            id="a regular expression comes before prefixes",
        ),
        pytest.param(
            place("regex /aaa"),
            place("regex /a"),
            "shorter regular expression",
            id="the longer expression first",
        ),
    ],
)
def test_order(first: Rank, second: Rank, why: str) -> None:
    assert first < second
    assert why_later(first, second) == why


places = st.fixed_dictionaries(
    {
        "path": st.sampled_from(["exact /a", "exact /ab", "prefix /", "prefix /a", "regex /a"]),
        "method": st.sampled_from([None, "GET"]),
        "headers": st.integers(0, 2),
        "query": st.integers(0, 2),
        "created": st.sampled_from(["", "2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z"]),
        "route": st.sampled_from(["a/a", "a/b", "a-b/a"]),
        "rule": st.integers(0, 2),
        "index": st.integers(0, 2),
    }
)


@given(places, places)
def test_different_matches_never_share_a_place(one: dict[str, Any], other: dict[str, Any]) -> None:
    """The order is total, so that nothing depends on the order of arrival."""
    first, second = place(**one), place(**other)
    assert (first == second) == (one == other)
