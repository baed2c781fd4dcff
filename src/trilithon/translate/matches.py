"""Work out the conditions of a rule."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import re2

from trilithon.model import route_mistakes as mistakes
from trilithon.model.mistake import Mistake
from trilithon.model.rule import Match, PathMatch, ValueMatch
from trilithon.resources.meta import Key
from trilithon.resources.problem import Problem
from trilithon.resources.routes import HTTPHeaderMatch, HTTPPathMatch, HTTPQueryParamMatch, HTTPRouteMatch

# Envoy is told to take programs up to 5000 and drops the whole route table with a larger one; its RE2 may be of another
# version than ours, so stay clear of the edge.
LARGEST_REGEX_PROGRAM = 4_000

_PATH_KINDS: dict[str, Literal["exact", "prefix", "regex"]] = {
    "Exact": "exact",
    "PathPrefix": "prefix",
    "RegularExpression": "regex",
}


def matches_of(
    route: Key, written: tuple[HTTPRouteMatch, ...], at: str
) -> tuple[tuple[Match, ...], tuple[Problem, ...]]:
    """The matches of a rule, and what is wrong with those that cannot be evaluated and so are left out.

    A rule without matches matches every request (HTTPRouteRule.matches, "default is a prefix path match on /").
    """
    matches: list[Match] = []
    problems: list[Problem] = []
    for index, match in enumerate(written or (HTTPRouteMatch(),)):
        found = tuple(_regex_problems(route, match, f"{at}.matches[{index}]"))
        problems += found
        if not found:
            matches.append(
                Match(
                    index=index,
                    path=_path(match.path),
                    method=match.method,
                    headers=_headers(match.headers),
                    query=_query(match.query_params),
                )
            )
    return tuple(matches), tuple(problems)


def _path(path: HTTPPathMatch) -> PathMatch:
    kind = _PATH_KINDS[path.type]
    # "When specified, a trailing / is ignored" (PathPrefix).
    value = (path.value.rstrip("/") or "/") if kind == "prefix" else path.value
    return PathMatch(kind, value)


def _headers(headers: tuple[HTTPHeaderMatch, ...]) -> tuple[ValueMatch, ...]:
    # "only the first entry with an equivalent name MUST be considered"; names are case-insensitive (HTTPHeaderMatch).
    first: dict[str, HTTPHeaderMatch] = {}
    for header in headers:
        first.setdefault(header.name.lower(), header)
    return tuple(ValueMatch(name, _value_kind(header), header.value) for name, header in first.items())


def _query(params: tuple[HTTPQueryParamMatch, ...]) -> tuple[ValueMatch, ...]:
    # The same, but "this must be an exact string match" (HTTPQueryParamMatch.name).
    first: dict[str, HTTPQueryParamMatch] = {}
    for param in params:
        first.setdefault(param.name, param)
    return tuple(ValueMatch(name, _value_kind(param), param.value) for name, param in first.items())


def _value_kind(match: HTTPHeaderMatch | HTTPQueryParamMatch) -> Literal["exact", "regex"]:
    return "regex" if match.type == "RegularExpression" else "exact"


def _regex_problems(route: Key, match: HTTPRouteMatch, at: str) -> list[Problem]:
    patterns = [(f"{at}.path.value", match.path.value)] if match.path.type == "RegularExpression" else []
    values: tuple[tuple[str, tuple[HTTPHeaderMatch | HTTPQueryParamMatch, ...]], ...] = (
        ("headers", match.headers),
        ("queryParams", match.query_params),
    )
    for field, conditions in values:
        patterns += [
            (f"{at}.{field}[{index}].value", condition.value)
            for index, condition in enumerate(conditions)
            if condition.type == "RegularExpression"
        ]
    return [problem for path, value in patterns if (problem := regex_problem(route, path, value)) is not None]


def regex_problem(route: Key, path: str, pattern: str) -> Problem | None:
    """Why Envoy would not take a regular expression, or None."""
    verdict = _verdict(pattern)
    if verdict is None:
        return None
    mistake, words = verdict
    return mistake.at(route, path, value=pattern, **words)


@lru_cache(maxsize=4096)
def _verdict(pattern: str) -> tuple[Mistake, dict[str, object]] | None:
    options = re2.Options()
    options.log_errors = False
    if not pattern:
        return mistakes.RULE_REGEX_INVALID, {"why": "it is empty"}
    try:
        size = re2.compile(pattern, options).programsize
    except re2.error as error:
        why = error.args[0]
        return mistakes.RULE_REGEX_INVALID, {"why": why.decode(errors="replace") if isinstance(why, bytes) else why}
    except UnicodeEncodeError:
        return mistakes.RULE_REGEX_INVALID, {"why": "it is not UTF-8"}
    if size > LARGEST_REGEX_PROGRAM:
        return mistakes.RULE_REGEX_TOO_BIG, {"size": size, "limit": LARGEST_REGEX_PROGRAM}
    return None
