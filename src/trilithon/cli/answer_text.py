"""Word the answer of ``explain``, as text for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import click

from trilithon.cli.manifests import Manifests
from trilithon.cli.printing import columns, dim, printable
from trilithon.inspect.answer import edited_headers
from trilithon.inspect.closeness import closest_first
from trilithon.inspect.decision import BackendShare, Decision, Forwarded, Lost
from trilithon.inspect.hints import no_endpoints, with_hint
from trilithon.inspect.request import Request
from trilithon.model.backend import Backend
from trilithon.model.problem import reason_of
from trilithon.model.rule import Forward, HeaderEdit
from trilithon.model.tables import LISTENERS, RULES
from trilithon.resources.meta import Key
from trilithon.resources.problem import Problem

# Enough to see why; the JSON has all of them.
MOST_LOST = 6
# Beyond this, where something stands comes right behind it instead of into a column.
WIDEST = 100
LABEL = 10

# A label, a text, and where it stands.
Row = tuple[str, str, str]


def as_json(decision: Decision, request: Request, manifests: Manifests) -> dict[str, Any]:
    """The answer for programs."""
    return {
        "outcome": decision.outcome,
        "status": decision.status,
        "gateway": decision.gateway.path if decision.gateway else None,
        "listener": decision.listener,
        "route": str(decision.route) if decision.route else None,
        "rule": decision.rule,
        "match": decision.match,
        "backends": [{"ref": each.ref, "weight": each.weight} for each in decision.backends],
        "location": decision.location,
        "request": _request_json(request, decision.request) if decision.request else None,
        "lost": [
            {"route": str(each.route), "rule": each.rule, "match": each.match, "reason": each.reason}
            for each in decision.lost
        ],
    }


def _request_json(request: Request, forwarded: Forwarded) -> dict[str, Any]:
    return {
        "method": forwarded.method,
        "path": forwarded.target,
        "host": forwarded.host,
        "headers": [list(pair) for pair in resulting_headers(request.headers, forwarded)],
    }


def resulting_headers(headers: Iterable[tuple[str, str]], forwarded: Forwarded) -> list[tuple[str, str]]:
    """The headers that the filters leave, names in lower case."""
    return edited_headers(headers, HeaderEdit(forwarded.set, forwarded.add, forwarded.remove))


def as_text(decision: Decision, request: Request, manifests: Manifests) -> list[str]:
    """The answer for people: what happens in the first line, the way there below, the losers last."""
    return [*_head(decision), *_Way(decision, request, manifests).lines()]


def _head(decision: Decision) -> Iterator[str]:
    arrow = click.style("->", bold=True)
    status = click.style(str(decision.status), bold=True, fg=_colour(decision.status)) if decision.status else ""
    if decision.outcome == "forward":
        yield f"{arrow} {', '.join(_share_text(each, decision.backends) for each in decision.backends)}"
    elif decision.outcome == "redirect":
        yield f"{arrow} {status}  Location: {printable(decision.location or '')}"
    elif decision.outcome == "no-listener":
        yield f"{arrow} nobody listens: {printable(decision.reason)}"
    else:
        yield f"{arrow} {status}  {printable(_reason(decision))}"


def _colour(status: int | None) -> str:
    return "green" if status is None or status < 300 else "yellow" if status < 400 else "red"


def _reason(decision: Decision) -> str:
    """One problem of all backends is a better reason than that there is one."""
    problems = {each.problem for each in decision.backends}
    only = problems.pop() if len(problems) == 1 else None
    return f"{reason_of(only)}: {only.message}" if only else decision.reason


def _share_text(share: BackendShare, all_shares: tuple[BackendShare, ...]) -> str:
    percent = f"{share.percent:.3g}% " if len(all_shares) > 1 else ""
    return f"{percent}{share.ref}" + (f" (answered {share.status})" if share.status else "")


def _laid_out(rows: list[Row]) -> list[str]:
    """Labels, texts and places as three columns; a long text does not move the places of all others."""
    rows = [(label, printable(text), printable(place)) for label, text, place in rows]
    column = max((len(text) for _, text, _ in rows if len(text) <= WIDEST), default=0)
    return [
        f"   {label:{LABEL}}{text:{column}}  {dim(place)}" if place else f"   {label:{LABEL}}{text}".rstrip()
        for label, text, place in rows
    ]


class _Way:
    """The lines below the first."""

    def __init__(self, decision: Decision, request: Request, manifests: Manifests) -> None:
        self._decision = decision
        self._request = request
        self._manifests = manifests

    def lines(self) -> list[str]:
        """All of them, places in a column where that is not far away."""
        rows = [*self._gateway(), *self._rule(), *self._terms(), *self._backends(), *self._forwarded()]
        lost = self._lost()
        return [*_laid_out(rows), *_laid_out(lost), *self._more()]

    def _place(self, key: Key | None, path: str) -> str:
        found = self._manifests.position(key, path) if key is not None else None
        return f"{found[0]}:{found[1]}" if found is not None else ""

    def _gateway(self) -> Iterator[Row]:
        decision = self._decision
        if decision.gateway is None:
            return
        listeners = self._manifests.translation.engine.row(LISTENERS, decision.gateway)
        items = listeners.items if listeners is not None else ()
        path = next((item.path for item in items if item.key.name == decision.listener), "")
        yield "Gateway", f"{decision.gateway.path}, {decision.listener_text}", self._place(decision.gateway, path)

    def _rule(self) -> Iterator[Row]:
        decision = self._decision
        if decision.route is None:
            return
        host = decision.virtual_host or "*"
        kind = "any hostname" if host == "*" else "wildcard" if host.startswith("*.") else "exact"
        shown = self._request.host if host == "*" else host
        yield "Host", f"{shown}  from {decision.route} ({kind})", ""
        name = f' "{decision.rule_name}"' if decision.rule_name else ""
        text = f"{decision.route} rules[{decision.rule}]{name}   {decision.match_text}"
        yield "Rule", text, self._place(decision.route, f"spec.rules[{decision.rule}]")
        if decision.problem is not None:
            label = "Backend" if ".backendRefs" in decision.problem.path else "Problem"
            yield label, decision.problem.message, self._place(decision.problem.key, decision.problem.path)
            yield from self._hint(decision.problem)

    def _terms(self) -> Iterator[Row]:
        terms = self._decision.terms
        rows = (("Timeout", terms.timeout), ("Retry", terms.retry), ("CORS", terms.cors))
        yield from ((label, text, "") for label, text in rows if text)

    def _backends(self) -> Iterator[Row]:
        for share in self._decision.backends:
            percent = f"  {share.percent:.3g}%" if len(self._decision.backends) > 1 else ""
            if share.problem is not None:
                what = f"  {share.status}: {share.problem.message}"
            elif share.status is not None:
                what = f"  {share.status}: no endpoint is ready"
            else:
                shown = ", ".join(share.endpoints[:3])
                more = f" and {len(share.endpoints) - 3} more" if len(share.endpoints) > 3 else ""
                what = f"  at {shown}{more}"
            yield "Backend", f"{share.ref}{percent}{what}", self._place(self._decision.route, share.path)
            if share.problem is not None:
                yield from self._hint(share.problem)
            elif share.status is not None and (backend := self._backend(share)) is not None:
                hint = no_endpoints(self._manifests.translation.engine, backend.object)
                yield from ((("", f"hint: {hint}", ""),) if hint else ())

    def _backend(self, share: BackendShare) -> Backend | None:
        """What a backend reference resolved to."""
        decision = self._decision
        rules = self._manifests.translation.engine.row(RULES, decision.route) if decision.route else None
        for rule in rules.items if rules is not None else ():
            if rule.index == decision.rule and isinstance(rule.action, Forward):
                return next(
                    (each.backend for each in rule.action.shares if share.path.endswith(f"[{each.index}]")), None
                )
        return None

    def _hint(self, problem: Problem) -> Iterator[Row]:
        hint = with_hint(self._manifests.translation.engine, problem).hint
        if hint:
            yield "", f"hint: {hint}", ""

    def _forwarded(self) -> Iterator[Row]:
        """What the backend gets and what the client gets back, where a filter changes it."""
        way = self._decision.request
        if way is None or not any(share.status is None for share in self._decision.backends):
            return
        yield "Request", f"{way.method} {way.target}", ""
        yield "", f"host: {way.host}", ""
        for name, value in resulting_headers(self._request.headers, way):
            yield "", f"{name}: {value}", ""
        for name in way.remove:
            yield "", f"(without {name.lower()})", ""
        for backend in way.mirrors:
            yield "Mirror", backend, ""
        changes = [f"sets {name}: {value}" for name, value in way.response_set]
        changes += [f"adds {name}: {value}" for name, value in way.response_add]
        changes += [f"removes {name}" for name in way.response_remove]
        for at, change in enumerate(changes):
            yield "" if at else "Response", change, ""

    def _shown_and_more(self) -> tuple[tuple[Lost, ...], int]:
        engine = self._manifests.translation.engine
        ordered = closest_first(engine, self._request, self._decision.lost)
        return ordered[:MOST_LOST], max(0, len(ordered) - MOST_LOST)

    def _lost(self) -> list[Row]:
        shown, _ = self._shown_and_more()
        cells = [
            (f"{each.route} rules[{each.rule}]" if each.rule is not None else str(each.route), each.what, each.reason)
            for each in shown
        ]
        lines = columns(cells) if cells else []
        return [
            ("" if at else "Lost", line, self._place(each.route, each.path))
            for at, (line, each) in enumerate(zip(lines, shown, strict=True))
        ]

    def _more(self) -> list[str]:
        _, more = self._shown_and_more()
        return [f"   {'':{LABEL}}and {more} more; -o json lists all"] if more else []
