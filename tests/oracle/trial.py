"""Serve sets, ask, compare; where the two disagree, find a small example."""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any

import yaml
from msgspec import Struct

from tests.oracle.asking import Asked, Curious, known
from tests.oracle.comparing import decide, differences
from tests.oracle.objects import Draw, Manifest
from tests.oracle.world import EnvoyRefuses, NotAccepted, World
from tests.system.client import Answer, Unanswered
from trilithon.inspect.decision import Decision

REQUESTS_PER_SET = 250
# Fields that a smaller example may do without.
OPTIONAL = (
    "method", "weight", "path", "scheme", "port", "statusCode", "hostname", "creationTimestamp", "sectionName",
    "filters",
)  # fmt: skip


class Disagreement(Struct, frozen=True):
    """What explain and Envoy make of one request differently."""

    manifests: list[Manifest]
    asked: Asked
    differences: list[str]

    def __str__(self) -> str:
        texts = [yaml.safe_dump(self._shown(each), sort_keys=False) for each in self.manifests]
        return "\n".join([*(f"---\n{text.rstrip()}" for text in texts), f"# {self.asked}", *self.differences])

    def _shown(self, manifest: Manifest) -> Manifest:
        """A copy without aliases and without the listeners of other ports."""
        copied: Manifest = json.loads(json.dumps(manifest))
        if "listeners" in copied["spec"]:
            listeners = copied["spec"]["listeners"]
            copied["spec"]["listeners"] = [each for each in listeners if each["port"] == self.asked.port]
        return copied


class Trial:
    """Comparisons drawn from one seed. ``asked`` and ``outcomes`` count what was compared."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.asked = 0
        self.outcomes: Counter[str] = Counter()

    async def compare(self, world: World, number: int, count: int = REQUESTS_PER_SET) -> list[Disagreement]:
        """Serve set ``number`` and compare so many requests; the same numbers draw the same again."""
        chance = Random(f"{self.seed}/{number}")
        manifests = Draw(chance, world.ports).objects()
        curious = Curious(chance, world.ports, known(manifests))
        requests = [curious.ask() for _ in range(count)]
        translation = await world.serve(manifests)
        answers = await world.ask(requests)
        found = []
        for asked, answer in zip(requests, answers, strict=True):
            decision = decide(translation, asked)
            self.asked += 1
            self.outcomes[decision.outcome] += 1
            wrong = _wrong(asked, decision, answer)
            if wrong:
                found.append(Disagreement(manifests, asked, wrong))
        return found


def _wrong(asked: Asked, decision: Decision, answer: Answer | Unanswered | None) -> list[str]:
    if isinstance(answer, Unanswered):
        return [f"Envoy does not answer: {answer}"]
    return differences(asked, decision, answer)


async def smallest(world: World, found: Disagreement) -> Disagreement:
    """The disagreement without whatever can be left out of it."""
    best = found
    while True:
        for smaller in _smaller(best.manifests):
            if (wrong := await _still(world, smaller, best.asked)) is not None:
                best = Disagreement(smaller, best.asked, wrong)
                break
        else:
            break
    for asked in _plainer(best.asked):
        if (wrong := await _still(world, best.manifests, asked)) is not None:
            best = Disagreement(best.manifests, asked, wrong)
    return best


async def _still(world: World, manifests: list[Manifest], asked: Asked) -> list[str] | None:
    """The differences there are with these manifests, or None."""
    try:
        translation = await world.serve(manifests)
        answer = await world.ask_alone(asked)
    except (NotAccepted, EnvoyRefuses, Unanswered):
        return None
    return _wrong(asked, decide(translation, asked), answer) or None


def _smaller(manifests: list[Manifest]) -> Iterator[list[Manifest]]:
    """The manifests with one thing less each: a route, an entry of a list, an optional field."""
    for index in range(1, len(manifests)):
        yield manifests[:index] + manifests[index + 1 :]
    for path in list(_parts(manifests, ())):
        smaller = copy.deepcopy(manifests)
        holder: Any = smaller
        for step in path[:-1]:
            holder = holder[step]
        del holder[path[-1]]
        yield smaller


def _parts(value: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """Where something can be left out, the outermost first; listeners stay, since the marker needs them."""
    if isinstance(value, dict):
        yield from ((*path, name) for name in OPTIONAL if name in value)
        for name, inner in value.items():
            if name not in ("listeners", "parentRefs"):
                yield from _parts(inner, (*path, name))
    elif isinstance(value, list):
        if len(path) > 1:
            yield from ((*path, index) for index in range(len(value)))
        for index, inner in enumerate(value):
            yield from _parts(inner, (*path, index))


def _plainer(asked: Asked) -> Iterator[Asked]:
    yield Asked(asked.port, asked.server_name, asked.method, asked.target, asked.host, ())
    yield Asked(asked.port, asked.server_name, asked.method, asked.target.partition("?")[0], asked.host, asked.headers)
