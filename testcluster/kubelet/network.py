"""Give each pod a network namespace with an address of its own, and take both back."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import IPv4Network
from pathlib import Path

from testcluster.kubelet.commands import CommandFailed, run
from testcluster.kubelet.leftovers import end_all, in_network
from testcluster.kubelet.objects import Pod
from testcluster.namespaces import FOLDER, hub_side, pod_side

# Addresses before this belong to the node.
_RESERVED = 256


class Addresses:
    """Hands out the pod network's addresses in turn, so that one comes back as late as can be.

    The last one is kept in a file: connections to a pod of before a restart must not reach a new one.
    """

    def __init__(self, network: IPv4Network, file: Path) -> None:
        self._network = network
        self._file = file
        self._last = _RESERVED
        with suppress(FileNotFoundError, ValueError):
            self._last = int(file.read_text())

    def take(self) -> str:
        """The next address."""
        self._last = self._last + 1 if self._last + 2 < self._network.num_addresses else _RESERVED + 1
        # Some programs take .0 and .255 for what they once meant.
        while self._last % 256 in (0, 255):
            self._last += 1
        self._file.write_text(str(self._last))
        return str(self._network[self._last])


def namespace_of(prefix: str, pod: Pod) -> str:
    """The name of a pod's network namespace."""
    digits = pod.uid.replace("-", "")
    return f"{prefix}{digits[:8]}{digits[-4:]}"


async def connect(hub: str, namespace: str, address: str) -> None:
    """Make the namespace and wire it to the hub. Raises CommandFailed."""
    device = f"v{namespace.rpartition('.')[2]}"
    await run("ip", "netns", "add", namespace)
    await run("ip", "-n", hub, "-batch", "-", lines=hub_side(device, namespace, address))
    await run("ip", "-n", namespace, "-batch", "-", lines=pod_side(address))


async def disconnect(namespace: str) -> None:
    """End what still runs in the namespace and remove it; nothing happens if there is none."""
    if not (FOLDER / namespace).exists():
        return
    end_all(in_network(FOLDER / namespace))
    with suppress(CommandFailed):
        await run("ip", "netns", "del", namespace)
