"""The conditions of a rule (HTTPRouteMatch)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.translate.world import World, codes, http_route, service
from trilithon.model.rule import Match, PathMatch, Refuse, ValueMatch
from trilithon.translate.matches import LARGEST_REGEX_PROGRAM, regex_problem
from trilithon.xds.bootstrap import EnvoyLimits

BACKEND = [{"name": "web", "port": 80}]
ROOT = PathMatch("prefix", "/")


def world_of(*matches: dict[str, Any]) -> World:
    return World(service("shop/web", 80), http_route(rules=[{"matches": list(matches), "backendRefs": BACKEND}]))


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        pytest.param({"path": {"type": "Exact", "value": "/a"}}, Match(0, PathMatch("exact", "/a")), id="exact"),
        pytest.param({"path": {"type": "Exact", "value": "/a/"}}, Match(0, PathMatch("exact", "/a/")),
                     id="an exact path keeps its trailing slash"),
        pytest.param({"path": {"value": "/a"}}, Match(0, PathMatch("prefix", "/a")), id="PathPrefix is the default"),
        pytest.param({"path": {"value": "/a/"}}, Match(0, PathMatch("prefix", "/a")),
                     id="the trailing slash of a prefix is ignored"),
        pytest.param({"path": {"value": "/"}}, Match(0, ROOT), id="the prefix / stays"),
        pytest.param({"path": {"type": "RegularExpression", "value": "/a/[0-9]+"}},
                     Match(0, PathMatch("regex", "/a/[0-9]+")), id="regular expression"),
        pytest.param({"method": "GET"}, Match(0, ROOT, "GET"), id="method"),
        pytest.param({"headers": [{"name": "X-A", "value": "1"}]},
                     Match(0, ROOT, headers=(ValueMatch("x-a", "exact", "1"),)),
                     id="names of headers are case-insensitive"),
        pytest.param({"headers": [{"name": "x-a", "value": "1"}, {"name": "X-A", "value": "2"}]},
                     Match(0, ROOT, headers=(ValueMatch("x-a", "exact", "1"),)),
                     id="only the first of equivalent header names is considered"),
        pytest.param({"headers": [{"type": "RegularExpression", "name": "x-a", "value": "v.*"}]},
                     Match(0, ROOT, headers=(ValueMatch("x-a", "regex", "v.*"),)), id="header by regular expression"),
        pytest.param({"queryParams": [{"name": "q", "value": "1"}, {"name": "q", "value": "2"}]},
                     Match(0, ROOT, query=(ValueMatch("q", "exact", "1"),)),
                     id="only the first of equal parameter names is considered"),
        pytest.param({"queryParams": [{"name": "q", "value": "1"}, {"name": "Q", "value": "2"}]},
                     Match(0, ROOT, query=(ValueMatch("q", "exact", "1"), ValueMatch("Q", "exact", "2"))),
                     id="names of query parameters are compared exactly"),
        pytest.param({"queryParams": [{"type": "RegularExpression", "name": "q", "value": "[ab]"}]},
                     Match(0, ROOT, query=(ValueMatch("q", "regex", "[ab]"),)), id="parameter by regular expression"),
    ],
)  # fmt: skip
def test_conditions(written: dict[str, Any], expected: Match) -> None:
    world = world_of(written)
    assert world.rule().matches == (expected,)
    assert world.rule().problems == ()


def test_matches_keep_their_places() -> None:
    world = world_of({"path": {"value": "/a"}}, {"path": {"value": "/b"}})
    assert [(match.index, match.path.value) for match in world.rule().matches] == [(0, "/a"), (1, "/b")]


@pytest.mark.parametrize(
    "rule",
    [
        pytest.param({}, id="left out"),
        pytest.param({"matches": []}, id="empty"),
        pytest.param({"matches": [{}]}, id="{}"),
    ],
)
def test_a_rule_without_matches_matches_every_request(rule: dict[str, Any]) -> None:
    assert World(http_route(rules=[rule])).rule().matches == (Match(0, ROOT),)


def test_a_route_without_rules_has_one_that_matches_every_request() -> None:
    assert [rule.matches for rule in World(http_route()).rules().items] == [(Match(0, ROOT),)]


BAD = {"type": "RegularExpression", "value": "/a("}


@pytest.mark.parametrize(
    ("match", "path"),
    [
        pytest.param({"path": BAD}, "spec.rules[0].matches[0].path.value", id="path"),
        pytest.param({"headers": [{**BAD, "name": "a"}]}, "spec.rules[0].matches[0].headers[0].value", id="header"),
        pytest.param(
            {"queryParams": [{**BAD, "name": "a"}]}, "spec.rules[0].matches[0].queryParams[0].value", id="parameter"
        ),
    ],
)
def test_a_bad_regular_expression_drops_the_rule_and_says_where(match: dict[str, Any], path: str) -> None:
    rule = world_of(match).rule()
    (problem,) = rule.problems
    assert (problem.code, problem.path) == ("RegexInvalid", path)
    assert rule.action == Refuse(500, problem)


def test_a_match_that_cannot_be_evaluated_is_left_out_and_the_others_answer_500() -> None:
    rule = world_of({"path": BAD}, {"path": {"value": "/b"}}).rule()
    assert [match.index for match in rule.matches] == [1]
    assert isinstance(rule.action, Refuse)


def test_other_rules_stand_beside_a_dropped_one() -> None:
    good = {"matches": [{"path": {"value": "/b"}}], "backendRefs": BACKEND}
    world = World(service("shop/web", 80), http_route(rules=[{"matches": [{"path": BAD}]}, good]))
    assert codes(world.rule(0).problems)[0] == "RegexInvalid"
    assert world.rule(1).problems == ()


@pytest.mark.parametrize(
    ("pattern", "code"),
    [
        pytest.param("/[a-z]+/.*", None, id="ordinary"),
        pytest.param("(?i)/FOO", None, id="flags"),
        pytest.param("(a|b){1,64}", None, id="small repetitions"),
        pytest.param("(?=a)", "RegexInvalid", id="lookahead is not RE2"),
        pytest.param(r"(a)\1", "RegexInvalid", id="a back reference is not RE2"),
        pytest.param("", "RegexInvalid", id="Envoy refuses an empty expression"),
        pytest.param("\ud800", "RegexInvalid", id="a lone surrogate is not UTF-8"),
        pytest.param(r"[\p{L}]{1,64}", "RegexTooBig", id="a large program"),
        pytest.param("((a{1,100}){1,10}){1,10}", "RegexInvalid", id="nested repetitions that RE2 refuses"),
    ],
)
def test_regular_expressions(pattern: str, code: str | None) -> None:
    problem = regex_problem(http_route().key, "spec", pattern)
    assert (problem.code if problem else None) == code


def test_what_is_let_through_is_what_envoy_takes() -> None:
    assert EnvoyLimits().max_regex_program > LARGEST_REGEX_PROGRAM
