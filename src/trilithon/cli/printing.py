"""How things look: problems as compilers print them, tables, JSON; coloured on a terminal, plain otherwise."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click
import msgspec

from trilithon.inspect.overview import ProblemView

# Nobody reads more on a terminal.
MOST_PROBLEMS = 200
COLOURS = {"error": "red", "warning": "yellow"}


def print_json(value: Any) -> None:
    """A value as indented JSON, with JSON's own escapes for what would steer a terminal."""
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    click.echo("".join(each if each.isprintable() or each == "\n" else json.dumps(each)[1:-1] for each in text))


def problem_lines(problem: ProblemView) -> list[str]:
    """``file:line: error: object path: message [code]``, and the hint below it."""
    place = printable(":".join(str(part) for part in (problem.file, problem.line) if part is not None))
    severity = click.style(problem.severity, fg=COLOURS[problem.severity], bold=True)
    where = printable(" ".join(part for part in (problem.object, problem.path) if part))
    message = printable(problem.message)
    if message.startswith(f"{where} "):
        where = ""
    head = ": ".join(part for part in (click.style(place, bold=True) if place else "", severity, where) if part)
    lines = [f"{head}: {message} {dim(f'[{problem.code}]')}"]
    if problem.hint:
        lines.append(f"    hint: {printable(problem.hint)}")
    return lines


def print_problems(problems: Iterable[ProblemView]) -> None:
    """Each problem in its lines, errors before warnings where they are too many to print them all."""
    every = list(problems)
    if len(every) > MOST_PROBLEMS:
        every.sort(key=lambda problem: problem.severity != "error")
    for problem in every[:MOST_PROBLEMS]:
        for line in problem_lines(problem):
            click.echo(line)
    if len(every) > MOST_PROBLEMS:
        click.echo(f"and {len(every) - MOST_PROBLEMS} more; -o json lists all")


def printable(text: str) -> str:
    """The text with everything that would steer a terminal, hide in it, or begin a line, written as an escape.

    Names, values and messages of others may come from anywhere; what is printed of them stays what it seems to be.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escape(each) for each in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()


def dim(text: str) -> str:
    """Text that matters less."""
    return click.style(text, dim=True)


def counted(number: int, word: str) -> str:
    """``1 route``, ``2 routes``."""
    return f"{number} {word}{'' if number == 1 else 's'}"


def columns(rows: Sequence[Sequence[str]], indent: str = "") -> list[str]:
    """Rows of equally many cells as aligned lines; the last cell of a row is not padded."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows)
    return [(indent + line).rstrip() for line in lines]


def print_table(title: str, headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table: with lines on a terminal, with aligned columns elsewhere."""
    rows = [[printable(cell) for cell in row] for row in rows]
    if is_terminal():
        from rich import box
        from rich.console import Console
        from rich.table import Column, Table

        table = Table(
            *(Column(header, overflow="fold") for header in headers),
            title=title,
            box=box.SIMPLE_HEAD,
            title_justify="left",
            title_style="bold",
        )
        for row in rows:
            table.add_row(*map(_escaped, row))
        Console(highlight=False).print(table)
        return
    click.echo(title)
    for line in columns([[header.upper() for header in headers], *rows], "  "):
        click.echo(line)
    click.echo()


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def is_terminal() -> bool:
    """Whether people read this: standard output is a terminal, and colour was not declined."""
    context = click.get_current_context(silent=True)
    return sys.stdout.isatty() and (context is None or context.color is not False)
