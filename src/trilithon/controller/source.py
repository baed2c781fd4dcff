"""What the controller asks of a source."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any, Protocol

from trilithon.resources.meta import Key
from trilithon.resources.problem import Problem


class SourceChange(Protocol):
    """What came in: resources that are new or different, keys that are gone, and the monotonic time it was noticed."""

    @property
    def upserts(self) -> Mapping[Key, Any]: ...

    @property
    def removals(self) -> Iterable[Key]: ...

    @property
    def noticed(self) -> float: ...


class SourceProblem(Protocol):
    """A problem of the source itself, and where it is."""

    @property
    def problem(self) -> Problem: ...

    @property
    def file(self) -> str: ...

    @property
    def line(self) -> int: ...


class Source(Protocol):
    """Where resources come from."""

    async def first(self) -> SourceChange:
        """The first state, once it is complete."""

    def changes(self) -> AsyncIterator[SourceChange]:
        """What changes after that, without end; asked for again if it fails."""

    def problems(self) -> Sequence[SourceProblem]:
        """What is wrong with the source itself now."""

    def place_of(self, problem: Problem) -> tuple[str, int] | None:
        """File and line of one of ``problems()``, None for any other; asked for each problem there is."""

    def position(self, key: Key, path: str) -> tuple[str, int] | None:
        """File and line of a field, where there are files."""


def place_of(source: Source, problem: Problem) -> tuple[str | None, int | None]:
    """File and line of a problem, where it has any."""
    place = source.place_of(problem)
    if place is not None:
        # Line 0 stands for the file as a whole.
        return place[0], place[1] or None
    place = source.position(problem.key, problem.path) if problem.key is not None else None
    return place if place is not None else (None, None)
