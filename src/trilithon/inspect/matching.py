"""The reference matcher: whether a match holds for a request, and if not, the first condition that fails."""

from __future__ import annotations

from functools import lru_cache

import re2

from trilithon.inspect.request import Request, query_parameters
from trilithon.model.rule import Match, PathMatch, ValueMatch


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re2._Regexp:
    options = re2.Options()
    options.log_errors = False
    return re2.compile(pattern, options)


def failed_condition(match: Match, request: Request, path: str) -> str | None:
    """Why a match does not hold for a request whose canonical path is ``path``, or None when it holds."""
    if not path_matches(match.path, path):
        return f"path {path} is not {path_condition(match.path)}"
    if match.method is not None and match.method != request.method:
        return f"method is not {match.method}"
    for header in match.headers:
        value = request.header(header.name) if header.name != "host" else request.authority
        if value is None:
            return f"header {header.name} is missing"
        if not _value_matches(header, value):
            return f"header {header.name} is not {_condition(header)}"
    parameters = query_parameters(request.query) if match.query else {}
    for parameter in match.query:
        if parameter.name not in parameters:
            return f"query parameter {parameter.name} is missing"
        if not _value_matches(parameter, parameters[parameter.name]):
            return f"query parameter {parameter.name} is not {_condition(parameter)}"
    return None


def path_matches(match: PathMatch, path: str) -> bool:
    """Whether a path condition holds; a prefix matches whole elements only (HTTPPathMatch, PathPrefix)."""
    if match.kind == "exact":
        return path == match.value
    if match.kind == "prefix":
        return match.value in ("/", path) or path.startswith(match.value + "/")
    return _compiled(match.value).fullmatch(path) is not None


def path_condition(match: PathMatch) -> str:
    """A path condition in the API's words."""
    name = {"exact": "Exact", "prefix": "PathPrefix", "regex": "RegularExpression"}[match.kind]
    return f"{name} {match.value}"


def _value_matches(match: ValueMatch, value: str) -> bool:
    if match.kind == "exact":
        return value == match.value
    return _compiled(match.value).fullmatch(value) is not None


def _condition(match: ValueMatch) -> str:
    return match.value if match.kind == "exact" else f"RegularExpression {match.value}"
