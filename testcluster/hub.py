"""Running commands in a cluster's hub as if on its node: its network, its DNS, its programs, its kubeconfig."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from testcluster import namespaces
from testcluster.layout import Layout

# Only /etc/resolv.conf differs from the machine's. The mount that holds it is made private first, so that nobody else
# sees the change; all others stay shared, so that network namespaces made inside are seen outside.
WITH_RESOLVER = """\
if [ -e /etc/resolv.conf ]; then
  mount --make-private "$(stat -c %m /etc/)" && mount --bind "$0" "$(readlink -f /etc/resolv.conf)" || exit 125
fi
exec "$@"
"""


def command_in_hub(layout: Layout, argv: Sequence[str]) -> list[str]:
    """The command that runs another in the hub; it replaces itself by that."""
    with_mounts = ["unshare", "--mount", "--propagation", "unchanged", "--"]
    shell = ["sh", "-c", WITH_RESOLVER, str(layout.resolv_conf), *argv]
    return namespaces.inside(layout.hub, [*with_mounts, *shell])


def environment(layout: Layout, *, inherit: bool = True) -> dict[str, str]:
    """The environment of a command in the hub; ``inherit`` adds it to ours."""
    # Ours first: kubectl of the cluster's version, and trilithon of this checkout.
    path = f"{layout.bin}:{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"
    ours = {"KUBECONFIG": str(layout.kubeconfig), "PATH": path, "TESTCLUSTER": layout.name}
    return {**os.environ, **ours} if inherit else ours


def is_inside(layout: Layout) -> bool:
    """Whether this process is in the hub."""
    hub = namespaces.FOLDER / layout.hub
    return hub.exists() and Path("/proc/self/ns/net").stat().st_ino == hub.stat().st_ino


def enter(layout: Layout, argv: Sequence[str]) -> None:
    """Become a command in the hub; returns only by OSError."""
    command = command_in_hub(layout, argv)
    os.execvpe(command[0], command, environment(layout))
