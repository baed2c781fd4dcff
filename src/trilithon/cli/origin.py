"""Where the commands that only look have their objects from: files, a cluster, or files as if applied to it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click
from msgspec import Struct

from trilithon.cli.command import Manifests
from trilithon.model.settings import CONTROLLER_NAME, Installation

F = TypeVar("F", bound=Callable[..., Any])

INSTALLATION = f"{Installation().namespace}/{Installation().name}"
_FLAGS = (
    *("--kubeconfig", "--context", "--namespace", "--namespace-selector"),
    *("--controller-name", "--installation", "--address-family", "--backend-hostnames"),
)
# The options that only a cluster has, and what they are otherwise.
_OF_CLUSTER: dict[str, Any] = {
    "kubeconfig": None,
    "context": "",
    "namespaces": (),
    "namespace_selector": "",
    "controller_name": CONTROLLER_NAME,
    "installation": INSTALLATION,
    "address_family": "IPv4",
    "backend_hostnames": False,
}


class Origin(Struct, frozen=True):
    """Folders and files, and, where ``is_cluster``, the cluster that kubeconfig and context name.

    With ``namespaces`` only those of the cluster are read, and with ``namespace_selector`` only those that it selects.
    ``controller_name``, ``installation``, the "namespace/name" of its Deployment, ``address_family`` and
    ``backend_hostnames`` say as which controller it is looked at.
    """

    paths: tuple[Path, ...] = ()
    is_cluster: bool = False
    kubeconfig: Path | None = None
    context: str = ""
    namespaces: tuple[str, ...] = ()
    namespace_selector: str = ""
    controller_name: str = CONTROLLER_NAME
    installation: str = INSTALLATION
    address_family: str = "IPv4"
    backend_hostnames: bool = False


def origin(function: F) -> F:
    """The argument PATH... and the options of a cluster; the command gets them as ``origin``."""
    return _with_options(function, is_needed=True)


def optional_origin(function: F) -> F:
    """The same for a command that has something else to ask where neither is given."""
    return _with_options(function, is_needed=False)


def _with_options(function: F, *, is_needed: bool) -> F:
    @wraps(function)
    def command(paths: tuple[Path, ...], cluster: bool, **options: Any) -> Any:
        chosen = {name: options.pop(name) for name in _OF_CLUSTER}
        if not cluster and any(chosen[name] != default for name, default in _OF_CLUSTER.items()):
            raise click.UsageError(f"{', '.join(_FLAGS)} are of a cluster: give --cluster, too")
        if is_needed and not paths and not cluster:
            examples = getattr(click.get_current_context().command, "examples", ())
            example = f"; for example: {examples[0]}" if examples else ""
            raise click.UsageError(f"name a folder or file of manifests, or give --cluster{example}")
        return function(origin=Origin(tuple(paths), cluster, **chosen), **options)

    wrapped: Any = command
    for decorate in (
        click.option("--backend-hostnames", is_flag=True, help="Look as a controller that lets Backends have them."),
        click.option(
            "--address-family", type=click.Choice(("IPv4", "IPv6")), default="IPv4", help="Of the controller's pods."
        ),
        click.option(
            "--installation", default=INSTALLATION, metavar="NAMESPACE/NAME", help="The controller's Deployment there."
        ),
        click.option("--controller-name", default=CONTROLLER_NAME, help="Look as the controller of this name."),
        click.option(
            "--namespace-selector", default="", metavar="SELECTOR", help="Read the namespaces with these labels: a=b,c."
        ),
        click.option("--namespace", "namespaces", multiple=True, help="Read this namespace of it; may be repeated."),
        click.option("--context", default="", metavar="NAME", help="This context of the kubeconfig."),
        click.option("--kubeconfig", type=click.Path(path_type=Path), help="This file, not $KUBECONFIG."),
        click.option("--cluster", is_flag=True, help="Read a cluster; with PATH, as if that were applied to it."),
        click.argument("paths", type=Manifests(), nargs=-1, metavar="PATH..." if is_needed else "[PATH]..."),
    ):
        wrapped = decorate(wrapped)
    result: F = wrapped
    return result
