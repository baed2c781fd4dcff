"""``trilithon echo``: serve demo backends."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence

import click

from trilithon.cli.command import EXIT_STATUS, Command
from trilithon.cli.main import EnvironmentLacks

PORTS = click.IntRange(1, 65535)


@click.command(
    cls=Command,
    examples=("trilithon echo 9001 9002", "trilithon echo 9001 --address 0.0.0.0"),
    exits={0: "it was stopped", 2: EXIT_STATUS[2], 3: "a port cannot be had"},
)
@click.argument("ports", type=PORTS, nargs=-1, required=True, metavar="PORT...")
@click.option("--address", default="127.0.0.1", show_default=True, help="Where to listen.")
def command(ports: Sequence[int], address: str) -> int:
    """Serve a little HTTP backend on each PORT, until Ctrl-C.

    Each answers with what it was asked, as JSON. A request can wish for more: ?delay=500ms, ?status=503,
    ?fail=2&id=a (503 for the first two requests), ?reset=1, ?header=name:value.
    """
    from trilithon.cli.echo import demo_backends

    async def serve() -> None:
        stopped = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
        async with demo_backends({f"echo-{port}": port for port in ports}, address) as servers:
            for server in servers:
                click.echo(f"{server.name} at http://{address}:{server.port}/")
            await stopped.wait()

    try:
        asyncio.run(serve())
    except OSError as error:
        raise EnvironmentLacks(str(error)) from error
    return 0
