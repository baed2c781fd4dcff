"""Say on what terms a rule answers: how long it waits, how often it tries, which origins may read the answer."""

from __future__ import annotations

import re

from trilithon.inspect.decision import Terms
from trilithon.inspect.request import Request
from trilithon.model.rule import Cors, Forward, Rule
from trilithon.xds.cors import origin_pattern


def terms_of(rule: Rule, request: Request) -> Terms:
    """Everything that the rule says beside what it does."""
    cors = cors_of(rule)
    forwards = isinstance(rule.action, Forward)
    return Terms(
        timeout=_timeout(rule) if forwards else "",
        retry=_retry(rule) if forwards else "",
        cors=cors_text(cors, request) if cors is not None else "",
    )


def cors_of(rule: Rule) -> Cors | None:
    """The CORS settings that a request meets: the rule's, or those of its only backend."""
    if rule.filters.cors is not None or not isinstance(rule.action, Forward):
        return rule.filters.cors
    weighted = [share for share in rule.action.shares if share.weight]
    return weighted[0].filters.cors if len(weighted) == 1 and weighted[0].backend is not None else None


def is_preflight(cors: Cors | None, request: Request) -> bool:
    """Whether the Gateway answers the request itself (HTTPRouteFilter.cors)."""
    return (
        cors is not None
        and request.method == "OPTIONS"
        and request.header("origin") is not None
        and request.header("access-control-request-method") is not None
    )


def cors_text(cors: Cors, request: Request) -> str:
    """What the request's origin may do; "" where it names none."""
    origin = request.header("origin")
    if origin is None:
        return ""
    if not allows(cors, origin):
        allowed = ", ".join(cors.allow_origins) or "none"
        return f"origin {origin} is not allowed (allowed: {allowed}): no Access-Control-Allow-Origin"
    methods, headers = ", ".join(cors.allow_methods), ", ".join(cors.allow_headers)
    asked = [f"methods {methods}" if methods else "", f"headers {headers}" if headers else ""]
    what = ", ".join(part for part in asked if part) if is_preflight(cors, request) else ""
    return f"origin {origin} is allowed" + (f", with {what}" if what else "")


def allows(cors: Cors, origin: str) -> bool:
    """Whether an origin is among those allowed."""
    return any(re.fullmatch(origin_pattern(each), origin) is not None for each in cors.allow_origins)


def _timeout(rule: Rule) -> str:
    parts = []
    if rule.request_timeout is not None:
        parts.append(f"{_duration(rule.request_timeout)} for the whole answer")
    if rule.attempt_timeout:
        parts.append(f"{_duration(rule.attempt_timeout)} for each attempt")
    return ", ".join(parts)


def _duration(milliseconds: int) -> str:
    if milliseconds == 0:
        return "no limit"
    return f"{milliseconds / 1000:g} s" if milliseconds >= 1000 else f"{milliseconds} ms"


def _retry(rule: Rule) -> str:
    retry = rule.retry
    if retry is None or not retry.attempts:
        return ""
    times = "once" if retry.attempts == 1 else f"{retry.attempts} times"
    codes = f", on {', '.join(map(str, retry.codes))}" if retry.codes else ""
    pause = f", after at least {retry.backoff} ms" if retry.backoff is not None else ""
    return f"{times}{codes} and where no backend can be reached{pause}"
