"""Become another program that cannot outlive the process that started it.

Run as ``python -I -S tether.py PARENT_PID PROGRAM [ARGUMENT...]``, never called by the controller. A proxy without
its control plane would hold ports and serve a configuration that nobody can change, so it dies with its parent, also
when the parent is killed with SIGKILL. Being a program of its own, this needs no code in a forked copy of a threaded
parent.

The kernel sends the signal when the *thread* that started the child ends: start it from the thread of the event loop.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

PR_SET_PDEATHSIG = 1
# As a shell reports "not found" and "found but not executable".
CANNOT_START = 127


def die_with_parent(parent: int) -> None:
    """Ask the kernel to kill this process when its parent ends.

    Raises OSError when the kernel refuses. Exits at once when the parent is already gone: the request would then be
    about a process that adopted us.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    # Read after the request, so that a death in between is seen by one of the two.
    if os.getppid() != parent:
        sys.exit(CANNOT_START)


def raise_open_files() -> None:
    """Allow as many open files as the system lets us: the usual soft limit of 1,024 is 500 proxied requests."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main(arguments: list[str]) -> int:
    """Become the program; returns only when that is impossible."""
    parent, *command = arguments
    try:
        die_with_parent(int(parent))
        raise_open_files()
        os.execv(command[0], command)
    except OSError as error:
        # In the form of Envoy's own log, which the reader of this stream expects.
        print(f"error tether cannot start {command[0]}: {error.strerror}", file=sys.stderr)
    return CANNOT_START


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
