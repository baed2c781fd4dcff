"""Building what the cluster runs: only what is missing, told as it goes."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, Self

from testcluster.builds import BUILDS, Build, Files, Program
from testcluster.cache import ENVIRONMENT, MODULES_FOLDER, cache_folder, command_of, is_built, place_of
from testcluster.failure import Failure
from testcluster.versions import GO_AT_LEAST

HEARTBEAT: Final = 30.0
"""Seconds between two signs of life where the output is no terminal."""
OFFLINE: Final = re.compile(r"dial tcp|no such host|connection refused|i/o timeout|proxyconnect|TLS handshake timeout")
GO_VERSION: Final = re.compile(r"go(\d+)\.(\d+)")


def build(builds: Iterable[Build] = BUILDS, *, again: bool = False) -> int:
    """Build those that are missing (``again``: all) and return their number. Failure says what to do about it."""
    wanted = [one for one in builds if again or not is_built(one)]
    if not wanted:
        return 0
    check_go()
    with _alone():
        # Another command may have built some meanwhile.
        wanted = [one for one in wanted if again or not is_built(one)]
        for number, one in enumerate(wanted, 1):
            _build_one(one, f"{number} of {len(wanted)}")
    return len(wanted)


def link(folder: Path, builds: Iterable[Build] = BUILDS) -> None:
    """Fill a folder with links to what was built; Failure names what was not."""
    builds = tuple(builds)
    if missing := [one.name for one in builds if not is_built(one)]:
        raise Failure(f"not built yet: {', '.join(missing)}. Build them: make cluster-build")
    folder.mkdir(parents=True, exist_ok=True)
    for one in builds:
        fresh = folder / f".{one.name}"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(place_of(one))
        fresh.rename(folder / one.name)


def _build_one(one: Build, which: str) -> None:
    place = place_of(one)
    place.parent.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=".new-", dir=place.parent) as scratch:
        fresh = Path(scratch) / one.name
        with Progress(f"build: {one.name} ({which})") as progress:
            match one:
                case Program():
                    _compile(one, fresh, progress)
                case Files():
                    _copy(one, fresh)
        if place.is_dir():
            shutil.rmtree(place)
        fresh.rename(place)
    size = f", {place.stat().st_size / 1e6:.0f} MB" if place.is_file() else ""
    print(f"build: {one.name} took {time.monotonic() - begun:.0f} s{size}", flush=True)


def _compile(program: Program, output: Path, progress: Progress) -> None:
    tail: deque[str] = deque(maxlen=15)
    with subprocess.Popen(
        command_of(program, output),
        cwd=MODULES_FOLDER / program.module,
        env={**os.environ, **ENVIRONMENT},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        for line in process.stdout or ():
            tail.append(line)
            progress.note(line)
    if process.returncode:
        raise Failure(explained(f"{program.name} could not be built", "".join(tail)))


def _copy(files: Files, output: Path) -> None:
    answer = subprocess.run(
        ["go", "mod", "download", "-json", files.required],
        cwd=MODULES_FOLDER / files.module,
        env={**os.environ, **ENVIRONMENT},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if answer.returncode:
        raise Failure(explained(f"{files.required} could not be fetched", answer.stdout))
    # Modules are read-only where Go keeps them; a copy must be removable.
    shutil.copytree(Path(json.loads(answer.stdout)["Dir"]) / files.folder, output, copy_function=shutil.copyfile)
    for path in (output, *output.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def explained(what: str, output: str) -> str:
    """A message about a go command that failed: what it means, where that is known, and what it said."""
    if OFFLINE.search(output):
        what += ": Go modules are fetched from the network ($GOPROXY), and it could not be reached"
    elif "no space left" in output:
        what += ": a disk is full (3 GB are needed in Go's caches and 0.5 GB in our own)"
    return f"{what}:\n{output.strip()}"


def check_go() -> None:
    """Failure if there is no Go that can compile the modules."""
    needed = ".".join(map(str, GO_AT_LEAST))
    advice = f"The test cluster is built with Go {needed} or newer; install it (https://go.dev/dl) and put it on PATH."
    if shutil.which("go") is None:
        raise Failure(f"There is no go command. {advice}")
    # Outside of any module: what the command itself is, not what a go.mod makes it fetch.
    answer = subprocess.run(
        ["go", "env", "GOVERSION", "GOTOOLCHAIN"], cwd="/", stdout=subprocess.PIPE, text=True, check=True
    )
    version, toolchain, *_ = answer.stdout.splitlines()
    found = GO_VERSION.search(version)
    numbers = (int(found[1]), int(found[2])) if found else GO_AT_LEAST
    # From 1.21 on, go fetches the toolchain that a module asks for, unless it is told not to.
    fetches = numbers >= (1, 21) and toolchain.split("+")[-1] != "local"
    if numbers < GO_AT_LEAST and not fetches:
        raise Failure(f"The go command on PATH is {version}. {advice}")


@contextmanager
def _alone() -> Iterator[None]:
    """Hold the cache's lock: two builds at once would only slow each other down."""
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("build: waiting for another build", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class Progress:
    """A line about something that takes long: kept up to date on a terminal, repeated now and then elsewhere."""

    def __init__(self, what: str, output: IO[str] | None = None) -> None:
        self._what = what
        self._output = output or sys.stdout
        self._live = self._output.isatty()
        self._compiled = 0
        self._fetched = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._show, daemon=True)
        self._begun = time.monotonic()

    def __enter__(self) -> Self:
        if not self._live:
            print(self._what, file=self._output, flush=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        if self._live:
            self._output.write("\r\x1b[K")
            self._output.flush()

    def note(self, line: str) -> None:
        """Take in a line of the go command's output: a package that was compiled, or a module that is fetched."""
        if line.startswith("go: downloading"):
            self._fetched += 1
        elif line.strip():
            self._compiled += 1

    def _show(self) -> None:
        while not self._over.wait(0.5 if self._live else HEARTBEAT):
            parts = [f"{time.monotonic() - self._begun:.0f} s"]
            if self._fetched:
                parts.append(f"{self._fetched} modules fetched")
            if self._compiled:
                parts.append(f"{self._compiled} packages compiled")
            text = f"{self._what}: {', '.join(parts)}"
            self._output.write(f"\r\x1b[K{text}" if self._live else f"{text}\n")
            self._output.flush()
