"""The catalogue of mistakes: the only place that knows both our mistakes and the spec's conditions and reasons.

A mistake becomes a ``Problem`` with ``MISTAKE.at(key, path, word=...)``. The status of an object, ``check``,
``explain`` and the dashboard all show that one value; only this catalogue says which condition and reason it means.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from trilithon.model import flaw_mistakes, gateway_mistakes, mistake, route_mistakes
from trilithon.model.mistake import Mistake
from trilithon.resources.problem import Problem

CATALOGUE: Mapping[str, Mistake] = {
    entry.code: entry
    for group in (mistake, gateway_mistakes, route_mistakes, flaw_mistakes)
    for entry in vars(group).values()
    if isinstance(entry, Mistake)
}


def condition_of(problem: Problem) -> str:
    """The condition type a problem belongs to, or "".

    "RuleValue" and "RuleFilters" are rules that were dropped: they decide between Accepted and PartiallyInvalid.
    """
    entry = CATALOGUE.get(problem.code)
    return entry.condition if entry else ""


def causes_of(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    """A listener's problems without what follows from others: with every certificate refused, none is left to use."""
    refused = any(".certificateRefs[" in problem.path for problem in problems)
    return tuple(each for each in problems if not (refused and each.code == gateway_mistakes.TLS_NO_CERTIFICATES.code))


def reason_of(problem: Problem) -> str:
    """The spec's reason where there is one, else the problem's own code."""
    entry = CATALOGUE.get(problem.code)
    return (entry.reason if entry else "") or problem.code
