"""``trilithon version``: print what is installed."""

from __future__ import annotations

import click

from trilithon import __version__
from trilithon.cli.command import Command, output

GATEWAY_API = "v1.6.1"


@click.command(
    cls=Command,
    examples=("trilithon version", "trilithon version -o json"),
    exits={0: "always", 2: "the command was used wrongly"},
)
@output("text", "json")
def command(output: str) -> int:
    """Print the versions of Trilithon, of the Envoy it would run, and of the Gateway API it implements."""
    from trilithon.cli.printing import print_json
    from trilithon.sinks.envoy.envoy_binary import EnvoyMissing, find_envoy

    try:
        envoy, note = find_envoy().version, ""
    except EnvoyMissing as error:
        envoy, note = None, str(error)
    if output == "json":
        print_json({"trilithon": __version__, "envoy": envoy, "gatewayAPI": GATEWAY_API})
    else:
        click.echo(f"trilithon    {__version__}")
        click.echo(f"envoy        {envoy or f'missing: {note}'}")
        click.echo(f"gateway api  {GATEWAY_API}")
    return 0
