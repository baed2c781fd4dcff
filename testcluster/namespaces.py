"""Network namespaces: the hub, which is the node, and what a pod's namespace is wired to it with.

Every pod has its own veth pair and an address of its own (/32): all it sends passes through the hub, which routes it.
Pods share no bridge on purpose: on one, answers would go straight to their peer, past the address translation of
Services, unless every connection were masqueraded; routed, pods see each other's real addresses as in a real cluster.
"""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

from testcluster.layout import BALANCER_NETWORK, NODE_ADDRESS, SERVICE_NETWORK, Layout

FOLDER: Final = Path("/run/netns")
RULES: Final = f"""\
table ip testcluster {{
  set services {{ type ipv4_addr; flags interval; elements = {{ {SERVICE_NETWORK}, {BALANCER_NETWORK} }}; }}
  chain refuse {{
    ip daddr @services meta l4proto tcp reject with tcp reset
    ip daddr @services reject
  }}
  chain output {{ type filter hook output priority filter; jump refuse; }}
  chain forward {{ type filter hook forward priority filter; jump refuse; }}
}}
"""
"""What still has a Service's address after kube-proxy's rules is for nobody: it is refused at once, without waiting for
a neighbour that never answers."""
CLONE_NEWNET: Final = 0x40000000


def exists(namespace: str) -> bool:
    """Whether there is a network namespace of that name."""
    return (FOLDER / namespace).exists()


def inside(namespace: str, argv: Sequence[str]) -> list[str]:
    """The command that runs another inside a network namespace; it replaces itself, so the process keeps its id."""
    return ["nsenter", f"--net={FOLDER / namespace}", "--", *argv]


@contextmanager
def entered(namespace: str) -> Iterator[None]:
    """Have the calling thread, alone, in a network namespace. OSError if there is none, or without the right to."""
    with Path("/proc/thread-self/ns/net").open("rb") as back, (FOLDER / namespace).open("rb") as there:
        _setns(there.fileno())
        try:
            yield
        finally:
            _setns(back.fileno())


def connect(namespace: str, address: tuple[str, int], timeout: float | None = None) -> socket.socket:
    """A TCP connection inside a network namespace, for a process that is outside: a socket stays where it was made."""
    with entered(namespace):
        connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    connection.settimeout(timeout)
    try:
        connection.connect(address)
    except OSError:
        connection.close()
        raise
    return connection


def create_hub(layout: Layout) -> None:
    """Make the cluster's hub, unless it is there."""
    if exists(layout.hub):
        return
    _ip("netns", "add", layout.hub)
    try:
        _wire_hub(layout.hub)
    except BaseException:
        remove(layout.hub)
        raise


def _wire_hub(hub: str) -> None:
    # Services' addresses need a route, or the kernel refuses them before kube-proxy's rules see them.
    # A bridge without ports, because some kernels have no device that is made for having an address and nothing else.
    _ip_batch(
        hub,
        "link set lo up",
        "link add node type bridge",
        f"addr add {NODE_ADDRESS}/32 dev node",
        "link set node up",
        f"route add {SERVICE_NETWORK} dev node",
        f"route add {BALANCER_NETWORK} dev node",
    )
    subprocess.run(inside(hub, ["nft", "-f", "-"]), check=True, text=True, input=RULES)
    with entered(hub):
        # These files show the settings of whoever opens them.
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


def hub_side(device: str, namespace: str, address: IPv4Address | str) -> str:
    """The lines for ``ip -n HUB -batch -`` that give a pod's namespace its ``eth0``, whose other end is ``device``."""
    return (
        f"link add {device} type veth peer name eth0 netns {namespace}\n"
        f"link set {device} up\n"
        f"route add {address}/32 dev {device} src {NODE_ADDRESS}\n"
    )


def pod_side(address: IPv4Address | str) -> str:
    """The lines for ``ip -n POD -batch -``, after those of the hub."""
    return (
        "link set lo up\n"
        f"addr add {address}/32 dev eth0\n"
        "link set eth0 up\n"
        f"route add {NODE_ADDRESS}/32 dev eth0 scope link\n"
        f"route add default via {NODE_ADDRESS}\n"
    )


def of_cluster(layout: Layout) -> list[str]:
    """The names of a cluster's network namespaces, its pods' first."""
    names = [path.name for path in FOLDER.iterdir() if layout.owns(path.name)] if FOLDER.is_dir() else []
    return sorted(names, key=lambda name: (name == layout.hub, name))


def processes(namespace: str) -> list[int]:
    """The ids of the processes inside a network namespace."""
    return [int(line) for line in _ip("netns", "pids", namespace).split()]


def remove(namespace: str) -> None:
    """Remove a network namespace; what is left in it must have ended before."""
    _ip("netns", "del", namespace)


def _ip(*argv: str) -> str:
    return subprocess.run(["ip", *argv], check=True, stdout=subprocess.PIPE, text=True).stdout


def _ip_batch(namespace: str, *lines: str) -> None:
    subprocess.run(["ip", "-n", namespace, "-batch", "-"], check=True, text=True, input="\n".join(lines) + "\n")


def _setns(descriptor: int) -> None:
    # os.setns is there from Python 3.12 on.
    if ctypes.CDLL(None, use_errno=True).setns(descriptor, CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, f"cannot enter a network namespace: {os.strerror(number)}")
