"""The test cluster's commands: ``python -m testcluster``."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import click
import msgspec

from testcluster import build as building
from testcluster import hub
from testcluster.api import ApiError, conditions
from testcluster.builds import BUILDS
from testcluster.cluster import Cluster
from testcluster.conformance.command import conformance
from testcluster.failure import Failure
from testcluster.layout import Layout
from testcluster.lifecycle import CHANNELS
from testcluster.manifests import load, parse

REST = {"ignore_unknown_options": True, "allow_interspersed_args": False}


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--name", envvar="TESTCLUSTER", help="The cluster's name; several may be up at once.")
@click.pass_context
def main(context: click.Context, name: str | None) -> None:
    """A Kubernetes cluster without containers: real control plane, pods as local processes."""
    try:
        context.obj = Layout.of(name)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--name") from None


@main.command()
@click.option("--again", is_flag=True, help="Build everything, also what is there.")
@click.argument("names", nargs=-1)
def build(names: tuple[str, ...], again: bool) -> None:
    """Build the programs that are missing (or only those NAMED), into a folder of the user's cache."""
    unknown = set(names) - {one.name for one in BUILDS}
    if unknown:
        raise click.BadParameter(f"no such program: {', '.join(sorted(unknown))}")
    begun = time.monotonic()
    count = building.build([one for one in BUILDS if not names or one.name in names], again=again)
    if count:
        click.echo(f"build: {count} built in {time.monotonic() - begun:.0f} s")
    else:
        click.echo("build: nothing is missing")


@main.command()
@click.option("--channel", type=click.Choice(CHANNELS), default="experimental", show_default=True)
@click.pass_obj
def up(layout: Layout, channel: str) -> None:
    """Bring the cluster up, or what is missing of it."""
    begun = time.monotonic()
    cluster = Cluster.up(layout.name, channel, click.echo)
    click.echo(f"up: the cluster {layout.name!r} is ready after {time.monotonic() - begun:.1f} s")
    click.echo(f"up: work in it by make cluster-shell; its logs are in {cluster.layout.logs}")


@main.command()
@click.option("--keep", is_flag=True, help="Keep its data for the next up.")
@click.pass_obj
def down(layout: Layout, keep: bool) -> None:
    """End everything and leave nothing behind."""
    Cluster(layout).down(keep=keep)


@main.command()
@click.pass_obj
def status(layout: Layout) -> None:
    """Say what runs."""
    cluster = Cluster.attach(layout.name)
    for name in cluster.processes.names():
        process = cluster.processes[name]
        state = f"{process.memory / 2**20:6.0f} MiB" if process.alive else "      ended"
        click.echo(f"{name:24} {process.pid:8} {state}")
    if not cluster.api.ready():
        raise Failure("The API server does not answer.")
    for pod in cluster.get("/api/v1/pods")["items"]:
        name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        ready = "ready" if conditions(pod).get("Ready") == "True" else "not ready"
        click.echo(f"{name:64} {pod['status'].get('phase'):10} {pod['status'].get('podIP', '-'):16} {ready}")


@main.command()
@click.pass_obj
def shell(layout: Layout) -> None:
    """Open a shell on the cluster's node."""
    Cluster.attach(layout.name)
    click.echo(f"A shell on the node of {layout.name!r}: kubectl is ready; leave by exit.")
    hub.enter(layout, ["bash"])


@main.command("exec", context_settings=REST)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_obj
def execute(layout: Layout, command: tuple[str, ...]) -> None:
    """Run a COMMAND on the cluster's node."""
    Cluster.attach(layout.name)
    hub.enter(layout, command)


@main.command(context_settings=REST)
@click.argument("process")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_obj
def spawn(layout: Layout, process: str, command: tuple[str, ...]) -> None:
    """Run a COMMAND on the node in the background, under a name."""
    cluster = Cluster.attach(layout.name)
    cluster.spawn(process, command)
    click.echo(f"{process}: its output goes to {cluster.processes.log(process)}")


@main.command()
@click.argument("process")
@click.pass_obj
def halt(layout: Layout, process: str) -> None:
    """End a process that spawn started."""
    Cluster.attach(layout.name).processes.forget(process)


@main.command()
@click.argument("files", nargs=-1, required=True)
@click.pass_obj
def apply(layout: Layout, files: tuple[str, ...]) -> None:
    """Apply manifests ("-": from standard input)."""
    cluster = Cluster.attach(layout.name)
    for file in files:
        for document in parse(sys.stdin.read()) if file == "-" else load(Path(file)):
            cluster.apply(document)
            metadata = document["metadata"]
            click.echo(f"{document['kind']} {metadata.get('namespace', 'default')}/{metadata['name']}")


@main.command()
@click.argument("path")
@click.pass_obj
def get(layout: Layout, path: str) -> None:
    """Print what the API server has at a PATH."""
    answer = Cluster.attach(layout.name).get(path)
    text = answer if isinstance(answer, str) else msgspec.json.format(msgspec.json.encode(answer)).decode()
    click.echo(text)


@main.command()
@click.argument("what", type=click.Choice(["pause", "resume", "kill", "start", "restart", "compact"]))
@click.argument("process", default="kube-apiserver")
@click.pass_obj
def fault(layout: Layout, what: str, process: str) -> None:
    """Disturb a PROCESS of the cluster, the API server if none is named; compact: make old versions unknown."""
    cluster = Cluster.attach(layout.name)
    if what == "compact":
        cluster.compact()
    else:
        getattr(cluster, what)(process)


main.add_command(conformance)


def run() -> None:
    """Run a command; what must change outside of this program is told without a traceback."""
    # Where root's commands are, also if a user's PATH was inherited.
    os.environ["PATH"] = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    try:
        main(prog_name="python -m testcluster")
    except (Failure, ApiError, LookupError) as error:
        sys.exit(f"testcluster: {error}")


if __name__ == "__main__":
    run()
