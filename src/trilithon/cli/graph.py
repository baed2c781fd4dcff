"""``trilithon graph``: draw the pipeline."""

from __future__ import annotations

import click

from trilithon.cli.command import Command
from trilithon.cli.origin import Origin, optional_origin


@click.command(
    cls=Command,
    examples=("trilithon graph", "trilithon graph examples/hello > pipeline.mmd"),
)
@optional_origin
def command(origin: Origin) -> int:
    """Draw the pipeline in Mermaid: every table, and what it is computed from.

    A solid arrow leads from the table that another has its rows from. A dotted arrow is a read that happened while the
    manifests in PATH... were translated; without PATH there are none.
    """
    from trilithon.cli import manifests
    from trilithon.inspect.graph import mermaid

    click.echo(mermaid(manifests.read(origin).translation.engine), nl=False)
    return 0
