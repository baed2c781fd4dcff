"""Word what is wrong with a cluster as a source: kinds that cannot be watched, objects that cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable

from msgspec import Struct

from trilithon.kube.events import Degraded, Gone, Missing
from trilithon.resources.meta import Key
from trilithon.resources.problem import Problem
from trilithon.sources.kubernetes_kinds import WatchedKind


class ClusterProblem(Struct, frozen=True, gc=False):
    """A problem; a cluster has no files."""

    problem: Problem
    file: str = ""
    line: int = 0


def kind_problem(watched: WatchedKind, event: Degraded | Missing | Gone) -> Problem:
    """What a watch says of its kind as a whole."""
    place = str(watched)
    match event:
        case Degraded(reason):
            message = f"cannot be watched, so what is known of it may be old: {reason}"
            return Problem("KindNotWatched", None, "", message, "", "error", place)
        case Missing(reason):
            hint = "it is looked for every few seconds; install its CustomResourceDefinition"
            return Problem("KindMissing", None, "", reason, hint, "warning", place)
        case Gone(reason):
            hint = "its objects stay as last read until its CustomResourceDefinition is seen to be gone"
            return Problem("KindGone", None, "", reason, hint, "error", place)


def unread(key: Key, reason: str) -> Problem:
    """An object that is named and could not be read."""
    return Problem("NotRead", key, "", f"cannot be read now, so what is known of it may be old: {reason}")


class Troubles:
    """Everything that is wrong now, by where it is; ``on_trouble`` is told of each that is new."""

    def __init__(self, on_trouble: Callable[[str], None]) -> None:
        self._on_trouble = on_trouble
        self._standing: dict[Hashable, tuple[Problem, ...]] = {}
        self._listed: tuple[ClusterProblem, ...] | None = ()

    def say(self, where: Hashable, problems: Iterable[Problem]) -> None:
        """What is wrong there from now on; nothing, where all is well."""
        now = tuple(problems)
        before = self._standing.get(where, ())
        if now == before:
            return
        if now:
            self._standing[where] = now
        else:
            del self._standing[where]
        self._listed = None
        for problem in now:
            if problem not in before:
                self._on_trouble(str(problem))

    def listed(self) -> tuple[ClusterProblem, ...]:
        """All of it; cheap as long as nothing changes."""
        if self._listed is None:
            found = [problem for problems in self._standing.values() for problem in problems]
            self._listed = tuple(ClusterProblem(problem) for problem in sorted(found, key=str))
        return self._listed
