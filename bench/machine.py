"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import re
import resource
import subprocess
import time
from importlib import metadata
from pathlib import Path

from bench import traefik
from trilithon.sinks.envoy.envoy_binary import find_envoy


def facts() -> dict[str, str]:
    """Machine and versions, by name."""
    return {
        "CPU": _field("/proc/cpuinfo", "model name"),
        "cores": f"{len(os.sched_getaffinity(0))}",
        "memory": f"{int(_field('/proc/meminfo', 'MemTotal').split()[0]) / 1024 / 1024:.0f} GiB",
        "kernel": platform.release(),
        "Python": platform.python_version(),
        "Trilithon": f"{metadata.version('trilithon')}{_commit()}",
        "Envoy": find_envoy().version,
        "Traefik": traefik.VERSION,
    }


def load_tools() -> dict[str, str]:
    """Versions of the load tools, by name."""
    return {"wrk": _said("wrk", "-v"), "h2load": _said("h2load", "--version")}


def busy_share(seconds: float = 3.0) -> float:
    """How busy the machine is for so many seconds: the part of all CPU time that is used."""
    before, began = _busy_seconds(), time.monotonic()
    time.sleep(seconds)
    return (_busy_seconds() - before) / ((os.cpu_count() or 1) * (time.monotonic() - began))


class OtherWork:
    """How busy the machine is with what is not the benchmark, from now on."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._busy = _busy_seconds()
        self._own = _own_seconds()

    def share(self) -> float:
        """Of all CPU time since the beginning, the part that others used; programs of ours must have ended."""
        others = _busy_seconds() - self._busy - (_own_seconds() - self._own)
        cores = os.cpu_count() or 1
        return max(0.0, others) / (cores * (time.monotonic() - self._began))


def _busy_seconds() -> float:
    """CPU time that the whole machine has spent, or was refused by the one it runs on."""
    user, nice, system, _idle, _waiting, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _own_seconds() -> float:
    """CPU time of this process and of those that it started and that have ended, with all that those started."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def _field(file: str, name: str) -> str:
    found = re.search(rf"^{name}\s*:\s*(.+)$", Path(file).read_text(), re.MULTILINE)
    return found[1] if found else "0 unknown"


def _said(*command: str) -> str:
    """The version in the first line that a program says; it may exit with anything."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except OSError:
        return "missing"
    found = re.search(r"\d+(\.\d+)+", done.stdout + done.stderr)
    return found[0] if found else "unknown"


def _commit() -> str:
    """The commit, if this is a clone; a "+" says that files differ from it."""
    here = Path(__file__).parent
    try:
        done = subprocess.run(
            ["git", "-C", here, "describe", "--always", "--dirty=+", "--exclude=*"],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return f" at {done.stdout.strip()}"
