"""``trilithon install``: print what installs Trilithon into a cluster."""

from __future__ import annotations

from pathlib import Path

import click

from trilithon.cli.command import EXIT_STATUS, Command
from trilithon.cli.main import WRONG_USE


class ValuesUnusable(click.ClickException):
    """A values file that cannot be read, or holds something else than values."""

    exit_code = WRONG_USE


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
    import msgspec
    import yaml

    from trilithon.infrastructure.installation import Values, installation_manifests

    chosen: object = {}
    if file is not None:
        try:
            chosen = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        except (OSError, UnicodeError) as error:
            raise ValuesUnusable(f"{file} cannot be read: {error}") from error
        except yaml.YAMLError as error:
            raise ValuesUnusable(f"{file} is no YAML: {' '.join(str(error).split())}") from error
    try:
        values = msgspec.convert(chosen, Values)
        if namespace is not None:
            values = msgspec.convert({**msgspec.to_builtins(values), "namespace": namespace}, Values)
    except msgspec.ValidationError as error:
        raise ValuesUnusable(f"{file or '--namespace'}: {error}") from error
    documents = [*installation_manifests(values)]
    click.echo(yaml.safe_dump_all(documents, sort_keys=False, allow_unicode=True, width=120), nl=False)
    return 0
