"""Work out the rules of an HTTPRoute: what each matches, what it changes and where its requests go."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

from msgspec.structs import replace

from trilithon.incremental import Read
from trilithon.model import route_mistakes as mistakes
from trilithon.model.mistake import FIELD_UNSUPPORTED
from trilithon.model.rule import Action, Cors, Filters, Forward, Match, Mirror, Refuse, Retry, Rule, Rules, Share
from trilithon.model.settings import Settings
from trilithon.resources.duration import parse_duration
from trilithon.resources.meta import Key
from trilithon.resources.problem import Problem
from trilithon.resources.routes import HTTPRouteRetry, HTTPRouteRule, Route
from trilithon.translate.backends import Resolve, backend_of, described
from trilithon.translate.filters import IN_BACKEND, IN_ONLY_BACKEND, IN_RULE, Effect, filters_of
from trilithon.translate.flaws import with_flaws
from trilithon.translate.matches import matches_of

# The spec leaves the number of retries open; one is Envoy's own default, and more would multiply the load on a backend
# that is already failing.
DEFAULT_ATTEMPTS = 1
# Envoy counts retries in 32 bits.
MOST_ATTEMPTS = 2**32 - 1


def rules_of(settings: Settings, read: Read, route: Route) -> Rules:
    """All rules of a route, each with everything that is wrong with it."""
    spec = route.spec
    problems: list[Problem] = []
    if spec.use_default_gateways is not None:
        at = "spec.useDefaultGateways"
        problems.append(FIELD_UNSUPPORTED.at(route.key, at, field="useDefaultGateways"))
    resolve = partial(backend_of, settings, read, route.key)
    rules = Rules(
        route=route.key,
        created=route.created,
        items=tuple(_rule(resolve, route.key, index, rule) for index, rule in enumerate(spec.rules)),
        problems=tuple(problems),
    )
    return with_flaws(rules, route.flaws)


def _rule(resolve: Resolve, route: Key, index: int, written: HTTPRouteRule) -> Rule:
    at = f"spec.rules[{index}]"
    matches, bad_matches = matches_of(route, written.matches, at)
    effect = filters_of(resolve, route, written.filters, at, IN_RULE)
    shares, in_backends = _shares(resolve, route, written, at)
    refusals = (
        *bad_matches,
        *effect.refusals,
        *in_backends.refusals,
        *_incompatible(route, effect, matches, at),
        *_unsupported(route, written, at),
    )
    attempt_timeout = _timeout(written.timeouts.backend_request if written.timeouts else None)
    retry = _retry(written.retry)
    if retry is not None or attempt_timeout:
        shares = tuple(map(_tried_again_by_route, shares))
    action, nowhere = _action(route, effect, refusals, shares, at)
    filters = effect.filters
    return Rule(
        index=index,
        name=written.name or "",
        matches=matches,
        filters=Filters(
            request_headers=filters.request_headers,
            response_headers=filters.response_headers,
            rewrite=filters.rewrite,
            mirrors=(*filters.mirrors, *in_backends.filters.mirrors),
            cors=filters.cors or in_backends.filters.cors,
        ),
        action=action,
        request_timeout=_timeout(written.timeouts.request if written.timeouts else None),
        attempt_timeout=attempt_timeout,
        retry=retry,
        problems=(
            *refusals,
            *(share.problem for share in shares if share.problem is not None),
            *effect.problems,
            *in_backends.problems,
            *nowhere,
        ),
    )


def _shares(resolve: Resolve, route: Key, written: HTTPRouteRule, at: str) -> tuple[tuple[Share, ...], Effect]:
    """The backends by weight, and what their filters do beyond their own share."""
    shares: list[Share] = []
    refusals: list[Problem] = []
    problems: list[Problem] = []
    mirrors: tuple[Mirror, ...] = ()
    cors: Cors | None = None
    is_only = len(written.backend_refs) == 1
    supported = IN_ONLY_BACKEND if is_only else IN_BACKEND
    for index, ref in enumerate(written.backend_refs):
        where = f"{at}.backendRefs[{index}]"
        backend, problem = resolve(ref, where)
        effect = filters_of(resolve, route, ref.filters, where, supported)
        changed = effect.filters
        own = Filters(
            request_headers=changed.request_headers,
            response_headers=changed.response_headers,
            cors=None if is_only else changed.cors,
        )
        shares.append(Share(index, ref.weight, backend, problem, own, described(route, ref)))
        refusals += effect.refusals
        problems += effect.problems
        if is_only:
            # What is said of a rule's only backend is said of the rule.
            mirrors, cors = changed.mirrors, changed.cors
    effect = Effect(filters=Filters(mirrors=mirrors, cors=cors), refusals=tuple(refusals), problems=tuple(problems))
    return tuple(shares), effect


def _tried_again_by_route(share: Share) -> Share:
    """The share with the backend that leaves it to the rule what is tried again."""
    return share if share.backend is None else replace(share, backend=replace(share.backend, retries="by route"))


def _action(
    route: Key, effect: Effect, refusals: Sequence[Problem], shares: tuple[Share, ...], at: str
) -> tuple[Action, tuple[Problem, ...]]:
    """What requests get in the end, and the problem of a rule that leads nowhere."""
    if refusals:
        return Refuse(500, refusals[0]), ()
    if effect.redirect is not None:
        return effect.redirect, ()
    if not shares:
        problem = mistakes.NO_BACKENDS.at(route, at)
        return Refuse(500, problem), (problem,)
    weighted = [share for share in shares if share.weight > 0]
    if not weighted:
        # Envoy refuses a total weight of 0, and the spec says nothing of it.
        problem = mistakes.ALL_WEIGHTS_ZERO.at(route, f"{at}.backendRefs")
        return Refuse(500, problem), (problem,)
    if all(share.backend is None for share in weighted):
        return Refuse(500, weighted[0].problem), ()
    return Forward(shares), ()


def _incompatible(route: Key, effect: Effect, matches: Iterable[Match], at: str) -> Iterable[Problem]:
    """Combinations that cannot be served; most are refused by the API server already."""
    if effect.redirect is not None and effect.filters.rewrite is not None:
        what = "RequestRedirect and URLRewrite cannot be combined"
        yield mistakes.RULE_FILTERS_INCOMPATIBLE.at(route, f"{at}.filters", what=what)
    if effect.redirect is not None and effect.filters.mirrors:
        what = "RequestRedirect and RequestMirror cannot be combined: a redirected request goes to no backend"
        yield mistakes.RULE_FILTERS_INCOMPATIBLE.at(route, f"{at}.filters", what=what)
    edits = [changed.path for changed in (effect.redirect, effect.filters.rewrite) if changed is not None]
    replaces_prefix = any(edit is not None and edit.kind == "prefix" for edit in edits)
    if replaces_prefix and any(match.path.kind != "prefix" for match in matches):
        what = "ReplacePrefixMatch needs a match of type PathPrefix"
        yield mistakes.RULE_VALUE_UNSUPPORTED.at(route, f"{at}.filters", what=what)


def _unsupported(route: Key, written: HTTPRouteRule, at: str) -> Iterable[Problem]:
    if written.session_persistence is not None:
        yield mistakes.RULE_SESSION_PERSISTENCE.at(route, f"{at}.sessionPersistence")


def _timeout(written: str | None) -> int | None:
    return None if written is None else parse_duration(written)


def _retry(written: HTTPRouteRetry | None) -> Retry | None:
    """No codes means none: without the user's word, a request that a backend has answered is not sent twice."""
    if written is None:
        return None
    return Retry(
        codes=tuple(sorted(set(written.codes))),
        attempts=min(written.attempts or DEFAULT_ATTEMPTS, MOST_ATTEMPTS),
        backoff=_timeout(written.backoff),
    )
