"""Bringing a cluster up and taking it down; both may be asked again at any time, whatever state it is in."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from testcluster import build, namespaces, pki
from testcluster.api import Api, ApiError, conditions
from testcluster.builds import BUILDS
from testcluster.components import Component, components, dns_objects, write_files
from testcluster.failure import Failure
from testcluster.hub import is_inside
from testcluster.layout import NODE, Layout
from testcluster.manifests import Manifests, load
from testcluster.processes import Processes
from testcluster.settling import settle

CHANNELS: Final = ("experimental", "standard", "none")
NEEDED: Final = {"ip": "iproute2", "nsenter": "util-linux", "unshare": "util-linux", "nft": "nftables"}
"""Commands of the machine, and the Debian packages that bring them. kube-proxy runs nft."""
GRACE: Final = 2.0
"""Seconds that a process has to end when all its data is thrown away."""


def up(layout: Layout, processes: Processes, channel: str, say: Callable[[str], None]) -> None:
    """Start what does not run and wait until the cluster works. Failure if it cannot, with what to do."""
    _check_machine(layout)
    with _alone(layout):
        _up(layout, processes, channel, say)


def _up(layout: Layout, processes: Processes, channel: str, say: Callable[[str], None]) -> None:
    build.link(layout.bin, BUILDS)
    layout.logs.mkdir(parents=True, exist_ok=True)
    pki.make(layout.pki)
    write_files(layout)
    namespaces.create_hub(layout)
    api = Api(layout)
    # All else asks the API server as soon as it starts, and waits long when it finds none.
    first, rest = components(layout)[:2], components(layout)[2:]
    begun = time.monotonic()
    for component in first:
        _start(layout, processes, component)
    wait_for("the API server", api.ready, 120, _dead(processes, first))
    say(f"up: the API server answers after {time.monotonic() - begun:.1f} s")
    for component in rest:
        _start(layout, processes, component)
    manifests = Manifests(api)
    manifests.apply(dns_objects())
    _install_definitions(layout, manifests, channel)
    dead = _dead(processes, components(layout))
    wait_for("the Gateway API's definitions", lambda: _established(api), 60, dead)
    wait_for("the node", lambda: _node_ready(api), 60, dead)
    wait_for("the default service account", lambda: _has_account(api), 60, dead)
    settle(layout, api, processes, 90, dead)


def down(layout: Layout, processes: Processes, *, keep: bool = False) -> None:
    """End every process of the cluster, remove its network namespaces and, unless they are kept, its files."""
    if is_inside(layout):
        raise Failure(f"This process runs in the hub of {layout.name!r}, which is about to go: leave it first.")
    with _alone(layout):
        _down(layout, processes, keep=keep)


def _down(layout: Layout, processes: Processes, *, keep: bool) -> None:
    # The kubelet first, or it would start its pods again; then what is not part of the cluster; etcd last.
    order = [component.name for component in reversed(components(layout))]
    for name in [*order[:1], *(name for name in processes.names() if name not in order), *order[1:]]:
        if processes.get(name):
            processes.end(name, 10.0 if keep else GRACE)
            processes.forget(name)
    for namespace in namespaces.of_cluster(layout):
        _empty(namespace)
        namespaces.remove(namespace)
    if not keep:
        shutil.rmtree(layout.state, ignore_errors=True)


def wait_for(what: str, holds: Callable[[], bool], seconds: float, dead: Callable[[], str] = str) -> None:
    """Look until it holds. Failure after so many seconds, or as soon as ``dead`` says that it never will, and why."""
    deadline = time.monotonic() + seconds
    while not holds():
        if why := dead():
            raise Failure(f"{what} does not come: {why}")
        if time.monotonic() > deadline:
            raise Failure(f"{what} did not come within {seconds:g} s")
        time.sleep(0.05)


@contextmanager
def _alone(layout: Layout) -> Iterator[None]:
    """Wait until nobody else brings this cluster up or down."""
    # Beside its folder, which goes with it.
    layout.state.parent.mkdir(parents=True, exist_ok=True)
    with layout.state.with_name(f".{layout.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _check_machine(layout: Layout) -> None:
    if os.geteuid() != 0:
        raise Failure("The test cluster makes network namespaces, which only root may: run this as root.")
    if is_inside(layout):
        raise Failure(f"This process runs in the hub of {layout.name!r}: leave it first.")
    if missing := sorted({package for command, package in NEEDED.items() if shutil.which(command) is None}):
        raise Failure(
            f"Missing on this machine: {', '.join(missing)}. Install them: apt-get install {' '.join(missing)}"
        )


def _start(layout: Layout, processes: Processes, component: Component) -> None:
    processes.start(component.name, component.argv, component.env, component.parents(layout))


def _dead(processes: Processes, expected: tuple[Component, ...]) -> Callable[[], str]:
    def why() -> str:
        for component in expected:
            process = processes.get(component.name)
            if process is not None and not process.alive:
                log = processes.log(component.name)
                return f"{component.name} ended; its last words in {log}:\n{_tail(log)}"
        return ""

    return why


def _tail(path: Path, lines: int = 10) -> str:
    with suppress(FileNotFoundError):
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    return ""


def _install_definitions(layout: Layout, manifests: Manifests, channel: str) -> None:
    if channel == "none":
        return
    folder = layout.bin / "gateway-api-crds" / channel
    manifests.apply(load(*sorted(folder.glob("gateway*.yaml"))))


def _established(api: Api) -> bool:
    listed = api.get("/apis/apiextensions.k8s.io/v1/customresourcedefinitions")["items"]
    return all(conditions(item).get("Established") == "True" for item in listed)


def _node_ready(api: Api) -> bool:
    node = api.find(f"/api/v1/nodes/{NODE}")
    return node is not None and conditions(node).get("Ready") == "True"


def _has_account(api: Api) -> bool:
    try:
        return api.find("/api/v1/namespaces/default/serviceaccounts/default") is not None
    except ApiError:
        return False


def _empty(namespace: str) -> None:
    """Kill what is left in a network namespace of the cluster: its pods' processes, and what was run in the hub."""
    deadline = time.monotonic() + 10
    while pids := namespaces.processes(namespace):
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise Failure(f"processes {pids} in {namespace} do not end")
        time.sleep(0.01)
