"""Word what is wrong with files and folders, each mistake with its place."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache

from msgspec import Struct
from msgspec.structs import replace

from trilithon.resources.meta import Key
from trilithon.resources.problem import Problem
from trilithon.sources.folder.known_file import KnownFile
from trilithon.sources.folder.last_good import kept
from trilithon.sources.folder.scanning import Refusal
from trilithon.sources.folder.served import Candidate, Served

# Of an object that is written in many places only so many are told, with the number of all: nobody reads thousands.
MOST_DUPLICATES = 5
# The other places that are named with one of them.
MOST_NAMED = 3


class FileProblem(Struct, frozen=True, gc=False):
    """A mistake and where it is: ``line`` counts from 1, 0 means the file or folder as a whole."""

    problem: Problem
    file: str
    line: int


def by_place(found: Iterable[FileProblem]) -> tuple[FileProblem, ...]:
    """Mistakes by file and line; those of no object carry their place."""
    placed = (one if one.problem.key is not None else _placed(one) for one in found)
    return tuple(sorted(placed, key=lambda one: (one.file, one.line, one.problem.path, one.problem.message)))


def _placed(found: FileProblem) -> FileProblem:
    place = f"{found.file}:{found.line}" if found.line else found.file
    return replace(found, problem=replace(found.problem, place=place))


def refusals(closed: Mapping[str, Refusal]) -> Iterator[FileProblem]:
    """Folders that cannot be listed."""
    for folder, refusal in closed.items():
        yield _refused(refusal, folder)


def file_problems(files: Mapping[str, KnownFile], served: Mapping[Key, object]) -> Iterator[FileProblem]:
    """What is wrong in files, and which last good objects are served nonetheless; the cost is their length."""

    @cache
    def still_served(keys: frozenset[Key]) -> list[str]:
        return sorted(str(key) for key in keys if key in served)

    for shown, file in files.items():
        if file.refusal:
            note = _note(still_served(kept(file.documents.values())), [])
            yield _refused(file.refusal, shown, note)
        for document in file.documents.values():
            # Not as one set: many documents share what they cover.
            note = _note(still_served(document.keeps), still_served(document.covers))
            for problem, line in document.reading.problems:
                noted = _with_note(problem, note) if problem.severity == "error" else problem
                yield FileProblem(noted, shown, document.line + line)


def _note(named: list[str], covered: list[str]) -> str:
    """What a reader of a problem wants to know: whether the last good objects are still there."""
    number = len(named) + len(covered)
    if number == 0:
        return ""
    first = ", ".join([*heapq.merge(named[:MOST_NAMED], covered[:MOST_NAMED])][:MOST_NAMED])
    more = f" and {number - MOST_NAMED} more" if number > MOST_NAMED else ""
    return f"until this is mended, served as last read: {first}{more}"


def duplicate_problems(served: Served, line_of: Callable[[Candidate], int]) -> Iterator[FileProblem]:
    """Objects that are written in more than one place: what is served and the first others are told of."""
    for key in served.duplicates:
        chosen = served.chosen(key)
        places = sorted((one is not chosen, one.file, line_of(one), one.within) for one in served.candidates(key))
        told = [(not is_other, file, line) for is_other, file, line, _ in places[:MOST_DUPLICATES]]
        for position, (is_served, file, line) in enumerate(told):
            others = [f"{place[1]}:{place[2]}" for at, place in enumerate(told) if at != position][:MOST_NAMED]
            more = len(places) - 1 - len(others)
            also = ", ".join(others) + (f" and {more:,} more {'place' if more == 1 else 'places'}" if more else "")
            which = "this one" if is_served else f"the one in {told[0][1]}:{told[0][2]}"
            message = f"{key} is also in {also}; {which} is served"
            problem = Problem("DuplicateObject", key, "", message, "remove or rename all but one")
            yield FileProblem(problem, file, line)


def _refused(refusal: Refusal, shown: str, note: str = "") -> FileProblem:
    return FileProblem(_with_note(Problem(refusal.code, None, "", refusal.message, refusal.hint), note), shown, 0)


def _with_note(problem: Problem, note: str) -> Problem:
    return replace(problem, hint="; ".join(part for part in (problem.hint, note) if part))
