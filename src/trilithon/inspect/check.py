"""List everything wrong with a set of resources, each problem with the best hint there is."""

from __future__ import annotations

from typing import Any

from trilithon.incremental import Changes, Engine, Fault, Table
from trilithon.inspect.hints import with_hint
from trilithon.resources.meta import Key
from trilithon.resources.problem import Problem
from trilithon.status.problems import CLASS_PROBLEMS, GATEWAY_PROBLEMS, ROUTE_PROBLEMS, Problems

PROBLEM_TABLES: tuple[Table[Key, Problems], ...] = (CLASS_PROBLEMS, GATEWAY_PROBLEMS, ROUTE_PROBLEMS)


def problems_of(engine: Engine) -> tuple[Problem, ...]:
    """Every problem of every object by kind and name, then what the translation itself failed at."""
    return tuple(with_hint(engine, problem) for problem in problems_without_hints(engine))


def problems_without_hints(engine: Engine) -> tuple[Problem, ...]:
    """The same with no look around for what helps."""
    found = [
        problem for table in PROBLEM_TABLES for _, row in sorted(engine.rows(table).items()) for problem in row.items
    ]
    return (*found, *defects_of(engine))


def defects_of(engine: Engine) -> tuple[Problem, ...]:
    """What the translation itself failed at, as problems."""
    return tuple(_defect(place, fault) for place, fault in sorted(engine.faults.items(), key=str))


def changed_objects(changes: Changes) -> frozenset[Key]:
    """The objects whose problems differ after a change."""
    return frozenset(key for table in PROBLEM_TABLES for key in changes.of(table))


def _defect(place: tuple[str, Any], fault: Fault) -> Problem:
    """A fault as a problem of the object whose row it is, where it is one's."""
    table, key = place
    return Problem(
        code="InternalError",
        key=key if isinstance(key, Key) else None,
        path="",
        message=f"the table {table!r} could not be computed for {key}, its last good row stays: {fault.error}",
        hint="this is a defect of Trilithon: please report it",
    )
