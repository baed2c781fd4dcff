"""Compare what ``explain`` says of a request with what Envoy and the backend made of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tests.oracle.asking import Asked
from tests.system.client import Answer
from trilithon.inspect.answer import edited_headers
from trilithon.inspect.decision import BackendShare, Decision, Forwarded
from trilithon.inspect.explain import explain
from trilithon.inspect.request import parse
from trilithon.model.problem import reason_of
from trilithon.model.rule import HeaderEdit
from trilithon.pipeline import Translation

REASON_HEADER = "x-trilithon-reason"
# Headers that requests and routes of the oracle use; Envoy adds others, which are not looked at.
LOOKED_AT = ("x-a", "x-b", "x-c", "x-new", "x-other")
RESPONSE_LOOKED_AT = ("x-resp", "x-two")


def decide(translation: Translation, asked: Asked) -> Decision:
    """What ``explain`` says."""
    headers = [f"{name}: {value}" for name, value in (("host", asked.host), *asked.headers)]
    return explain(translation, parse(asked.method, asked.url, headers))


def differences(asked: Asked, decision: Decision, answer: Answer | None) -> list[str]:
    """Where the answer is not what the decision says; None is a refused TLS handshake."""
    if decision.outcome == "no-listener" or answer is None:
        agreed = decision.outcome == "no-listener" and answer is None
        return [] if agreed else [f"explain: {_words(decision)}; Envoy: {_answered(answer)}"]
    if decision.outcome in ("direct", "no-route"):
        return list(_direct(decision, answer))
    if decision.outcome == "redirect":
        return list(_redirect(decision, answer))
    return _forward(asked, decision, answer)


def _direct(decision: Decision, answer: Answer) -> Iterator[str]:
    statuses = {decision.status, *(share.status for share in decision.backends)} - {None}
    if answer.status not in statuses or answer.backend is not None:
        yield f"explain: {_words(decision)}; Envoy: {_answered(answer)}"
    elif decision.problem is not None and answer.header(REASON_HEADER) != reason_of(decision.problem):
        yield f"explain: {reason_of(decision.problem)}; Envoy: {answer.header(REASON_HEADER)}"


def _redirect(decision: Decision, answer: Answer) -> Iterator[str]:
    if answer.status != decision.status:
        yield f"explain: {_words(decision)}; Envoy: {_answered(answer)}"
    elif answer.header("location") != decision.location:
        yield f"explain: Location {decision.location}; Envoy: Location {answer.header('location')}"


def _forward(asked: Asked, decision: Decision, answer: Answer) -> list[str]:
    if answer.backend is None:
        statuses = {share.status for share in decision.backends}
        return [] if answer.status in statuses else [f"explain: {_words(decision)}; Envoy: {_answered(answer)}"]
    share = next((each for each in decision.backends if _name(each) == answer.backend and each.status is None), None)
    if share is None or answer.status != 200:
        return [f"explain: {_words(decision)}; Envoy: {_answered(answer)}"]
    way = share.request if share.request is not None else decision.request
    if way is None:
        return [f"explain does not say how the request of {share.ref} looks"]
    found = list(_response(way, answer))
    return found if asked.method == "HEAD" else [*found, *_received(asked, way, answer)]


def _name(share: BackendShare) -> str:
    return share.ref.partition("/")[2].partition(":")[0]


def _received(asked: Asked, way: Forwarded, answer: Answer) -> Iterator[str]:
    echo = answer.echo
    for name, expected in (("method", way.method), ("path", way.target), ("host", way.host)):
        if echo[name] != expected:
            yield f"explain: the backend gets {name} {expected!r}; it got {echo[name]!r}"
    received = _by_name((name, value) for name, value in echo["headers"])
    edited = _by_name(edited_headers(asked.headers, HeaderEdit(way.set, way.add, way.remove)))
    for name in LOOKED_AT:
        if _values(edited.get(name)) != _values(received.get(name)):
            yield f"explain: the backend gets {name} {edited.get(name)}; it got {received.get(name)}"


def _response(way: Forwarded, answer: Answer) -> Iterator[str]:
    received = _by_name(answer.headers)
    edited = _by_name(edited_headers((), HeaderEdit(way.response_set, way.response_add, way.response_remove)))
    for name in RESPONSE_LOOKED_AT:
        if _values(edited.get(name)) != _values(received.get(name)):
            yield f"explain: the client gets {name} {edited.get(name)}; it got {received.get(name)}"


def _by_name(headers: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in headers:
        found.setdefault(name.lower(), []).append(value)
    return found


def _values(values: list[str] | None) -> list[str] | None:
    # Fields of one name may be joined by commas on the way (RFC 9110, 5.3).
    return None if values is None else [each.strip() for value in values for each in value.split(",")]


def _words(decision: Decision) -> str:
    parts = [decision.outcome, str(decision.status or ""), decision.location or "", decision.reason]
    if decision.route is not None:
        parts.append(f"by {decision.route} rules[{decision.rule}]")
    parts += [f"{share.ref} {share.status or ''}" for share in decision.backends]
    return " ".join(part for part in parts if part)


def _answered(answer: Answer | None) -> str:
    if answer is None:
        return "no answer"
    more = [answer.backend, answer.header("location"), answer.header(REASON_HEADER)]
    return " ".join([str(answer.status), *(text for text in more if text)])
