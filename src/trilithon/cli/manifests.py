"""Read a set of manifests or a cluster, translate it offline, and know for each problem where it stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from trilithon.cli.origin import Origin
from trilithon.inspect.check import problems_of
from trilithon.inspect.overview import ProblemView, problem_view
from trilithon.model.settings import Settings
from trilithon.model.tables import OURS
from trilithon.pipeline import Translation, translate
from trilithon.resources.meta import Key
from trilithon.resources.problem import Problem
from trilithon.sources.folder.file_problems import FileProblem
from trilithon.sources.folder.files import FileSource


class Manifests(Struct, frozen=True):
    """What some folders and files say, or a cluster, or both, translated.

    ``misread`` are the problems of the files themselves, ``unread`` those of reading the cluster and what its
    controller says; ``in_cluster`` is what the cluster holds, None where none was asked.
    """

    source: FileSource
    translation: Translation
    misread: tuple[FileProblem, ...]
    in_cluster: Mapping[Key, Any] | None = None
    unread: tuple[Problem, ...] = ()

    def position(self, key: Key, path: str = "") -> tuple[str, int] | None:
        """File and line of a field."""
        return self.source.position(key, path)

    def written(self) -> tuple[Key, ...]:
        """The objects that the files hold, without those that are implied; without files those of the cluster."""
        if self.in_cluster is not None and not self.source.paths:
            return tuple(sorted(self.in_cluster))
        return tuple(sorted(key for key in self.source.resources if self.source.position(key) is not None))


def read(origin: Origin, settings: Settings | None = None) -> Manifests:
    """Read and translate; what is wrong in the manifests is a value. Raises EnvironmentLacks.

    Files beside a cluster are translated as if they were applied to it. A cluster has settings of its own.
    """
    source = FileSource(origin.paths)
    change = source.load()
    if not origin.is_cluster:
        return Manifests(source, translate(change.upserts.values(), settings), change.problems)
    from trilithon.cli.cluster_reading import read_cluster, settings_of
    from trilithon.cli.cluster_rights import assumed_classes, unread_parents
    from trilithon.cli.said import not_programmed

    found = read_cluster(origin)
    settings = settings_of(origin)
    # Namespaces that files imply say less than those that exist.
    implied = {key: row for key, row in change.upserts.items() if source.position(key) is None}
    written = {**found.resources, **{key: change.upserts[key] for key in change.upserts.keys() - implied}}
    applied = {**implied, **assumed_classes(written.values(), found.lacking, origin.controller_name), **written}
    # With all rights, what is elsewhere is left out on purpose.
    judged = change.upserts if origin.paths else found.resources
    parents = unread_parents(judged.values(), origin.namespaces) if found.lacking and origin.namespaces else ()
    unread = (*found.problems, *parents)
    if origin.paths:
        translation = translate(applied.values(), settings)
        return Manifests(source, translation, change.problems, found.resources, unread)
    served = {key for key, condition in found.programmed.items() if condition.status == "True"}
    translation = translate(applied.values(), settings, served)
    engine = translation.engine
    said = not_programmed(found.programmed, engine.rows(OURS), problems_of(engine))
    return Manifests(source, translation, change.problems, found.resources, (*unread, *said))


def all_problems(manifests: Manifests) -> tuple[ProblemView, ...]:
    """Every problem of files and objects, by file, line and field; beside a cluster only what the files bring."""
    views = [*map(view_of_file_problem, manifests.misread)]
    views += (view(manifests, problem) for problem in manifests.unread)
    problems = problems_of(manifests.translation.engine)
    if manifests.in_cluster is not None and manifests.source.paths:
        written = set(manifests.written())
        problems = tuple(problem for problem in problems if problem.key in written)
    views += (view(manifests, problem) for problem in problems)
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
    return problem_view(problem, str(paths[0]) if paths else None, None)


def _place(each: ProblemView) -> tuple[bool, str, int, str, str]:
    return each.file is None, each.file or "", each.line or 0, each.path, each.message
