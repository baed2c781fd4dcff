"""Encode a route's rules, once per route and whatever Gateways it is attached to."""

from __future__ import annotations

from collections.abc import Iterator

from envoy.config.route.v3.route_components_pb2 import Route

from trilithon.incremental import Read
from trilithon.model.backend import Backend
from trilithon.model.rule import Forward, Match, Redirect, Refuse, Rule, Rules
from trilithon.resources.meta import Key
from trilithon.translate.precedence import rank
from trilithon.xds.cors import with_cors
from trilithon.xds.forward import fill_forward, fill_refusal
from trilithon.xds.headers import fill_headers
from trilithon.xds.match import fill_match, takes_all
from trilithon.xds.redirect import fill_redirect
from trilithon.xds.tables import EncodedMatch, EncodedRules
from trilithon.xds.wire import delimited

# VirtualHost.routes
_ROUTES = 3


def encode_rules(read: Read, rules: Rules) -> EncodedRules:
    """Every match of every rule as Envoy routes, in the spec's order."""
    encoded = [_encode_match(rules, rule, match) for rule in rules.items for match in rule.matches]
    encoded.sort(key=lambda entry: entry.rank)
    backends = sorted({backend for rule in rules.items for backend in _backends(rule)})
    return EncodedRules(rules.route, tuple(encoded), tuple(backends))


def _encode_match(rules: Rules, rule: Rule, match: Match) -> EncodedMatch:
    action = rule.action
    acting = [_route(rules.route, rule, match)]
    answering: list[Route] = []
    if rule.filters.cors is not None:
        answering, acting = with_cors(acting[0], rule.filters.cors)
    place = rank(match, rules.created, rules.route, rule.index)
    if isinstance(action, Redirect):
        return EncodedMatch(
            rank=place,
            routes=entries(route.SerializeToString(deterministic=True) for route in answering),
            redirects=tuple(route.SerializeToString(deterministic=True) for route in acting),
            redirect=action,
            takes_all=takes_all(match),
        )
    return EncodedMatch(
        rank=place,
        routes=entries(route.SerializeToString(deterministic=True) for route in (*answering, *acting)),
        takes_all=takes_all(match),
    )


def entries(routes: Iterator[bytes] | tuple[bytes, ...]) -> bytes:
    """Encoded routes as entries of a virtual host's list."""
    return b"".join([delimited(_ROUTES, route) for route in routes])


def _route(key: Key, rule: Rule, match: Match) -> Route:
    # The name says in dumps and logs where a route comes from.
    route = Route(name=f"{key.kind}/{key.namespace}/{key.name}/{rule.index}/{match.index}")
    fill_match(route.match, match)
    match rule.action:
        case Forward() as action:
            fill_forward(route, rule, match, action)
        case Redirect() as action:
            fill_redirect(route.redirect, action, match)
            fill_headers(route, None, rule.filters.response_headers)
        case Refuse() as action:
            fill_refusal(route, action.status, action.problem)
            fill_headers(route, None, rule.filters.response_headers)
    return route


def _backends(rule: Rule) -> Iterator[Backend]:
    if not isinstance(rule.action, Forward):
        return
    shares = [share for share in rule.action.shares if share.weight > 0]
    if all(share.backend is None for share in shares):
        return
    for share in shares:
        if share.backend is not None:
            yield share.backend
    for mirror in rule.filters.mirrors:
        yield mirror.backend
