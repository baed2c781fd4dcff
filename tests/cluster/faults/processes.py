"""The processes of pods, seen from the node: which they are, and their end without a warning."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from testcluster import Cluster, namespaces
from testcluster.api import Object


def processes(cluster: Cluster, pod: Object, command: str) -> list[int]:
    """The processes of a pod in whose command line that text is."""
    uid = pod["metadata"]["uid"].replace("-", "")
    name = f"{cluster.layout.pod_prefix}{uid[:8]}{uid[-4:]}"
    return [pid for pid in namespaces.processes(name) if command in command_line(pid)]


def command_line(pid: int) -> str:
    """How a process was started; "" if there is none any more."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def send(pids: list[int], number: signal.Signals) -> None:
    """Signal processes, which must be there."""
    for pid in pids:
        os.kill(pid, number)
