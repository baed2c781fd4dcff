"""The program: finds the command, loads that one alone, and turns every way to end into an exit status."""

from __future__ import annotations

import difflib
import errno
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from trilithon import __version__

# Command -> what it does, in a line. The code is in trilithon.cli.<command>, as ``command``; "-" becomes "_".
COMMANDS = {
    "run": "Serve a folder of manifests with Envoy, and follow its changes.",
    "controller": "Serve the Gateways of a Kubernetes cluster.",
    "install": "Print what installs Trilithon into a cluster.",
    "check": "List every problem of a folder, with file and line.",
    "explain": "Say what happens to a request, and why.",
    "translate": "Print statuses, Envoy's resources, or a summary.",
    "status": "Show Gateways, listeners, routes and problems.",
    "init": "Write a starter folder.",
    "why": "Show what an object's rows were computed from.",
    "graph": "Draw the pipeline in Mermaid.",
    "echo": "Serve little HTTP backends that answer with what they were asked.",
    "proxy": "Be the Envoy of one Gateway in a cluster.",
    "version": "Print the versions of Trilithon, Envoy and the Gateway API.",
}

OK, PROBLEMS, WRONG_USE, ENVIRONMENT = 0, 1, 2, 3
INTERRUPTED = 130


class EnvironmentLacks(click.ClickException):
    """What prevents the command is not in the manifests: no Envoy, a taken port, a folder that cannot be written."""

    exit_code = ENVIRONMENT


class Program(click.Group):
    """A group that loads a command when it is used, and says a mistake in one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"trilithon.cli.{_MODULES.get(cmd_name, cmd_name)}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS:
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            mend = f"did you mean {near[0]}?" if near else f"the commands are {', '.join(COMMANDS)}"
            raise click.UsageError(f"there is no command {args[0]!r}; {mend}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        # From the table: help must not load every command.
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = "trilithon", **extra: Any) -> NoReturn:  # type: ignore[override]
        """Run and exit: 0, 1 for problems found, 2 for wrong use, 3 for a lack of the environment."""
        extra["standalone_mode"] = False
        if os.environ.get("NO_COLOR"):
            extra["color"] = False
        try:
            status = super().main(args, prog_name, **extra)
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message())
            sys.exit(OK)
        except click.ClickException as error:
            click.echo(one_line(error), err=True)
            sys.exit(error.exit_code)
        except OSError as error:
            if error.filename is not None or error.errno not in _FULL:
                raise
            _give_up_output()
            click.echo(f"trilithon: the output cannot be written: {error.strerror}", err=True)
            sys.exit(ENVIRONMENT)
        except (click.Abort, KeyboardInterrupt):
            sys.exit(INTERRUPTED)
        sys.exit(status if isinstance(status, int) else OK)


# What a disk answers that takes no more.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def _give_up_output() -> None:
    """Let what is left of the output go nowhere: the interpreter would try once more at its end, and complain."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


# Where the command's name is taken by another module.
_MODULES = {"echo": "echo_command"}


def one_line(error: click.ClickException) -> str:
    """A mistake and its mend, in one line."""
    context = getattr(error, "ctx", None)
    name = context.command_path if context is not None else "trilithon"
    message = " ".join(error.format_message().split())
    if isinstance(error, click.MissingParameter):
        message = f"{message.rstrip('.')}; {_example(context)}"
    elif isinstance(error, click.UsageError) and not isinstance(error, click.BadParameter):
        message = f"{message} ({name} -h has an example)" if message.endswith(".") else message
    return f"{name}: {message}"


def _example(context: click.Context | None) -> str:
    examples = getattr(context.command, "examples", ()) if context is not None else ()
    return f"for example: {examples[0]}" if examples else "see -h"


@click.group(
    cls=Program,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Example: trilithon run examples/hello --demo-backends",
)
@click.version_option(__version__, message="trilithon %(version)s")
def main() -> None:
    """Serve the Kubernetes Gateway API from a folder of YAML, with Envoy, and explain every answer."""
