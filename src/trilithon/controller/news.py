"""Find out what is worth telling after a settle: problems that came and went, Gateways that are served or not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from trilithon.controller.events import Event, GatewayChanged, ProblemsChanged
from trilithon.incremental import Changes, Engine
from trilithon.inspect.check import PROBLEM_TABLES, defects_of
from trilithon.resources.meta import Key
from trilithon.resources.problem import Problem
from trilithon.status.gateway import GATEWAY_STATUS
from trilithon.status.problems import Problems

# Whoever is told looks for the place and the mend of each problem; thousands of them at once would hold up the loop.
MOST_AT_ONCE = 10


class News:
    """Remembers what was told, and tells the rest; the cost follows the change."""

    def __init__(self) -> None:
        self._problems: dict[Key, Problems] = {}
        self._elsewhere: frozenset[Problem] = frozenset()
        self._programmed: dict[Key, GatewayChanged] = {}

    def after(
        self, engine: Engine, changes: Changes, in_source: Iterable[Problem], removed: int = 0
    ) -> Iterator[Event]:
        """The events of one settle.

        ``in_source`` are the problems that the source has now, ``removed`` is how many of its objects went.
        """
        appeared: list[Problem] = []
        healed: list[Problem] = []
        for table in PROBLEM_TABLES:
            for key, row in changes.of(table).items():
                old = self._problems.pop(key, None)
                before, now = (old.items if old else ()), (row.items if row else ())
                if row is not None:
                    self._problems[key] = row
                appeared += [problem for problem in now if problem not in before]
                healed += [problem for problem in before if problem not in now]
        standing = frozenset((*in_source, *defects_of(engine)))
        appeared += standing - self._elsewhere
        healed += self._elsewhere - standing
        self._elsewhere = standing
        yield from _portions(sorted(appeared, key=str), sorted(healed, key=str), removed)
        yield from self._gateways(changes)

    def _gateways(self, changes: Changes) -> Iterator[GatewayChanged]:
        for key, status in changes.of(GATEWAY_STATUS).items():
            if status is None:
                if self._programmed.pop(key, None) is not None:
                    yield GatewayChanged(key, False, "it is gone", is_gone=True)
                continue
            condition = next(each for each in status.conditions if each.type == "Programmed")
            news = GatewayChanged(key, condition.status == "True", condition.message)
            if self._programmed.get(key) != news:
                self._programmed[key] = news
                yield news


def _portions(appeared: list[Problem], healed: list[Problem], removed: int) -> Iterator[ProblemsChanged]:
    for start in range(0, max(len(appeared), len(healed)), MOST_AT_ONCE):
        part = slice(start, start + MOST_AT_ONCE)
        yield ProblemsChanged(tuple(appeared[part]), tuple(healed[part]), removed)
