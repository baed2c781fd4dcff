"""Compares what the API server says of a document with what the offline rules say.

Three answers have to agree: the object is refused; it is taken, and these of its fields do not exist; it is taken as it
is. The server is asked to warn of unknown fields, because then it says the rest as well; asked to be strict, as kubectl
asks by default, it refuses exactly what it takes with such a warning, and that is compared too.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterable

from msgspec import Struct

from tests.cluster.validation.asking import CONCURRENCY, Server, Verdict
from tests.cluster.validation.coverage import broken, rule_messages
from tests.cluster.validation.mutations import Case
from tests.cluster.validation.reasons import reason_for
from trilithon.resources.decode import Decoded, decode

# Of one object; the rest is rarely needed to see what is wrong.
MOST_SHOWN = 2000


class Comparison(Struct, frozen=True):
    """Both answers to one document; ``difference`` says how they disagree, ``reason`` why that is right."""

    case: Case
    server: Verdict
    ours: Decoded
    difference: str = ""
    reason: str = ""

    @property
    def is_difference(self) -> bool:
        return bool(self.difference) and not self.reason

    @property
    def is_same_field(self) -> bool:
        """Whether both blame a field that is the same or one inside the other."""
        ours = [problem.path for problem in self.ours.problems if problem.severity == "error"]
        return any(_is_within(one, other) or _is_within(other, one) for one in ours for other in self.server.fields)

    def __str__(self) -> str:
        shown = json.dumps(self.case.document, ensure_ascii=True)[:MOST_SHOWN]
        said = "; ".join(f"{problem.severity} {problem}" for problem in self.ours.problems) or "nothing"
        unknown = f"; unknown fields: {', '.join(self.server.unknown)}" if self.server.unknown else ""
        return (
            f"{self.case}\n  {self.difference}\n  server: {self.server.status} {self.server.message[:1500]}{unknown}\n"
            f"  here:   {said[:1500]}\n  object: {shown}"
        )


async def compare(server: Server, cases: Iterable[Case]) -> AsyncIterator[Comparison]:
    """Each case with both answers, in the order of the cases."""
    pending: list[asyncio.Task[Comparison]] = []
    for case in cases:
        pending.append(asyncio.create_task(_compared(server, case)))
        if len(pending) >= 4 * CONCURRENCY:
            yield await pending.pop(0)
    for task in pending:
        yield await task


async def _compared(server: Server, case: Case) -> Comparison:
    verdict = await server.judge(case)
    strict = await server.judge(case, validation="Strict") if verdict.unknown else None
    ours = decode(case.document)
    difference = _difference(verdict, strict, ours)
    return Comparison(case, verdict, ours, difference, reason_for(case, verdict, ours) if difference else "")


def _difference(server: Verdict, strict: Verdict | None, ours: Decoded) -> str:
    if server.is_refused != ours.refused:
        return "refused by the server, taken here" if server.is_refused else "taken by the server, refused here"
    if server.is_refused:
        return ""
    unknown = sorted(problem.path for problem in ours.problems if problem.code == "UnknownField")
    # Of a great many problems here only the first are told.
    is_cut = any(problem.code == "MoreProblems" for problem in ours.problems)
    if not set(unknown) <= set(server.unknown) if is_cut else unknown != sorted(server.unknown):
        return f"unknown fields are {list(server.unknown)} to the server, {unknown} here"
    if strict is not None and not strict.is_refused:
        return "the strict server takes an object with unknown fields"
    return ""


def _is_within(inner: str, outer: str) -> bool:
    return inner == outer or inner.startswith((f"{outer}.", f"{outer}["))


class Tally:
    """What came of a run."""

    def __init__(self) -> None:
        self.total = 0
        self.refused = 0
        self.same_field = 0
        self.named_field = 0
        self.kinds: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.differences: list[Comparison] = []
        self.messages: dict[str, set[str]] = {}

    def add(self, comparison: Comparison) -> None:
        """Count one comparison."""
        self.total += 1
        self.kinds[comparison.case.kind] += 1
        if comparison.reason:
            self.reasons[comparison.reason] += 1
        elif comparison.difference:
            self.differences.append(comparison)
        if comparison.server.is_refused:
            self.messages.setdefault(comparison.case.channel, set()).add(comparison.server.message)
            if comparison.ours.refused:
                self.refused += 1
                self.named_field += bool(comparison.server.fields)
                self.same_field += comparison.is_same_field

    def __str__(self) -> str:
        share = self.same_field / max(1, self.named_field)
        lines = [
            f"{self.total} documents, {self.refused} refused by both, {len(self.differences)} differences",
            f"where the server names fields ({self.named_field}), one of ours is the same or inside: {share:.1%}",
            ", ".join(f"{kind} {count}" for kind, count in self.kinds.most_common()),
        ]
        lines += [
            f"rules of the {channel} CRDs that were broken: {len(broken(rules, told))} of {len(rules)}"
            for channel, told in self.messages.items()
            for rules in [rule_messages(channel)]
        ]
        lines += [f"differs for a reason, {count} times: {reason}" for reason, count in self.reasons.most_common()]
        return "\n".join(lines)
