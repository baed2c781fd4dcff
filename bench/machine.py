"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from importlib import metadata
from pathlib import Path

from bench import traefik
from trilithon.sinks.envoy_binary import find_envoy


def facts() -> dict[str, str]:
    """Machine and versions, by name."""
    return {
        "CPU": _field("/proc/cpuinfo", "model name"),
        "cores": f"{len(os.sched_getaffinity(0))}",
        "memory": f"{int(_field('/proc/meminfo', 'MemTotal').split()[0]) / 1024 / 1024:.0f} GiB",
        "load before": f"{os.getloadavg()[0]:.1f}",
        "kernel": platform.release(),
        "Python": platform.python_version(),
        "Trilithon": f"{metadata.version('trilithon')}{_commit()}",
        "Envoy": find_envoy().version,
        "Traefik": traefik.VERSION,
        "wrk": _said("wrk", "-v"),
        "h2load": _said("h2load", "--version"),
    }


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
