"""``trilithon run``: serve manifests with Envoy, and follow their changes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trilithon.cli.command import EXIT_STATUS, PORT_OFFSETS, Address, Command, paths
from trilithon.cli.ending import until_signalled
from trilithon.cli.main import EnvironmentLacks

if TYPE_CHECKING:
    from trilithon.cli.serving import Serving
    from trilithon.sinks.runtime_directory import RuntimeDirectory


@click.command(
    cls=Command,
    examples=(
        "trilithon run examples/hello --demo-backends",
        "trilithon run manifests/ --address 0.0.0.0 --port-offset 8000    # port 80 at 8080",
        "trilithon run gateway.yaml routes/ --no-watch",
    ),
    exits={
        0: "it was ended by Ctrl-C, SIGTERM or a closed terminal, and requests in flight were finished",
        2: EXIT_STATUS[2],
        3: EXIT_STATUS[3],
        130: "it was ended at once, by a second Ctrl-C or SIGTERM",
    },
)
@paths
@click.option("--address", type=Address(), default="127.0.0.1", show_default=True, help="Where Envoy listens.")
@click.option("--port-offset", type=PORT_OFFSETS, default=0, show_default=True, help="Add this to every port.")
@click.option("--watch/--no-watch", default=True, show_default=True, help="Follow changes of the files.")
@click.option("--demo-backends", is_flag=True, help="Answer for each Backend at 127.0.0.1 that does not run.")
@click.option(
    "--log-format",
    type=click.Choice(("auto", "plain", "json")),
    default="auto",
    show_default=True,
    help="How the log on standard error looks (auto: plain on a terminal, JSON elsewhere). "
    "json also turns the report on standard output into JSON lines.",
)
def command(
    paths: Sequence[Path], address: str, port_offset: int, watch: bool, demo_backends: bool, log_format: str
) -> int:
    """Serve the Gateways of the manifests in PATH... with Envoy, and follow every change of the files.

    Prints the Gateways with their URLs, then a line for each change: what changed, how many rows were recomputed, and
    after how many milliseconds Envoy had it; and each problem, when it comes and when it is mended. Ctrl-C lets
    requests in flight finish, for 30 s at most; a second one ends at once.
    """
    from trilithon.cli.report import report_for
    from trilithon.cli.serving import Serving
    from trilithon.model.settings import Settings
    from trilithon.sinks.envoy.envoy_binary import EnvoyMissing, find_envoy
    from trilithon.sinks.runtime_directory import RuntimeDirectoryError, create

    try:
        envoy = find_envoy()
        runtime = create()
    except (EnvoyMissing, RuntimeDirectoryError) as error:
        raise EnvironmentLacks(str(error)) from error
    settings = Settings(address=address, port_offset=port_offset)
    report = report_for(log_format)
    serving = Serving(tuple(paths), settings, envoy, runtime, report)
    try:
        asyncio.run(_serve(serving, runtime, watch=watch, demo_backends=demo_backends))
        report.ended()
        return 0
    except OSError as error:
        raise EnvironmentLacks(f"cannot serve: {error}") from error
    finally:
        runtime.remove()
        report.close()


async def _serve(serving: Serving, runtime: RuntimeDirectory, *, watch: bool, demo_backends: bool) -> None:
    stop = until_signalled(serving.report.ending, runtime.remove)
    await serving.run(stop, watch=watch, demo_backends=demo_backends)
