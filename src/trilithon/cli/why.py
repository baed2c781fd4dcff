"""``trilithon why``: show what an object's rows were computed from."""

from __future__ import annotations

import click

from trilithon.cli.command import Command
from trilithon.cli.origin import Origin, origin


@click.command(
    cls=Command,
    examples=("trilithon why examples/hello HTTPRoute shop/web", "trilithon why manifests/ Gateway demo/hello"),
)
@origin
@click.argument("kind")
@click.argument("name", metavar="NAMESPACE/NAME")
def command(origin: Origin, kind: str, name: str) -> int:
    """Show what the rows of one object in PATH... were computed from.

    For each table that has a row for the object: the reads that were recorded, those that found nothing included. A
    change in any of them, and in nothing else, makes the row be computed again.
    """
    from trilithon.cli import manifests
    from trilithon.inspect.why import TABLES_OF_KIND, reads_of
    from trilithon.resources.meta import Key

    kinds = {each.lower(): each for each in TABLES_OF_KIND}
    if kind.lower() not in kinds:
        raise click.UsageError(f"nothing is computed for a {kind}; the kinds are {', '.join(kinds.values())}")
    namespace, _, short = name.rpartition("/")
    read = manifests.read(origin)
    key = Key(kinds[kind.lower()], namespace, short)
    if key not in (read.in_cluster or {}) and key not in read.source.resources:
        there = [str(each) for each in read.written() if each.kind == key.kind]
        raise click.UsageError(f"{key} is not there; {', '.join(there) or f'there is no {key.kind} at all'}")
    for table, looks in reads_of(read.translation.engine, key):
        click.echo(table)
        for look in looks:
            click.echo(f"    {look}")
    return 0
