"""The private folder of a running process, where its sockets are and where ``trilithon status`` finds it."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

XDS_SOCKET = "xds.sock"
CONTROL_SOCKET = "control.sock"


class RuntimeDirectoryError(Exception):
    """The folder cannot be used; the message says why and what helps."""


class RuntimeDirectory(Struct, frozen=True):
    """One process' folder."""

    path: Path

    @property
    def xds_socket(self) -> Path:
        """Where Envoys get their configuration."""
        return self.path / XDS_SOCKET

    @property
    def control_socket(self) -> Path:
        """Where this process answers questions."""
        return self.path / CONTROL_SOCKET

    def remove(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.path, ignore_errors=True)


def base_directory(environ: Mapping[str, str] = os.environ) -> Path:
    """Where the folders of all processes of this user are."""
    runtime = environ.get("XDG_RUNTIME_DIR")
    if runtime and Path(runtime).is_dir():
        return Path(runtime) / "trilithon"
    return Path("/tmp") / f"trilithon-{os.getuid()}"  # noqa: S108 - checked below: ours and closed to others


def create(environ: Mapping[str, str] = os.environ) -> RuntimeDirectory:
    """A new folder for this process; what dead processes left is removed. Raises RuntimeDirectoryError."""
    base = base_directory(environ)
    try:
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = base.lstat()
        # Somebody else may have made it first, to read what is put in it.
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise RuntimeDirectoryError(f"{base} belongs to another user; set XDG_RUNTIME_DIR to a folder of yours")
        base.chmod(0o700)
        for entry in base.iterdir():
            if entry.name.isdecimal() and not is_alive(int(entry.name)):
                shutil.rmtree(entry, ignore_errors=True)
        path = base / str(os.getpid())
        path.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise RuntimeDirectoryError(f"{base} cannot be used: {error.strerror}; set XDG_RUNTIME_DIR") from error
    return RuntimeDirectory(path)


def control_sockets(environ: Mapping[str, str] = os.environ) -> tuple[Path, ...]:
    """The control sockets of the processes that run now, oldest process id first."""
    base = base_directory(environ)
    if not base.is_dir():
        return ()
    pids = sorted(int(entry.name) for entry in base.iterdir() if entry.name.isdecimal())
    sockets = (base / str(pid) / CONTROL_SOCKET for pid in pids if is_alive(pid))
    return tuple(socket for socket in sockets if socket.exists())


def is_alive(pid: int) -> bool:
    """Whether a process of this id runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
