"""``trilithon check``: list every problem of a set of manifests."""

from __future__ import annotations

import click

from trilithon.cli.command import Command, output
from trilithon.cli.origin import Origin, origin


@click.command(
    cls=Command,
    examples=(
        "trilithon check examples/hello",
        "trilithon check gateway.yaml routes/ -o json",
        "trilithon check --strict manifests/     # warnings fail, too",
        "trilithon check --cluster               # what is wrong in the cluster that kubectl would use",
        "trilithon check --cluster manifests/    # what these files would bring there",
    ),
    exits={
        0: "no errors (there may be warnings)",
        1: "there are errors; with --strict, errors or warnings",
        2: "the command was used wrongly",
    },
)
@origin
@output("text", "json")
@click.option("--strict", is_flag=True, help="Let warnings count as errors in the exit status.")
def command(origin: Origin, output: str, strict: bool) -> int:
    """List every problem of the manifests in PATH..., with file, line, object, field and what helps.

    Everything that an API server would refuse is found, and everything that the translation notices: references that
    lead nowhere or are not permitted, conflicts, hostnames that do not fit, fields without effect. Nothing is started,
    and no cluster is asked but with --cluster: then its objects are read, and the files judged as if they were applied.
    """
    from trilithon.cli import manifests, printing

    read = manifests.read(origin)
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
