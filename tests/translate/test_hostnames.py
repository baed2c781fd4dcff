"""Hostnames: which pattern covers which (Listener.hostname, HTTPRouteSpec.hostnames), and the laws of that."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trilithon.translate.hostnames import covers, intersection, intersections, specificity, wider

# Every hostname of up to four labels over two letters: enough to tell all patterns below apart.
LABELS = ("a", "b")
NAMES = [".".join(labels) for size in range(1, 5) for labels in product(LABELS, repeat=size)]
hostnames = st.lists(st.sampled_from(LABELS), min_size=1, max_size=3).map(".".join)
patterns = st.one_of(hostnames, hostnames.map(lambda name: f"*.{name}"), st.just("*"))


def matches(pattern: str, name: str) -> bool:
    """Whether a hostname matches a pattern, label by label, as the API describes it."""
    if pattern == "*":
        return True
    wanted, given_labels = pattern.split("."), name.split(".")
    if wanted[0] == "*":
        return len(given_labels) >= len(wanted) and given_labels[len(given_labels) - len(wanted) + 1 :] == wanted[1:]
    return wanted == given_labels


@pytest.mark.parametrize(
    ("pattern", "name", "covered"),
    [
        pytest.param("*.example.com", "test.example.com", True, id="a wildcard matches one label"),
        pytest.param("*.example.com", "foo.test.example.com", True, id="a wildcard matches any number of labels"),
        pytest.param("*.example.com", "example.com", False, id="a wildcard does not match the bare parent"),
        pytest.param("*.example.com", "notexample.com", False, id="a wildcard matches whole labels only"),
        pytest.param("*.example.com", "*.example.com", True, id="a pattern covers itself"),
        pytest.param("*.example.com", "*.test.example.com", True, id="a wildcard covers narrower wildcards"),
        pytest.param("*.test.example.com", "*.example.com", False, id="a wildcard does not cover wider wildcards"),
        pytest.param("example.com", "example.com", True, id="a hostname covers itself"),
        pytest.param("example.com", "*.example.com", False, id="a hostname covers no wildcard"),
        pytest.param("*", "example.com", True, id="no hostname matches every hostname"),
        pytest.param("*", "*.com", True, id="no hostname covers every wildcard"),
        pytest.param("*.com", "*", False, id="no wildcard covers no hostname"),
    ],
)
def test_covers(pattern: str, name: str, covered: bool) -> None:
    assert covers(pattern, name) is covered


@given(patterns, patterns)
def test_a_pattern_covers_another_when_it_matches_all_that_the_other_matches(one: str, other: str) -> None:
    assert covers(one, other) == all(matches(one, name) for name in NAMES if matches(other, name))


@given(patterns, patterns)
def test_the_intersection_matches_what_both_match(listener: str, route: str) -> None:
    common = intersection(listener, route)
    both = {name for name in NAMES if matches(listener, name) and matches(route, name)}
    assert both == ({name for name in NAMES if matches(common, name)} if common is not None else set())


@given(patterns, st.lists(patterns, max_size=4))
def test_the_intersections_match_what_the_listener_and_any_hostname_match(listener: str, route: list[str]) -> None:
    common = intersections(listener, route)
    both = {n for n in NAMES if matches(listener, n) and (not route or any(matches(claim, n) for claim in route))}
    assert both == {name for name in NAMES if any(matches(pattern, name) for pattern in common)}


@given(patterns, st.lists(patterns, max_size=4))
def test_each_intersection_is_claimed_by_the_most_specific_hostname_that_gives_it(
    listener: str, route: list[str]
) -> None:
    for common, claim in intersections(listener, route).items():
        rivals = [other for other in route or ["*"] if intersection(listener, other) == common]
        assert claim == min(rivals, key=specificity)


@given(patterns)
def test_the_wider_patterns_are_all_those_that_cover_it_the_most_specific_first(pattern: str) -> None:
    everything = {f"*.{name}" for name in NAMES} | {"*"}
    found = wider(pattern)
    assert set(found) == {other for other in everything if other != pattern and covers(other, pattern)}
    assert list(found) == sorted(found, key=specificity)


@given(patterns, patterns)
def test_a_pattern_is_less_specific_than_those_it_covers(one: str, other: str) -> None:
    if one != other and covers(one, other):
        assert specificity(other) < specificity(one)


@pytest.mark.parametrize(
    ("listener", "route", "served"),
    [
        pytest.param("*.example.com", ["foo.example.com", "foo.org"], ["foo.example.com"], id="only what meets counts"),
        pytest.param("test.example.com", ["*.example.com"], ["test.example.com"], id="a wildcard route narrows"),
        pytest.param("*.example.com", [], ["*.example.com"], id="a route without hostnames takes the listener's"),
        pytest.param("*", [], ["*"], id="no hostname on either side is any hostname"),
        pytest.param("*", ["a.test", "*.b.test"], ["a.test", "*.b.test"], id="an open listener takes all of them"),
        pytest.param("a.test", ["b.test"], [], id="different hostnames do not meet"),
        pytest.param("a.test", ["*.test", "a.test", "a.test"], ["a.test"], id="one result is told once"),
    ],
)
def test_intersections(listener: str, route: list[str], served: list[str]) -> None:
    assert list(intersections(listener, route)) == served
