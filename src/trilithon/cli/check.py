"""``trilithon check``: list every problem of a set of manifests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from trilithon.cli.command import Command, output, paths


@click.command(
    cls=Command,
    examples=(
        "trilithon check examples/hello",
        "trilithon check gateway.yaml routes/ -o json",
        "trilithon check --strict manifests/     # warnings fail, too",
    ),
    exits={
        0: "no errors (there may be warnings)",
        1: "there are errors; with --strict, errors or warnings",
        2: "the command was used wrongly",
    },
)
@paths
@output("text", "json")
@click.option("--strict", is_flag=True, help="Let warnings count as errors in the exit status.")
def command(paths: Sequence[Path], output: str, strict: bool) -> int:
    """List every problem of the manifests in PATH..., with file, line, object, field and what helps.

    Everything that an API server would refuse is found, and everything that the translation notices: references that
    lead nowhere or are not permitted, conflicts, hostnames that do not fit, fields without effect. Nothing is started
    and no cluster is asked.
    """
    from trilithon.cli import manifests, printing

    read = manifests.read(paths)
    problems = manifests.all_problems(read)
    errors = sum(1 for problem in problems if problem.severity == "error")
    warnings = len(problems) - errors
    if output == "json":
        printing.print_json(problems)
    else:
        printing.print_problems(problems)
        found = (printing.counted(errors, "error"), printing.counted(warnings, "warning"))
        click.echo(f"{', '.join(found)} in {printing.counted(len(read.written()), 'object')}")
    return 1 if errors or (strict and warnings) else 0
