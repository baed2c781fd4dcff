"""``trilithon status``: show the state of everything, live or offline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from trilithon.cli.command import EXIT_STATUS, Command, output
from trilithon.cli.main import EnvironmentLacks
from trilithon.cli.origin import Origin, optional_origin
from trilithon.cli.printing import printable

if TYPE_CHECKING:
    from trilithon.inspect.overview import Overview


@click.command(
    cls=Command,
    examples=(
        "trilithon status",
        "trilithon status -o json",
        "trilithon status examples/hello",
        "trilithon status --cluster",
    ),
    exits={0: "the state was shown, whatever it is", 2: EXIT_STATUS[2], 3: "no process of this user runs"},
)
@optional_origin
@output("text", "json")
@click.option("--pid", type=int, help="Ask this process, where several run.")
def command(origin: Origin, output: str, pid: int | None) -> int:
    """Show Gateways, listeners and routes with their conditions, problems, and what Envoy has acknowledged.

    Without PATH the running `trilithon run` is asked, over a socket that only its user can reach. With PATH... nothing
    needs to run: the manifests are translated, and the view is the one that a healthy Envoy would bring about. With
    --cluster the cluster's objects are; a Gateway is programmed where its stored status says so.
    """
    from trilithon.cli.printing import print_json
    from trilithon.cli.status_text import print_overview

    overview = _offline(origin) if origin.paths or origin.is_cluster else _live(pid)
    if output == "json":
        print_json(overview)
    else:
        print_overview(overview)
    return 0


def _offline(origin: Origin) -> Overview:
    from trilithon.cli import manifests
    from trilithon.inspect.overview import Overview, gateway_views, route_views

    read = manifests.read(origin)
    translation = read.translation
    return Overview(
        gateways=gateway_views(translation.engine, translation.settings),
        routes=route_views(translation.engine),
        problems=manifests.all_problems(read),
        paths=tuple(map(str, origin.paths)),
    )


def _live(pid: int | None) -> Overview:
    from trilithon.cli.control_client import ask
    from trilithon.sinks.runtime_directory import control_sockets

    sockets = {int(socket.parent.name): socket for socket in control_sockets()}
    if pid is not None and pid not in sockets:
        raise click.UsageError(f"no trilithon runs as process {pid}; {_running(sockets)}")
    if not sockets:
        raise EnvironmentLacks(
            "no trilithon of this user runs; start one with trilithon run PATH, or give PATH here, too"
        )
    if pid is None and len(sockets) > 1:
        raise click.UsageError(f"{_with_paths(sockets)}: choose one with --pid")
    socket = sockets[pid if pid is not None else next(iter(sockets))]
    try:
        return ask(socket)
    except (OSError, ValueError) as error:
        raise EnvironmentLacks(f"the process {socket.parent.name} does not answer: {error}") from error


def _with_paths(sockets: dict[int, Path]) -> str:
    """Which process is which."""
    from trilithon.cli.control_client import ask

    known = []
    for pid, socket in sockets.items():
        try:
            served = printable(", ".join(ask(socket).paths))
        except (OSError, ValueError):
            served = "does not answer"
        known.append(f"{pid} ({served})")
    return f"running: {', '.join(known)}"


def _running(sockets: dict[int, Path]) -> str:
    return f"running: {', '.join(map(str, sockets))}" if sockets else "none runs"
