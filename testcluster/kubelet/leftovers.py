"""Find the processes that belong to containers, by what the kernel says of them, and end them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")
# What tells whether a process is one that is meant.
Test = Callable[[int], bool]


def in_network(namespace: Path) -> Test:
    """Processes in a network namespace, given by its path."""
    return _in("net", namespace.stat())


def in_mounts(mounts: int) -> Test:
    """Processes in a mount namespace, given by a descriptor of it: those of one container."""
    return _in("mnt", os.fstat(mounts))


def mounts_of(pid: int) -> int | None:
    """A descriptor of a process's mount namespace, to be closed; None if it has ended.

    While it is open, the kernel gives the namespace's number to no other one.
    """
    try:
        return os.open(_PROC / str(pid) / "ns" / "mnt", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None


def over(folder: Path) -> Test:
    """Processes whose files are layered over a folder below ``folder``: those of containers, whoever started them."""
    mark = f"upperdir={folder}/"

    def is_meant(pid: int) -> bool:
        try:
            return mark in (_PROC / str(pid) / "mountinfo").read_text()
        except OSError:
            return False

    return is_meant


def end_all(is_meant: Test) -> int:
    """Kill all processes that are meant; how many there were."""
    return sum(_end(pid, is_meant) for pid in _processes())


def _end(pid: int, is_meant: Test) -> bool:
    if pid == os.getpid() or not is_meant(pid):
        return False
    with suppress(ProcessLookupError):
        descriptor = os.pidfd_open(pid)
        try:
            # The descriptor pins the process: what was looked at may be gone, and its number another's.
            if is_meant(pid):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                return True
        finally:
            os.close(descriptor)
    return False


def _in(kind: str, namespace: os.stat_result) -> Test:
    def is_meant(pid: int) -> bool:
        try:
            return os.path.samestat((_PROC / str(pid) / "ns" / kind).stat(), namespace)
        except OSError:
            return False

    return is_meant


def _processes() -> Iterator[int]:
    return (int(entry.name) for entry in os.scandir(_PROC) if entry.name.isdecimal())
