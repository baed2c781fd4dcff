"""Where built programs are kept, and under which key, so that an old one is never taken for a new one."""

from __future__ import annotations

import hashlib
import os
import platform
from pathlib import Path
from typing import Final

import msgspec

from testcluster.builds import Build, Program
from testcluster.layout import ROOT

MODULES_FOLDER: Final = ROOT / "testcluster" / "go"
COMPILE_FLAGS: Final = ("-trimpath", "-buildvcs=false")
"""Nothing of the machine or of the checkout gets into a program, so its content depends on its key alone."""
ENVIRONMENT: Final = {"CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off"}


def cache_folder() -> Path:
    """$TRILITHON_TESTCLUSTER_CACHE, else a folder in the user's cache; it may be shared by several checkouts."""
    if chosen := os.environ.get("TRILITHON_TESTCLUSTER_CACHE"):
        return Path(chosen).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "trilithon-testcluster"


def key_of(build: Build, modules: Path = MODULES_FOLDER) -> str:
    """A digest of what a build depends on: its line in the table, the flags, the machine, every file of its module."""
    digest = hashlib.sha256()
    for part in (
        msgspec.json.encode(build),
        msgspec.json.encode([COMPILE_FLAGS, ENVIRONMENT], order="sorted"),
        f"{platform.system()} {platform.machine()}".encode(),
    ):
        digest.update(len(part).to_bytes(8, "big") + part)
    folder = modules / build.module
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            digest.update(f"{path.relative_to(folder)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:20]


def place_of(build: Build) -> Path:
    """Where a build's result is, or will be."""
    return cache_folder() / build.name / key_of(build) / build.name


def is_built(build: Build) -> bool:
    """Whether its result is there. Results are moved to their place when complete, so what is there is whole."""
    return place_of(build).exists()


def command_of(program: Program, output: Path) -> list[str]:
    """The go command that compiles a program."""
    verb = ["test", "-c"] if program.is_test else ["build", "-v"]
    flags = ["-ldflags", f"-s -w {program.link_flags}", "-o", str(output)]
    return ["go", *verb, *COMPILE_FLAGS, *flags, program.package]
