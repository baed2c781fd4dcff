"""Encode what forwards a request: clusters by weight, rewrites, mirrors, timeouts and retries."""

from __future__ import annotations

from envoy.config.core.v3.base_pb2 import RuntimeFractionalPercent
from envoy.config.route.v3.route_components_pb2 import Route, RouteAction, WeightedCluster
from envoy.type.v3.percent_pb2 import FractionalPercent

from trilithon.model.problem import reason_of
from trilithon.model.route_mistakes import NO_BACKENDS
from trilithon.model.rule import Filters, Forward, Match, Mirror, Rewrite, Rule, Share
from trilithon.resources.problem import Problem
from trilithon.xds.cors import CORS_FILTER, cors_policy
from trilithon.xds.headers import Edited, fill_headers, set_response_header, then, vary_by_origin
from trilithon.xds.names import NO_CLUSTER, cluster_name
from trilithon.xds.redirect import fill_prefix
from trilithon.xds.retry import fill_retry

# Says why a request was not forwarded, in the words of the problem catalogue.
REASON_HEADER = "x-trilithon-reason"
_MILLION = 1_000_000
_STREAM_IDLE_MILLISECONDS = 300_000


def fill_forward(route: Route, rule: Rule, match: Match, action: Forward) -> None:
    """Write the action and header changes of a rule that forwards."""
    shares = [share for share in action.shares if share.weight > 0]
    if all(share.backend is None for share in shares):
        fill_refusal(route, 500, shares[0].problem)
        fill_headers(route, None, rule.filters.response_headers)
        return
    target = route.route
    _fill_shares(route, shares, rule.filters)
    if rule.filters.rewrite is not None:
        _fill_rewrite(target, rule.filters.rewrite, match)
    for mirror in rule.filters.mirrors:
        _fill_mirror(target, mirror)
    _fill_timeouts(target, rule)
    fill_retry(target, rule)


def fill_refusal(route: Route, status: int, problem: Problem | None) -> None:
    """Write a direct response that names the reason, and nothing about the inside."""
    fill_reason(route, status, _reason(problem))


def fill_reason(route: Route, status: int, reason: str) -> None:
    """Write a direct response that says no more than this word."""
    route.direct_response.status = status
    route.direct_response.body.inline_string = f"{reason}\n"
    set_response_header(route, REASON_HEADER, reason)


def _fill_shares(route: Route, shares: list[Share], filters: Filters) -> None:
    if len(shares) == 1:
        backend = shares[0].backend
        if backend is not None:
            route.route.cluster = cluster_name(backend)
        _fill_share_filters(route, filters, shares[0].filters)
        return
    alone = all(share.filters == _NONE for share in shares)
    if alone:
        _fill_share_filters(route, filters, _NONE)
    for share in shares:
        target = route.route.weighted_clusters.clusters.add()
        target.weight.value = share.weight
        if not alone:
            _fill_share_filters(target, filters, share.filters)
        if share.backend is not None:
            target.name = cluster_name(share.backend)
        else:
            _fill_invalid(route.route, target, share)


_NONE = Filters()


def _fill_share_filters(target: Edited, filters: Filters, own: Filters) -> None:
    fill_headers(
        target,
        then(filters.request_headers, own.request_headers),
        then(filters.response_headers, own.response_headers),
    )
    if own.cors is not None:
        target.typed_per_filter_config[CORS_FILTER].Pack(cors_policy(own.cors))
        vary_by_origin(target)


def _fill_invalid(action: RouteAction, target: WeightedCluster.ClusterWeight, share: Share) -> None:
    # "requests that would have otherwise been routed to an invalid backend MUST receive a 500" (HTTPRouteRule): the
    # share goes to a cluster that never exists. Where a route has no such share, a missing cluster stays 503.
    target.name = NO_CLUSTER
    action.cluster_not_found_response_code = RouteAction.INTERNAL_SERVER_ERROR
    set_response_header(target, REASON_HEADER, _reason(share.problem))


def _reason(problem: Problem | None) -> str:
    """The word that status and `check` have for it, too."""
    return reason_of(problem) if problem is not None else NO_BACKENDS.code


def _fill_rewrite(target: RouteAction, rewrite: Rewrite, match: Match) -> None:
    if rewrite.hostname is not None:
        target.host_rewrite_literal = rewrite.hostname
    if rewrite.path is None:
        return
    if rewrite.path.kind == "full":
        target.regex_rewrite.pattern.regex = "^.*$"
        # RE2 reads a backslash in a substitution as a reference to a group.
        target.regex_rewrite.substitution = (rewrite.path.value or "/").replace("\\", "\\\\")
    else:
        fill_prefix(target, rewrite.path, match)


def _fill_mirror(target: RouteAction, mirror: Mirror) -> None:
    numerator = round(mirror.numerator * _MILLION / mirror.denominator)
    if numerator <= 0:
        return
    target.request_mirror_policies.add(
        cluster=cluster_name(mirror.backend),
        runtime_fraction=RuntimeFractionalPercent(
            default_value=FractionalPercent(numerator=numerator, denominator=FractionalPercent.MILLION)
        ),
        # The copy is the same request: Envoy would append "-shadow" to its Host.
        disable_shadow_host_suffix_append=True,
    )


def _fill_timeouts(target: RouteAction, rule: Rule) -> None:
    # Envoy's own default is 15 s for the whole response, which cuts downloads and streams. Unset means no limit here,
    # except that a stream on which nothing moves for five minutes ends (the listener's stream idle timeout).
    target.timeout.FromMilliseconds(rule.request_timeout or 0)
    if rule.request_timeout == 0:
        # "0s" asks for no timeout at all.
        target.idle_timeout.FromMilliseconds(0)
        return
    longest = max(rule.request_timeout or 0, rule.attempt_timeout or 0)
    if longest > _STREAM_IDLE_MILLISECONDS:
        target.idle_timeout.FromMilliseconds(longest)
