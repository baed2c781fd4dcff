"""``trilithon translate``: print what the manifests become."""

from __future__ import annotations

import click

from trilithon.cli.command import PORT_OFFSETS, Address, Command, output
from trilithon.cli.origin import Origin, origin


@click.command(
    cls=Command,
    examples=(
        "trilithon translate examples/hello",
        "trilithon translate examples/hello -o status",
        "trilithon translate examples/hello -o xds > envoy.yaml",
    ),
)
@origin
@output("summary", "status", "xds")
@click.option(
    "--address", type=Address(), default="127.0.0.1", show_default=True, help="The address that Envoy would bind."
)
@click.option(
    "--port-offset", type=PORT_OFFSETS, default=0, show_default=True, help="What would be added to every port."
)
def command(origin: Origin, output: str, address: str, port_offset: int) -> int:
    """Print what the manifests in PATH... become, as a healthy Envoy would have it a moment later.

    summary: how much there is of everything. status: for each object that gets a status a YAML document with exactly
    what would be written to a cluster, but for the times of transition, which only a writer can know. xds: Envoy's
    resources as YAML, a document per Gateway, private keys and certificates left out.
    """
    from trilithon.cli import manifests, rendering
    from trilithon.cli.printing import counted, print_table
    from trilithon.model.settings import Settings

    read = manifests.read(origin, Settings(address=address, port_offset=port_offset))
    engine = read.translation.engine
    if output == "status":
        click.echo(rendering.yaml_documents(rendering.statuses(engine, read.written())), nl=False)
    elif output == "xds":
        click.echo(rendering.yaml_documents(rendering.envoy_resources(engine)), nl=False)
    else:
        print_table("Objects", ("kind", "count"), rendering.object_counts(read.written()))
        print_table("Envoy's resources", rendering.RESOURCE_HEADERS, rendering.resource_counts(engine))
    if problems := len(manifests.all_problems(read)):
        click.echo(f"{counted(problems, 'problem')}; trilithon check lists them", err=True)
    return 0
