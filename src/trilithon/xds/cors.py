"""Encode CORS: preflights are answered by routes of their own, and allowed origins see it in every response.

Envoy's own CORS filter serves single backends only. For rules it would fall short: it is silent on redirects and direct
responses, answers a request for no headers with an empty Access-Control-Allow-Headers, and shows the allowed methods to
origins that are not allowed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from envoy.config.route.v3.route_components_pb2 import HeaderMatcher, Route
from envoy.extensions.filters.http.cors.v3.cors_pb2 import CorsPolicy

from trilithon.model.rule import Cors
from trilithon.xds.headers import set_response_header, vary_by_origin

CORS_FILTER = "envoy.filters.http.cors"
_ASKED_METHOD = "access-control-request-method"
_ASKED_HEADERS = "access-control-request-headers"
_DEFAULT_PORTS = {"http": "80", "https": "443"}
# 64 origins can have 16,000 characters, and Envoy takes regular expressions of 5,000 steps, about one per character.
_LONGEST_PATTERN = 2_000


def with_cors(route: Route, cors: Cors) -> tuple[list[Route], list[Route]]:
    """The routes that one route becomes: those that answer preflights, and those that act as it does, in order."""
    asked = [condition.string_match.exact for condition in route.match.headers if condition.name == ":method"]
    conditions = list(_origin_conditions(cors))
    preflights: list[Route] = []
    # A preflight is an OPTIONS request: a rule for another method does not match it.
    if asked in ([], ["OPTIONS"]):
        preflights = [*(_preflight(route, cors, condition) for condition in conditions), _refusal(route)]
        if not asked:
            for preflight in preflights:
                preflight.match.headers.add(name=":method").string_match.exact = "OPTIONS"
    allowed = [_allowed(route, cors, condition) for condition in conditions]
    vary_by_origin(route)
    return preflights, [*allowed, route]


def cors_policy(cors: Cors) -> CorsPolicy:
    """The settings of Envoy's CORS filter for one backend."""
    policy = CorsPolicy(
        allow_methods=", ".join(cors.allow_methods),
        allow_headers=", ".join(cors.allow_headers),
        expose_headers=_exposed(cors),
        max_age=str(cors.max_age),
    )
    policy.allow_credentials.value = cors.allow_credentials
    # Else a preflight of another origin would reach the backend, which may well answer it.
    policy.forward_not_matching_preflights.value = False
    for pattern in _patterns(cors.allow_origins):
        policy.allow_origin_string_match.add().safe_regex.regex = pattern
    return policy


def _preflight(route: Route, cors: Cors, origin: HeaderMatcher) -> Route:
    answer = _refusal(route)
    answer.match.headers[-2].CopyFrom(origin)
    _fill_allowed(answer, cors)
    # "*" echoes what was asked for, and an absent header stays absent: with credentials the literal "*" is forbidden.
    methods = f"%REQ({_ASKED_METHOD})%" if "*" in cors.allow_methods else ", ".join(cors.allow_methods)
    headers = f"%REQ({_ASKED_HEADERS})%" if "*" in cors.allow_headers else ", ".join(cors.allow_headers)
    for name, value in (("methods", methods), ("headers", headers)):
        if value:
            set_response_header(answer, f"access-control-allow-{name}", value)
    set_response_header(answer, "access-control-max-age", str(cors.max_age))
    return answer


def _refusal(route: Route) -> Route:
    """The answer to a preflight without the headers that would allow anything."""
    answer = Route(name=route.name)
    answer.match.CopyFrom(route.match)
    answer.match.headers.add(name="origin", present_match=True)
    answer.match.headers.add(name=_ASKED_METHOD, present_match=True)
    answer.direct_response.status = 200
    vary_by_origin(answer)
    return answer


def _allowed(route: Route, cors: Cors, origin: HeaderMatcher) -> Route:
    allowed = Route()
    allowed.CopyFrom(route)
    allowed.match.headers.append(origin)
    _fill_allowed(allowed, cors)
    vary_by_origin(allowed)
    return allowed


def _fill_allowed(route: Route, cors: Cors) -> None:
    set_response_header(route, "access-control-allow-origin", "%REQ(origin)%")
    if cors.allow_credentials:
        set_response_header(route, "access-control-allow-credentials", "true")
    if exposed := _exposed(cors):
        set_response_header(route, "access-control-expose-headers", exposed)


def _exposed(cors: Cors) -> str:
    # With credentials "*" would be the name of a header, and "the gateway cannot use the `*`".
    return ", ".join(name for name in cors.expose_headers if name != "*" or not cors.allow_credentials)


def _origin_conditions(cors: Cors) -> Iterable[HeaderMatcher]:
    """Conditions on the Origin header, of which one must hold."""
    if "*" in cors.allow_origins:
        yield HeaderMatcher(name="origin", present_match=True)
        return
    for pattern in _patterns(cors.allow_origins):
        condition = HeaderMatcher(name="origin")
        condition.string_match.safe_regex.regex = pattern
        yield condition


def _patterns(origins: Iterable[str]) -> Iterable[str]:
    alternatives: list[str] = []
    for origin in origins:
        pattern = origin_pattern(origin)
        if alternatives and sum(map(len, alternatives)) + len(pattern) > _LONGEST_PATTERN:
            yield "|".join(alternatives)
            alternatives = []
        alternatives.append(pattern)
    if alternatives:
        yield "|".join(alternatives)


def origin_pattern(origin: str) -> str:
    """The regular expression of an allowed origin.

    A wildcard is "a greedy match to the left, including any number of DNS labels"; without a port the scheme's own is
    meant, which browsers leave out (HTTPCORSFilter.allowOrigins).
    """
    if origin == "*":
        return ".+"
    scheme, _, rest = origin.lower().partition("://")
    host, _, port = rest.partition(":")
    if host == "*":
        name = r"([^/:]+|\[[^/]+\])"
    elif host.startswith("*"):
        name = f"[^/:]+{re.escape(host[1:])}"
    else:
        name = re.escape(host)
    usual = _DEFAULT_PORTS.get(scheme)
    suffix = f"(:{usual})?" if port in ("", usual) else f":{port}"
    return f"{scheme}://{name}{suffix}"
