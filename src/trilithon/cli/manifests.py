"""Read a set of manifests, translate it offline, and know for each problem where it stands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from trilithon.inspect.check import problems_of
from trilithon.inspect.overview import ProblemView, problem_view
from trilithon.model.settings import Settings
from trilithon.pipeline import Translation, translate
from trilithon.resources.meta import Key
from trilithon.resources.problem import Problem
from trilithon.sources.file_problems import FileProblem
from trilithon.sources.files import FileSource


class Manifests(Struct, frozen=True):
    """What some folders and files say, translated; ``misread`` are the problems of the files themselves."""

    source: FileSource
    translation: Translation
    misread: tuple[FileProblem, ...]

    def position(self, key: Key, path: str = "") -> tuple[str, int] | None:
        """File and line of a field."""
        return self.source.position(key, path)

    def written(self) -> tuple[Key, ...]:
        """The objects that the files hold, sorted, without those that are implied."""
        return tuple(sorted(key for key in self.source.resources if self.source.position(key) is not None))


def read(paths: Sequence[Path], settings: Settings | None = None) -> Manifests:
    """Read and translate; what is wrong in the manifests is a value."""
    source = FileSource(paths)
    change = source.load()
    return Manifests(source, translate(change.upserts.values(), settings), change.problems)


def all_problems(manifests: Manifests) -> tuple[ProblemView, ...]:
    """Every problem of files and objects, by file, line and field."""
    views = [*map(view_of_file_problem, manifests.misread)]
    views += (view(manifests, problem) for problem in problems_of(manifests.translation.engine))
    if not views and not manifests.written():
        views.append(nothing_at(manifests.source.paths))
    return tuple(sorted(dict.fromkeys(views), key=_place))


def view(manifests: Manifests, problem: Problem) -> ProblemView:
    """A problem with its place."""
    place = manifests.position(problem.key, problem.path) if problem.key is not None else None
    return problem_view(problem, *(place or (None, None)))


def view_of_file_problem(found: FileProblem) -> ProblemView:
    """A problem that has its place already."""
    return problem_view(found.problem, found.file, found.line or None)


def nothing_at(paths: Sequence[Path]) -> ProblemView:
    """The problem that there is nothing at all to serve."""
    problem = Problem(
        "NothingFound",
        None,
        "",
        "no manifests here",
        "a folder's manifests are its files named *.yaml, *.yml or *.json",
        "warning",
    )
    return problem_view(problem, str(paths[0]), None)


def _place(each: ProblemView) -> tuple[bool, str, int, str, str]:
    return each.file is None, each.file or "", each.line or 0, each.path, each.message
