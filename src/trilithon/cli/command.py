"""What every command has: help with examples and exit statuses, the PATH argument, the choice of output."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from trilithon.cli.main import EnvironmentLacks

F = TypeVar("F", bound=Callable[..., Any])

PORT_OFFSETS = click.IntRange(0, 65534)

EXIT_STATUS = {
    0: "it worked",
    1: "problems were found",
    2: "the command was used wrongly",
    3: "Envoy, or something else around the program, is missing",
}

UNUSABLE = "a path cannot be read, or the output cannot be written"


class Command(click.Command):
    """A command whose help ends with examples and the exit statuses it has; ``exits`` may word some of its own."""

    def __init__(
        self, *args: Any, examples: Sequence[str] = (), exits: dict[int, str] | None = None, **more: Any
    ) -> None:
        super().__init__(*args, **more)
        self.examples = tuple(examples)
        self.exits = {3: UNUSABLE} | ({0: EXIT_STATUS[0], 2: EXIT_STATUS[2]} if exits is None else exits)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what comes after the options."""
        with formatter.section("Examples"):
            for example in self.examples:
                formatter.write(f"{'':{formatter.current_indent}}{example}\n")
        with formatter.section("Exit status"):
            formatter.write_dl([(str(status), text) for status, text in sorted(self.exits.items())])


class Manifests(click.Path):
    """A folder or file that exists."""

    name = "path"

    def __init__(self) -> None:
        super().__init__(exists=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path, or a refusal with its mend. Raises EnvironmentLacks where nobody may look."""
        path = Path(value)
        try:
            path.stat()
        except (FileNotFoundError, NotADirectoryError):
            self.fail(f"{value} does not exist: name a folder or a file of manifests", param, ctx)
        except OSError as error:
            raise EnvironmentLacks(f"{value} cannot be read: {error.strerror}") from error
        return path


def paths(function: F) -> F:
    """The argument PATH..., at least one."""
    return click.argument("paths", type=Manifests(), nargs=-1, required=True, metavar="PATH...")(function)


def output(*choices: str) -> Callable[[F], F]:
    """The option -o; the first choice is the default."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(choices),
        default=choices[0],
        show_default=True,
        help="What to print.",
    )


class Address(click.ParamType[str]):
    """An IP address to listen at."""

    name = "address"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The address, or a refusal with its mend."""
        try:
            return str(ipaddress.ip_address(value))
        except ValueError:
            self.fail(
                f"{value} is not an IP address; use 127.0.0.1, 0.0.0.0 for every address, or one of yours", param, ctx
            )


class HostAndPort(click.ParamType[tuple[str, int]]):
    """HOST:PORT, with brackets around an IPv6 address."""

    name = "host:port"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        """The two, the host without brackets, or a refusal."""
        if isinstance(value, tuple):
            return value
        host, _, port = str(value).rpartition(":")
        host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        if not host or not port.isascii() or not port.isdecimal() or not 0 < int(port) < 65536:
            self.fail(f"{value} is not HOST:PORT, such as trilithon.trilithon-system.svc:18000", param, ctx)
        return host, int(port)
