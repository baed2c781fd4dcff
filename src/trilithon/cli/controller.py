"""``trilithon controller``: serve the Gateways of a cluster."""

from __future__ import annotations

import asyncio
import os
import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trilithon.cli.command import EXIT_STATUS, Command, HostAndPort
from trilithon.cli.ending import until_signalled
from trilithon.cli.main import EnvironmentLacks
from trilithon.model.settings import CONTROLLER_NAME
from trilithon.resources.gateways import DomainPrefixedPath

if TYPE_CHECKING:
    from trilithon.cli.cluster_serving import ClusterServing

# What each is in the environment of a pod, as the Deployment sets it.
POD_NAME, POD_NAMESPACE, POD_IP = "POD_NAME", "POD_NAMESPACE", "POD_IP"

# Its Lease is not that of the installation, which would not keep it from writing.
_NOT_ITS_OWN = (
    "--infrastructure processes needs a --controller-name of its own, which a GatewayClass names, such as "
    f"example.com/mine: as {CONTROLLER_NAME} it would write loopback addresses of this machine into the Gateways "
    "that an installation serves"
)


class Written(click.ParamType[str]):
    """A text that a pattern takes, said in words."""

    def __init__(self, name: str, pattern: str) -> None:
        self.name = name
        self._pattern = re.compile(pattern)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text, or a refusal."""
        if not self._pattern.fullmatch(str(value)):
            self.fail(f"{value!r} is no {self.name}", param, ctx)
        return str(value)


NAMESPACE = Written("namespace", r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
CONTROLLER = Written("controller name (a domain and a path, such as example.com/mine)", DomainPrefixedPath)


@click.command(
    cls=Command,
    examples=(
        "trilithon controller    # in a pod, as trilithon install sets it up",
        "trilithon controller --infrastructure processes --controller-name example.com/mine    # a laptop",
    ),
    exits={
        0: "it was ended by Ctrl-C, SIGTERM or a closed terminal, and requests in flight were finished",
        2: EXIT_STATUS[2],
        3: "the environment lacks something: no cluster configuration, no Envoy, or a port is taken",
        130: "it was ended at once, by a second Ctrl-C or SIGTERM",
    },
)
@click.option(
    "--kubeconfig", type=click.Path(path_type=Path), help="This file instead of $KUBECONFIG or ~/.kube/config."
)
@click.option("--context", default="", help="This context of the kubeconfig instead of the current one.")
@click.option(
    "--namespace",
    "namespaces",
    type=NAMESPACE,
    multiple=True,
    help="Serve objects of this namespace alone; may be repeated.",
)
@click.option("--namespace-selector", default="", help="Serve objects of the namespaces with these labels: a=b,c.")
@click.option(
    "--infrastructure",
    type=click.Choice(("deployments", "processes")),
    default="deployments",
    show_default=True,
    help="What runs the Envoys: a Deployment for each Gateway, or processes of this machine on loopback addresses.",
)
@click.option(
    "--controller-name",
    type=CONTROLLER,
    default=CONTROLLER_NAME,
    show_default=True,
    help="Serve the classes that name this. With --infrastructure processes it has to be another one.",
)
@click.option(
    "--own-namespace",
    type=NAMESPACE,
    envvar=POD_NAMESPACE,
    help=f"Where the Lease and the certificate authority are (${POD_NAMESPACE}, else the context's namespace).",
)
@click.option("--own-name", default="trilithon", show_default=True, help="Name of the Lease and of the Service.")
@click.option("--image", default="trilithon", show_default=True, help="Image of the proxies.")
@click.option(
    "--xds", type=HostAndPort(), default="0.0.0.0:18000", show_default=True, help="Where proxies find this process."
)
@click.option(
    "--address-family",
    type=click.Choice(("IPv4", "IPv6")),
    default="IPv4",
    show_default=True,
    help="What the pods of Gateways listen on: every IPv4 address, or with IPv6 every address there is.",
)
@click.option(
    "--backend-hostnames",
    is_flag=True,
    help="Let Backends have hostnames: whoever writes one can then reach any name, of another namespace too.",
)
@click.option(
    "--image-pull-secret",
    "image_pull_secrets",
    multiple=True,
    help="Secret with which pods of Gateways get their image, in each Gateway's namespace; may be repeated.",
)
@click.option(
    "--hold-vanished",
    "hold_seconds",
    type=click.IntRange(0, 86400),
    default=300,
    show_default=True,
    metavar="SECONDS",
    help="Serve on for so long what vanishes from the API server in masses, and until it is confirmed (0: not at all).",
)
@click.option("--health", type=HostAndPort(), help="Answer /healthz and /readyz here.")
@click.option(
    "--log-format",
    type=click.Choice(("auto", "plain", "json")),
    default="auto",
    show_default=True,
    help="How the log on standard error looks (auto: plain on a terminal, JSON elsewhere).",
)
def command(
    kubeconfig: Path | None,
    context: str,
    infrastructure: str,
    own_namespace: str | None,
    log_format: str,
    **options: Any,
) -> int:
    """Serve the Gateways of a cluster: watch its objects, program the Envoys, write statuses.

    Statuses and generated objects are written by one of several replicas, the holder of a Lease; all of them serve
    Envoys. An API server that is away or refuses a kind changes nothing of what is served.
    """
    has_processes = infrastructure == "processes"
    if has_processes and options["controller_name"] == CONTROLLER_NAME:
        raise click.UsageError(_NOT_ITS_OWN)
    from trilithon.sinks.delivery.grpc_environment import prepare

    # Before the next import, which brings gRPC.
    prepare()
    from trilithon.cli.cluster_serving import ClusterOptions, ClusterServing
    from trilithon.cli.report import report_for
    from trilithon.kube.config import find_config
    from trilithon.kube.errors import ConfigError

    try:
        config = find_config(kubeconfig, context)
    except ConfigError as error:
        raise EnvironmentLacks(str(error)) from error
    chosen = ClusterOptions(
        has_processes=has_processes,
        own_namespace=own_namespace or config.namespace,
        own_address=os.environ.get(POD_IP, ""),
        identity=os.environ.get(POD_NAME) or f"{socket.gethostname()}-{os.getpid()}",
        **options,
    )
    report = report_for(log_format)
    try:
        asyncio.run(_serve(ClusterServing(config, chosen, report)))
    except OSError as error:
        raise EnvironmentLacks(f"cannot serve: {error}") from error
    finally:
        report.close()
    return 0


async def _serve(serving: ClusterServing) -> None:
    await serving.run(until_signalled(serving.report.ending, serving.abandon))
    serving.report.ended()
