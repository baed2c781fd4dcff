"""``trilithon init``: write a starter folder."""

from __future__ import annotations

import shlex
from importlib import resources
from pathlib import Path

import click

from trilithon.cli.command import EXIT_STATUS, Command
from trilithon.cli.main import EnvironmentLacks

FILES = ("gateway.yaml", "routes.yaml", "backends.yaml")


@click.command(
    cls=Command,
    examples=("trilithon init my-gateway && trilithon run my-gateway --demo-backends",),
    exits={0: "the folder is written", 2: EXIT_STATUS[2], 3: "the folder cannot be written"},
)
@click.argument("directory", type=click.Path(path_type=Path), metavar="DIR")
def command(directory: Path) -> int:
    """Write a commented starter folder to DIR: a Gateway, a route, two backends.

    DIR is made where it does not exist. One that holds anything is left alone.
    """
    starter = resources.files("trilithon.cli") / "starter"
    try:
        if directory.exists() and not directory.is_dir():
            raise click.UsageError(f"{directory} is a file; name a new folder")
        if directory.is_dir() and any(directory.iterdir()):
            raise click.UsageError(f"{directory} is not empty; name a new folder")
        directory.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            (directory / name).write_text((starter / name).read_text())
    except OSError as error:
        raise EnvironmentLacks(f"{error.filename} cannot be written: {error.strerror}") from error
    click.echo(f"wrote {', '.join(str(directory / name) for name in FILES)}")
    click.echo(f"next: trilithon run {shlex.quote(str(directory))} --demo-backends")
    return 0
