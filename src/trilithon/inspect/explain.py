"""Decide what happens to one request, and say why each other candidate lost."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from trilithon.incremental import Engine
from trilithon.inspect.answer import forwarded, location
from trilithon.inspect.decision import BackendShare, Decision, Lost, Terms
from trilithon.inspect.listening import describe, find_listener
from trilithon.inspect.matching import failed_condition, path_condition
from trilithon.inspect.request import Request, canonical_path, has_escaped_slash
from trilithon.inspect.terms import cors_of, cors_text, is_preflight, terms_of
from trilithon.model.backend import BackendKey
from trilithon.model.listener import HostKey, Listener
from trilithon.model.problem import reason_of
from trilithon.model.rule import Filters, Forward, Match, Redirect, Refuse, Rule, Rules, Share
from trilithon.model.tables import ADDRESSES, ATTACHMENTS, RULES
from trilithon.pipeline import Translation
from trilithon.resources.meta import Key
from trilithon.translate.hostnames import specificity, wider
from trilithon.translate.precedence import Rank, rank, why_later
from trilithon.xds.tables import BY_HOST

_NO_TUNNEL = Decision(
    outcome="no-route",
    status=404,
    reason="CONNECT asks for a tunnel and has no path, and every rule matches by path: no route takes it",
)


class _Candidate(Struct, frozen=True):
    """One match of one rule under one hostname; the smaller order comes first."""

    order: tuple[tuple[int, int], tuple[int, int], Rank]
    hostname: str
    rules: Rules
    rule: Rule
    match: Match


def explain(translation: Translation, request: Request, listener: str | None = None) -> Decision:
    """What happens to a request. ``listener`` names the listener to ask, instead of the URL's port.

    Raises UnknownListenerError.
    """
    engine, settings = translation.engine, translation.settings
    refusal = _refused_at_the_edge(request)
    found = find_listener(engine, settings, request, listener)
    if isinstance(found, Decision):
        # Whoever is connected at all is told first what is wrong with the request itself.
        return found if refusal is None or found.outcome == "no-listener" else _replaced_at(found, refusal)
    owner = found.listener
    if refusal is not None:
        return _at(owner, refusal)
    path = canonical_path(request.path)
    candidates = _candidates(engine, owner, request.host)
    failures = {id(each): failed_condition(each.match, request, path) for each in candidates}
    winner = next((each for each in candidates if failures[id(each)] is None), None)
    lost = [
        _lost(each, failures[id(each)] or _why_behind(winner, each))
        for each in candidates
        if winner is None or each.rule is not winner.rule
    ]
    lost += _elsewhere(engine, owner, {each.rules.route for each in candidates}, request.host)
    if winner is None:
        reason = f"no rule of {describe(owner)} matches" if candidates else f"no route serves {request.host} here"
        return _at(owner, Decision(outcome="no-route", status=404, reason=reason, lost=tuple(lost)))
    decision = _outcome(translation, winner, request, path, owner)
    return _at(
        owner,
        decision,
        virtual_host=winner.hostname,
        route=winner.rules.route,
        rule=winner.rule.index,
        rule_name=winner.rule.name,
        match=winner.match.index,
        match_text=describe_match(winner.match),
        terms=terms_of(winner.rule, request) if decision.outcome in {"forward", "redirect"} else Terms(),
        lost=tuple(lost),
    )


def _refused_at_the_edge(request: Request) -> Decision | None:
    """What every Envoy listener of ours answers by itself (the edge defaults)."""
    if any("_" in name for name, _ in request.headers):
        name = next(name for name, _ in request.headers if "_" in name)
        return Decision(outcome="direct", status=400, reason=f"the header name {name} has an underscore")
    if request.method == "CONNECT":
        # What a client sends then has no path, whatever the URL says.
        return _NO_TUNNEL
    if "%00" in request.path:
        return Decision(outcome="direct", status=400, reason="the path has an escaped zero byte")
    if has_escaped_slash(request.path):
        query = f"?{request.query}" if request.query is not None else ""
        return Decision(
            outcome="redirect",
            status=307,
            reason="the path has an escaped slash, so the client is sent to the path without",
            # Envoy names the path alone; the client stays where it is (RFC 9110, 10.2.2).
            location=f"{canonical_path(request.path)}{query}",
        )
    return None


def _at(listener: Listener, decision: Decision, **more: object) -> Decision:
    return _replaced(
        decision,
        gateway=listener.key.gateway,
        listener=listener.key.name,
        listener_text=describe(listener),
        **more,
    )


def _replaced_at(found: Decision, refusal: Decision) -> Decision:
    return _replaced(refusal, gateway=found.gateway, listener=found.listener, listener_text=found.listener_text)


def _replaced(decision: Decision, **fields: object) -> Decision:
    values = {name: getattr(decision, name) for name in decision.__struct_fields__}
    return Decision(**(values | fields))


def _candidates(engine: Engine, listener: Listener, host: str) -> list[_Candidate]:
    """Every match under every hostname of the listener that covers the host, first to last.

    The most specific hostname comes first, and what it does not match falls to wider ones of the same listener.
    """
    found: list[_Candidate] = []
    seen: set[Key] = set()
    for hostname in (host, *wider(host)):
        key = HostKey(listener.table, listener.key, hostname)
        for placed in engine.members(BY_HOST, key):
            rules = engine.rows(RULES)[placed.encoded.route]
            if rules.route in seen:
                continue  # under a narrower hostname already
            seen.add(rules.route)
            claim = min((place.claim for place in placed.places if place.host == key), key=specificity)
            for rule in rules.items:
                for match in rule.matches:
                    place = rank(match, rules.created, rules.route, rule.index)
                    order = (specificity(hostname), specificity(claim), place)
                    found.append(_Candidate(order, hostname, rules, rule, match))
    found.sort(key=lambda each: each.order)
    return found


def _why_behind(winner: _Candidate | None, loser: _Candidate) -> str:
    if winner is None:
        return "not reached"
    if winner.hostname != loser.hostname:
        return f"hostname {_shown(loser.hostname)} is less specific"
    if winner.order[1] != loser.order[1]:
        return "its own hostname is less specific"
    return why_later(winner.order[2], loser.order[2])


def _shown(hostname: str) -> str:
    return "(any)" if hostname == "*" else hostname


def _lost(candidate: _Candidate, reason: str) -> Lost:
    return Lost(
        route=candidate.rules.route,
        rule=candidate.rule.index,
        match=candidate.match.index,
        reason=reason,
        what=describe_match(candidate.match),
        path=f"spec.rules[{candidate.rule.index}]",
    )


def _elsewhere(engine: Engine, owner: Listener, seen: set[Key], host: str) -> list[Lost]:
    """Routes of the same Gateway that were no candidates: other hostnames, other listeners, refused."""
    lost = []
    for attachments in engine.rows(ATTACHMENTS).values():
        parents = [each for each in attachments.parents if each.gateway == owner.key.gateway]
        if attachments.route in seen or not parents:
            continue
        attached = [each for parent in parents for each in parent.attachments]
        here = [each for each in attached if each.listener == owner.key]
        problems = [problem for parent in parents for problem in parent.problems]
        if here:
            hostnames = sorted({name for each in here for name in each.served})
            reason = f"hostnames do not match: {', '.join(hostnames) or 'none is left to it'}"
        elif attached:
            names = sorted({each.listener.name for each in attached})
            reason = f"attached to listener {', '.join(names)} only"
        else:
            reason = f"not attached: {problems[0].message}" if problems else "not attached"
        lost.append(Lost(attachments.route, None, None, reason, "", "spec.hostnames" if here else "spec.parentRefs"))
    return lost


def _outcome(translation: Translation, winner: _Candidate, request: Request, path: str, listener: Listener) -> Decision:
    rule, action = winner.rule, winner.rule.action
    cors = cors_of(rule)
    if cors is not None and is_preflight(cors, request):
        reason = f"CORS preflight, answered by the Gateway: {cors_text(cors, request)}"
        return Decision(outcome="direct", status=200, reason=reason)
    if isinstance(action, Refuse):
        why = action.problem
        reason = f"{reason_of(why)}: {why.message}" if why else "the rule has no backend"
        return Decision(outcome="direct", status=action.status, reason=reason, problem=why)
    if isinstance(action, Redirect):
        where = location(translation, action, winner.match, request, path, listener)
        return Decision(outcome="redirect", status=action.status, location=where)
    weighted = [share for share in action.shares if share.weight]
    shares = tuple(_share(translation.engine, listener.key.gateway, rule, share, action) for share in weighted)
    own = Filters()
    if len(weighted) == 1:
        own = weighted[0].filters
    else:
        ways = (forwarded(rule, winner.match, request, path, share.filters) for share in weighted)
        shares = tuple(replace(share, request=its_own) for share, its_own in zip(shares, ways, strict=True))
    way = forwarded(rule, winner.match, request, path, own)
    status = shares[0].status
    if status is not None and all(share.status == status for share in shares):
        reason = "no endpoint is ready" if status == NO_ENDPOINTS else "no backend can be used"
        return Decision(outcome="direct", status=status, reason=reason, backends=shares, request=way)
    return Decision(outcome="forward", status=None, backends=shares, request=way)


NO_ENDPOINTS = 503


def _share(engine: Engine, gateway: Key, rule: Rule, share: Share, action: Forward) -> BackendShare:
    total = sum(each.weight for each in action.shares)
    path = f"spec.rules[{rule.index}].backendRefs[{share.index}]"
    if share.backend is None:
        return BackendShare(share.ref, share.weight, 100 * share.weight / total, path, 500, share.problem)
    addresses = engine.row(ADDRESSES, BackendKey(gateway, share.backend))
    endpoints = tuple(str(address) for address in addresses.items) if addresses is not None else ()
    status = None if endpoints else NO_ENDPOINTS
    return BackendShare(share.ref, share.weight, 100 * share.weight / total, path, status, None, endpoints)


def describe_match(match: Match) -> str:
    """A match in the API's words."""
    parts = [path_condition(match.path)]
    if match.method:
        parts.insert(0, match.method)
    parts += [f"header {each.name}" for each in match.headers]
    parts += [f"query {each.name}" for each in match.query]
    return " ".join(parts)
