"""Check lines such as ``GET http://a.test/x {x-user: bob} -> Service shop/web:80, as GET /y``.

Left of the arrow is a request, right of it what becomes of it:

- ``Service ns/name:port`` (or ``Backend ns/name``), with its share where there are several, and with what its share
  gets instead where it cannot be reached: ``Service shop/a:80 50%, Service shop/b:80 50% 500 BackendNotFound``;
- ``302 http://...`` a redirect, ``500 BackendNotFound`` a direct answer with the problem behind it, ``404``, ``421``;
- ``no listener`` where nobody listens.

Clauses follow, each after a comma: ``as METHOD TARGET``, ``host NAME``, ``set NAME: VALUE``, ``add NAME: VALUE``,
``remove NAME``, ``response set|add|remove ...``, ``mirrored to BACKEND``. What a line does not mention is unchanged.
Only where they are written these are looked at: ``by KIND ns/name rules[N]``, ``by listener NAME``,
``within DURATION`` and ``each attempt within DURATION`` (ms), ``retried N times on CODES``, ``backoff N ms``,
``lost KIND ns/name: REASON``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.casefile import CaseError, Line
from trilithon.inspect.decision import BackendShare, Decision
from trilithon.inspect.explain import explain
from trilithon.inspect.request import BadRequestError, Request, parse
from trilithon.model.rule import Rule
from trilithon.model.tables import RULES
from trilithon.pipeline import Translation

_LINE = re.compile(r"(?P<method>[A-Z]+) (?P<url>\S+)(?: \{(?P<headers>[^}]*)\})? -> (?P<expected>.+)")
_BACKEND = r"(?:Service|Backend) [a-z0-9-]+/[a-z0-9.-]+(?::\d+)?"
_OUTCOME = re.compile(
    rf"{_BACKEND}(?: \d+(?:\.\d+)?%)?(?: \d{{3}}(?: [A-Z]\w+)?)?|30[12378] \S+|[245]\d\d(?: [A-Z]\w+)?|no listener"
)
_EDIT = r"(?:response )?(?:(?:set|add) [!-9;-~]+: .*|remove \S+)"
_CLAUSE = re.compile(rf"as [A-Z]+ /\S*|host \S+|{_EDIT}|mirrored to {_BACKEND}")
_ASKED = re.compile(
    r"by [A-Z]\w+ \S+ rules\[\d+\]|by listener \S+|(?:each attempt )?within \d+ ms|retried \d+ times(?: on [\d ]+)?"
    r"|backoff \d+ ms|lost [A-Z]\w+ [^:]+: .+"
)


def check(translation: Translation, line: Line) -> str | None:
    """What differs, or None. Raises CaseError where the line cannot be read."""
    found = _LINE.fullmatch(line.text)
    if found is None:
        raise CaseError(f"{line.place}: {line.text!r} is not 'METHOD URL -> outcome'")
    expected = _split(found["expected"])
    for index, part in enumerate(expected):
        if not (_OUTCOME.fullmatch(part) or (index and (_CLAUSE.fullmatch(part) or _ASKED.fullmatch(part)))):
            raise CaseError(f"{line.place}: {part!r} is neither an outcome nor a clause")
    headers = [text for text in (found["headers"] or "").split("; ") if text]
    try:
        request = parse(found["method"], found["url"], headers)
    except BadRequestError as error:
        raise CaseError(f"{line.place}: {error}") from None
    decision = explain(translation, request)
    asked = [part for part in expected if _ASKED.fullmatch(part)]
    told = [*_outcome(decision), *_clauses(request, decision)]
    facts = set(_facts(translation, decision))
    missing = [part for part in asked if part not in facts]
    if sorted(told) == sorted(part for part in expected if part not in asked) and not missing:
        return None
    more = f"\n    and of what was asked: {'; '.join(sorted(facts))}" if missing else ""
    why = f" ({decision.reason})" if decision.reason else ""
    return f"{line.place}: {line.text}\n    but -> {', '.join(told)}{why}{more}"


def _split(text: str) -> list[str]:
    # A value of a header may hold a comma; what follows it then is no part of its own.
    parts: list[str] = []
    for part in text.split(", "):
        known = _OUTCOME.fullmatch(part) or _CLAUSE.fullmatch(part) or _ASKED.fullmatch(part)
        if known or not parts or not re.match(r"(response )?(set|add) ", parts[-1]):
            parts.append(part)
        else:
            parts[-1] += f", {part}"
    return parts


def _outcome(decision: Decision) -> Iterator[str]:
    if decision.outcome == "no-listener":
        yield "no listener"
    elif decision.outcome == "redirect":
        yield f"{decision.status} {decision.location}"
    elif decision.backends and (decision.outcome == "forward" or len(decision.backends) > 1):
        for share in decision.backends:
            yield _share(share, len(decision.backends) == 1)
    else:
        yield f"{decision.status} {decision.problem.code}" if decision.problem else str(decision.status)


def _share(share: BackendShare, is_alone: bool) -> str:
    words = [share.ref]
    if not is_alone:
        words.append(f"{share.percent:.2f}".rstrip("0").rstrip(".") + "%")
    if share.status is not None:
        words.append(str(share.status))
    if share.problem is not None:
        words.append(share.problem.code)
    return " ".join(words)


def _clauses(request: Request, decision: Decision) -> Iterator[str]:
    way = decision.request
    if way is None or decision.outcome != "forward":
        return
    if (way.method, way.target) != (request.method, request.target):
        yield f"as {way.method} {way.target}"
    if way.host != request.authority:
        yield f"host {way.host}"
    for prefix, set_, add, remove in (
        ("", way.set, way.add, way.remove),
        ("response ", way.response_set, way.response_add, way.response_remove),
    ):
        yield from (f"{prefix}set {name}: {value}" for name, value in set_)
        yield from (f"{prefix}add {name}: {value}" for name, value in add)
        yield from (f"{prefix}remove {name}" for name in remove)
    yield from (f"mirrored to {backend}" for backend in way.mirrors)


def _facts(translation: Translation, decision: Decision) -> Iterator[str]:
    if decision.listener is not None:
        yield f"by listener {decision.listener}"
    for loser in decision.lost:
        at = f" rules[{loser.rule}]" if loser.rule is not None else ""
        yield f"lost {loser.route}{at}: {loser.reason}"
    if decision.route is None or decision.rule is None:
        return
    yield f"by {decision.route} rules[{decision.rule}]"
    rules = translation.engine.row(RULES, decision.route)
    if rules is not None:
        yield from _limits(rules.items[decision.rule])


def _limits(rule: Rule) -> Iterator[str]:
    if rule.request_timeout is not None:
        yield f"within {rule.request_timeout} ms"
    if rule.attempt_timeout is not None:
        yield f"each attempt within {rule.attempt_timeout} ms"
    if rule.retry is not None:
        codes = " ".join(str(code) for code in rule.retry.codes)
        yield f"retried {rule.retry.attempts} times{' on ' + codes if codes else ''}"
        if rule.retry.backoff is not None:
            yield f"backoff {rule.retry.backoff} ms"
