"""Encode the conditions of a match."""

from __future__ import annotations

from envoy.config.route.v3.route_components_pb2 import RouteMatch
from envoy.type.matcher.v3.string_pb2 import StringMatcher

from trilithon.model.rule import Match, ValueMatch


def fill_match(target: RouteMatch, match: Match) -> None:
    """Write all conditions of a match.

    Envoy compares the path without the query and after normalising it: escaped unreserved characters are decoded,
    other escapes stay as they are. Query parameters are compared as they were sent, still escaped, the first of a name.
    Of several headers of one name any may match, each for itself; "host" is compared with its port.
    """
    path = match.path
    if path.kind == "exact":
        target.path = path.value
    elif path.kind == "regex":
        target.safe_regex.regex = path.value
    elif path.value == "/":
        target.prefix = "/"
    else:
        # Whole path elements: "/abc" matches "/abc" and "/abc/d", not "/abcd" (PathPrefix).
        target.path_separated_prefix = path.value
    if match.method is not None:
        target.headers.add(name=":method").string_match.exact = match.method
    for header in match.headers:
        _fill_value(target.headers.add(name=header.name).string_match, header)
    for parameter in match.query:
        _fill_value(target.query_parameters.add(name=parameter.name).string_match, parameter)


def takes_all(match: Match) -> bool:
    """Whether every request matches."""
    return (
        match.path.kind == "prefix" and match.path.value == "/" and not (match.method or match.headers or match.query)
    )


def _fill_value(target: StringMatcher, match: ValueMatch) -> None:
    if match.kind == "regex":
        target.safe_regex.regex = match.value
    else:
        target.exact = match.value
