"""What requests of a rule get in the end (HTTPRouteRule): weights, 500s, timeouts, retries."""

from __future__ import annotations

from typing import Any

import pytest

from tests.translate.world import World, codes, http_route, service
from trilithon.model.backend import Backend
from trilithon.model.rule import Forward, Redirect, Refuse, Retry, Share
from trilithon.resources.meta import Key
from trilithon.translate.rules import DEFAULT_ATTEMPTS, MOST_ATTEMPTS

WEB = {"name": "web", "port": 80}
MISSING = {"name": "missing", "port": 80}
UNKNOWN = {"kind": "Unknown", "group": "example.com", "name": "x"}


def world_of(**rule: Any) -> World:
    return World(service("shop/web", 80), http_route(rules=[rule]))


# --- Backends by weight -----------------------------------------------------------------------------------------------
def test_backends_share_by_weight() -> None:
    rule = world_of(backendRefs=[{**WEB, "weight": 9}, WEB]).rule()
    web = Backend(Key("Service", "shop", "web"), 80)
    ref = "Service shop/web:80"
    assert rule.action == Forward((Share(0, 9, web, ref=ref), Share(1, 1, web, ref=ref)))
    assert rule.problems == ()


def test_a_bad_reference_keeps_its_share_of_500s() -> None:
    rule = world_of(backendRefs=[WEB, MISSING]).rule()
    assert isinstance(rule.action, Forward)
    bad = rule.action.shares[1]
    assert (bad.index, bad.weight, bad.backend) == (1, 1, None)
    assert bad.problem is not None
    assert rule.problems == (bad.problem,)
    assert bad.problem.path == "spec.rules[0].backendRefs[1]"


@pytest.mark.parametrize(
    ("refs", "problems", "because"),
    [
        pytest.param([], ["NoBackends"], "NoBackends", id="no backendRefs and no redirect: 500"),
        pytest.param([{**WEB, "weight": 0}], ["AllWeightsZero"], "AllWeightsZero", id="all weights 0: 500"),
        pytest.param(
            [{**WEB, "weight": 0}, {**MISSING, "weight": 0}], ["BackendNotFound", "AllWeightsZero"], "AllWeightsZero",
            id="all weights 0: bad references are reported all the same",
        ),
        pytest.param([MISSING], ["BackendNotFound"], "BackendNotFound", id="a single bad reference: 500"),
        pytest.param(
            [UNKNOWN, MISSING], ["BackendKindUnknown", "BackendNotFound"], "BackendKindUnknown",
            id="all references bad: 500 with the first reason",
        ),
        pytest.param(
            [{**UNKNOWN, "weight": 0}, MISSING, {**WEB, "weight": 0}], ["BackendKindUnknown", "BackendNotFound"],
            "BackendNotFound", id="references with weight 0 save nothing and excuse nothing",
        ),
    ],
)  # fmt: skip
def test_refused(refs: list[dict[str, Any]], problems: list[str], because: str) -> None:
    rule = world_of(backendRefs=refs).rule()
    assert codes(rule.problems) == problems
    assert isinstance(rule.action, Refuse)
    assert rule.action.status == 500
    assert rule.action.problem is not None
    assert rule.action.problem.code == because


def test_a_redirect_needs_no_backends() -> None:
    rule = world_of(filters=[{"type": "RequestRedirect", "requestRedirect": {"scheme": "https"}}]).rule()
    assert rule.action == Redirect(302, "https")
    assert rule.problems == ()


def test_rules_have_names_and_places() -> None:
    world = World(http_route(rules=[{"name": "first"}, {}]))
    assert [(rule.index, rule.name) for rule in world.rules().items] == [(0, "first"), (1, "")]


def test_the_age_of_the_route_is_kept_for_ties() -> None:
    assert World(http_route(created="2024-01-01T00:00:00Z")).rules().created == "2024-01-01T00:00:00Z"


# --- Timeouts and retries ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("written", "request_timeout", "attempt_timeout"),
    [
        pytest.param({}, None, None, id="unset is the default"),
        pytest.param({"request": "1m30s", "backendRequest": "500ms"}, 90_000, 500, id="both"),
        pytest.param({"request": "0s"}, 0, None, id="0s is no limit"),
    ],
)
def test_timeouts(written: dict[str, str], request_timeout: int | None, attempt_timeout: int | None) -> None:
    rule = world_of(backendRefs=[WEB], timeouts=written).rule()
    assert (rule.request_timeout, rule.attempt_timeout) == (request_timeout, attempt_timeout)


@pytest.mark.parametrize(
    ("written", "retry"),
    [
        pytest.param({}, Retry((), DEFAULT_ATTEMPTS), id="an empty retry is for backends out of reach"),
        pytest.param({"codes": [503, 500, 503]}, Retry((500, 503), DEFAULT_ATTEMPTS), id="codes are a set"),
        pytest.param({"attempts": 3, "backoff": "100ms"}, Retry((), 3, 100), id="attempts and backoff"),
        pytest.param({"attempts": 2**40}, Retry((), MOST_ATTEMPTS), id="more attempts than Envoy can count"),
    ],
)
def test_retries(written: dict[str, Any], retry: Retry) -> None:
    assert world_of(backendRefs=[WEB], retry=written).rule().retry == retry


def test_no_retry_is_no_retry() -> None:
    assert world_of(backendRefs=[WEB]).rule().retry is None


# --- What is not supported --------------------------------------------------------------------------------------------
def test_session_persistence_is_refused_and_not_skipped() -> None:
    rule = world_of(backendRefs=[WEB], sessionPersistence={}).rule()
    (problem,) = rule.problems
    assert (problem.code, problem.path) == ("SessionPersistenceUnsupported", "spec.rules[0].sessionPersistence")
    assert rule.action == Refuse(500, problem)


def test_use_default_gateways_is_a_warning() -> None:
    rules = World(service("shop/web", 80), http_route(useDefaultGateways="All", rules=[{"backendRefs": [WEB]}])).rules()
    assert [(problem.code, problem.severity) for problem in rules.problems] == [("FieldUnsupported", "warning")]
    assert isinstance(rules.items[0].action, Forward)
