"""Word what is wrong with a cluster as a source: kinds that cannot be watched, objects that cannot be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from itertools import chain

from msgspec import Struct
from msgspec.structs import replace

from trilithon.kube.events import Degraded, Gone, Missing
from trilithon.resources.meta import Key
from trilithon.resources.problem import Problem
from trilithon.sources.kubernetes.guard import Hold
from trilithon.sources.kubernetes.kinds import WatchedKind


class Cause(Struct, frozen=True, gc=False):
    """Why something could not be read: in the API server's own words, and whether it does not let us."""

    reason: str
    is_forbidden: bool = False


class ClusterProblem(Struct, frozen=True, gc=False):
    """A problem, all the watches that have it, and its cause where something could not be read; there are no files."""

    problem: Problem
    places: tuple[str, ...] = ()
    cause: Cause | None = None
    file: str = ""
    line: int = 0

    @property
    def is_forbidden(self) -> bool:
        """Whether it is that the API server does not let us."""
        return self.cause is not None and self.cause.is_forbidden


def cause_of(event: Degraded | Missing | Gone) -> Cause:
    """Why a kind cannot be watched."""
    return Cause(event.reason, isinstance(event, Degraded) and event.is_forbidden)


def kind_problem(watched: WatchedKind, event: Degraded | Missing | Gone) -> Problem:
    """What a watch says of its kind as a whole."""
    place = str(watched)
    match event:
        case Missing(reason) | Gone(reason) if not watched.is_custom:
            message = f"is not served, so what is known of it may be old: {reason}"
            hint = "every API server serves it; look at what stands before this one"
            return Problem("KindNotWatched", None, "", message, hint, "error", place)
        case Degraded(reason):
            message = f"cannot be watched, so what is known of it may be old: {reason}"
            return Problem("KindNotWatched", None, "", message, "", "error", place)
        case Missing(reason):
            hint = "it is looked for every few seconds; install its CustomResourceDefinition"
            return Problem("KindMissing", None, "", reason, hint, "warning", place)
        case Gone(reason):
            hint = "its objects stay as last read until its CustomResourceDefinition is seen to be gone"
            return Problem("KindGone", None, "", reason, hint, "error", place)


def held_problem(watched: WatchedKind, held: Hold) -> Problem:
    """Objects that vanished from a complete list in a mass."""
    message = (
        f"{len(held)} of {held.known} vanished at once from a complete list: they stay as last read for "
        f"{held.seconds:g} s, and go then if lists are still without them"
    )
    hint = "if the API server lost them, bring them back meanwhile, and do not restart the controller"
    return Problem("VanishedHeld", None, "", message, hint, "error", str(watched))


def unread(key: Key, reason: str) -> Problem:
    """An object that is named and could not be read."""
    return Problem("NotRead", key, "", f"cannot be read now, so what is known of it may be old: {reason}")


class Troubles:
    """Everything that is wrong now, by where it is.

    ``on_trouble`` is told of each error that is new and stands nowhere else: an API server that is away is one trouble,
    however many watches notice.
    """

    def __init__(self, on_trouble: Callable[[str], None]) -> None:
        self._on_trouble = on_trouble
        self._standing: dict[Hashable, tuple[tuple[Problem, Cause | None], ...]] = {}
        self._messages: Counter[str] = Counter()
        self._listed: tuple[ClusterProblem, ...] | None = ()

    def say(self, where: Hashable, problems: Iterable[Problem], cause: Cause | None = None) -> None:
        """What is wrong there from now on, and why; nothing, where all is well."""
        now = tuple((problem, cause) for problem in problems)
        before = self._standing.get(where, ())
        if now == before:
            return
        for problem, _ in now:
            if problem.severity == "error" and self._messages[problem.message] == 0:
                self._on_trouble(str(problem))
        self._messages.update(problem.message for problem, _ in now)
        for problem, _ in before:
            self._messages[problem.message] -= 1
            if self._messages[problem.message] == 0:
                del self._messages[problem.message]
        if now:
            self._standing[where] = now
        else:
            del self._standing[where]
        self._listed = None

    def listed(self) -> tuple[ClusterProblem, ...]:
        """All of it, what is the same for several kinds once; cheap as long as nothing changes."""
        if self._listed is None:
            alike: dict[tuple[Problem, Cause | None], list[str]] = {}
            for problem, cause in chain.from_iterable(self._standing.values()):
                alike.setdefault((replace(problem, place=""), cause), []).append(problem.place)
            found = (
                ClusterProblem(replace(problem, place=", ".join(sorted(places))), tuple(sorted(places)), cause)
                for (problem, cause), places in alike.items()
            )
            self._listed = tuple(sorted(found, key=lambda each: str(each.problem)))
        return self._listed
