"""``trilithon proxy``: be the Envoy of one Gateway in a cluster."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from trilithon.cli.command import EXIT_STATUS, Command, HostAndPort
from trilithon.cli.main import EnvironmentLacks

if TYPE_CHECKING:
    from trilithon.xds.bootstrap_cluster import ClusterPlace

LOG_LEVELS = ("trace", "debug", "info", "warning", "error", "critical")


class GatewayName(click.ParamType[str]):
    """NAMESPACE/NAME of a Gateway."""

    name = "gateway"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name, or a refusal."""
        parts = str(value).split("/")
        if len(parts) != 2 or not all(parts) or "~" in value:
            self.fail(f"{value} is not NAMESPACE/NAME", param, ctx)
        return str(value)


@click.command(
    cls=Command,
    examples=(
        "trilithon proxy --gateway infra/edge --xds trilithon.trilithon-system.svc:18000 \\",
        "    --identity /var/run/secrets/trilithon --run /run/trilithon",
    ),
    exits={
        0: "it was ended by SIGTERM or SIGINT, after requests in flight were finished",
        2: EXIT_STATUS[2],
        3: "the identity, Envoy or the folder for its files is missing or wrong",
        127: "Envoy cannot be executed",
    },
)
@click.option("--gateway", type=GatewayName(), required=True, help="The Gateway to serve, NAMESPACE/NAME.")
@click.option("--xds", type=HostAndPort(), required=True, help="Where the controller gives configuration.")
@click.option(
    "--identity",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder with tls.crt, tls.key and ca.crt, as a mounted Secret has them; followed when it changes.",
)
@click.option(
    "--run",
    "run_folder",
    type=click.Path(path_type=Path),
    default=Path("/run/trilithon"),
    show_default=True,
    help="Folder for Envoy's files, the only one that must be writable.",
)
@click.option("--pod", envvar="POD_NAME", default=socket.gethostname, help="This Envoy's name. [default: host name]")
@click.option("--concurrency", type=click.IntRange(1, 1024), help="Worker threads.  [default: one for each CPU]")
@click.option("--log-level", type=click.Choice(LOG_LEVELS), default="warning", show_default=True, help="Of Envoy.")
@click.option(
    "--ready-address",
    type=HostAndPort(),
    default="0.0.0.0:19003",
    show_default=True,
    help="Where GET /ready answers 200 while listeners are live and 503 otherwise, and nothing else is answered.",
)
@click.option(
    "--identity-wait", type=click.FloatRange(0), default=60.0, show_default=True, help="Seconds to wait for --identity."
)
@click.option(
    "--drain-lag",
    type=click.FloatRange(0),
    default=5.0,
    show_default=True,
    help="Seconds for which a proxy that is to end, and not ready any more, still takes connections.",
)
@click.option(
    "--drain-seconds",
    type=click.FloatRange(0),
    default=50.0,
    show_default=True,
    help="At most so long after SIGTERM it ends; the pod's grace period has to be 8 s longer.",
)
def command(gateway: str, xds: tuple[str, int], identity: Path, run_folder: Path, pod: str, **options: Any) -> NoReturn:
    """Serve one Gateway of a cluster: fetch nothing but configuration, over mutual TLS, and be Envoy.

    Waits for the identity, writes Envoy's bootstrap and becomes Envoy with a small process beside it, which makes
    SIGTERM mean: no longer ready, drain, finish what is in flight, end. A pod needs no preStop hook.
    """
    from trilithon.sinks.envoy.envoy_process import SocketPathTooLong, checked_socket
    from trilithon.sinks.envoy.proxy_identity import IdentityMissing, await_identity
    from trilithon.xds.bootstrap_cluster import Address, ClusterPlace
    from trilithon.xds.node import node_id

    namespace, _, name = gateway.partition("/")
    place = ClusterPlace(
        node_id=node_id(namespace, name, pod),
        xds=Address(*xds),
        identity=os.fspath(identity.absolute()),
        run=os.fspath(run_folder.absolute()),
        ready=Address(*options["ready_address"]),
    )
    try:
        checked_socket(place.admin_socket)
        await_identity(identity, gateway, options["identity_wait"])
        _write(place)
    except (IdentityMissing, SocketPathTooLong) as error:
        raise EnvironmentLacks(str(error)) from error
    except OSError as error:
        raise EnvironmentLacks(f"{error.filename} cannot be written: {error.strerror}") from error
    _become(place, options)


def _write(place: ClusterPlace) -> None:
    from trilithon.sinks.envoy.container_limits import memory_limit, open_files_limit
    from trilithon.xds.bootstrap import EnvoyLimits, connections_within, heap_within
    from trilithon.xds.bootstrap_cluster import files

    limits = connections_within(EnvoyLimits(), open_files_limit())
    memory = memory_limit()
    if memory is not None:
        limits = heap_within(limits, memory)
    Path(place.run).mkdir(mode=0o700, parents=True, exist_ok=True)
    for path, content in files(place, limits).items():
        Path(path).write_bytes(content)


def _become(place: ClusterPlace, options: dict[str, Any]) -> NoReturn:
    """Replace this process, and with it everything that it imported."""
    from trilithon.sinks.envoy.envoy_binary import EnvoyMissing, find_envoy

    try:
        envoy = find_envoy()
    except EnvoyMissing as error:
        raise EnvironmentLacks(str(error)) from error
    parent = [sys.executable, "-I", "-m", "trilithon.sinks.envoy.proxy_parent", place.admin_socket]
    drain = [str(options["drain_lag"]), str(options["drain_seconds"])]
    concurrency = [] if options["concurrency"] is None else ["--concurrency", str(options["concurrency"])]
    command = [
        os.fspath(envoy.path),
        "--config-path",
        place.bootstrap_file,
        *concurrency,
        "--disable-hot-restart",
        # As in standalone mode: we know what it knows.
        "--ignore-unknown-dynamic-fields",
        # As in standalone mode: what a listener's change closes, closes with its next response.
        "--drain-strategy",
        "immediate",
        "--log-level",
        options["log_level"],
        "--log-format-escaped",
        "--log-format",
        "%Y-%m-%dT%T.%e %l %n %v",
    ]
    sys.stdout.flush()
    os.execv(sys.executable, [*parent, *drain, *command])
