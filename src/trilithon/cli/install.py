"""``trilithon install``: print what installs Trilithon into a cluster."""

from __future__ import annotations

from pathlib import Path

import click

from trilithon.cli.command import EXIT_STATUS, Command
from trilithon.cli.main import WRONG_USE


@click.command(
    cls=Command,
    examples=(
        "trilithon install | kubectl apply --server-side -f -",
        "trilithon install --namespace edge --values values.yaml > trilithon.yaml",
    ),
    exits={0: EXIT_STATUS[0], 2: "the command was used wrongly, or the values are wrong"},
)
@click.option("--namespace", help="Install into this namespace.  [default: trilithon-system]")
@click.option("--values", "file", type=click.Path(path_type=Path), help="YAML with what is chosen otherwise.")
def command(namespace: str | None, file: Path | None) -> int:
    """Print the manifests that install Trilithon: namespace, rights, controller, Service, definitions, GatewayClass.

    The definitions of the Gateway API itself are not among them; a cluster has them, or gets them from their project.
    """
    import yaml

    from trilithon.cli.values import ValuesUnusable, in_namespace, read_values
    from trilithon.infrastructure.installation import Values, installation_manifests

    try:
        values = read_values(file) if file is not None else Values()
        if namespace is not None:
            values = in_namespace(values, namespace)
    except ValuesUnusable as error:
        for line in str(error).splitlines():
            click.echo(f"trilithon: {line}", err=True)
        return WRONG_USE
    documents = [*installation_manifests(values)]
    click.echo(yaml.safe_dump_all(documents, sort_keys=False, allow_unicode=True, width=120), nl=False)
    return 0
