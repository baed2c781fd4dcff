"""Run Envoy as the one child of a pod's first process, and make SIGTERM mean: drain, then end.

Envoy itself ends at once on SIGTERM and drops what is in flight. A hook of the pod could drain before, but has to start
a program inside a container whose memory Envoy may have filled, and is not run by those who end a process rather than
a pod. So a process stays beside Envoy: this one, started as ``python -I -m trilithon.sinks.envoy.proxy_parent``, which
imports almost nothing (some 10 MB, most of it shared with any other Python) and sleeps until a signal comes.

On the first SIGTERM or SIGINT:

1. Envoy is no longer ready: the readiness port says so, and each response asks its client to leave the connection.
2. For ``lag`` seconds connections are still taken, because kube-proxies and load balancers learn of it late.
3. Listeners close; requests in flight finish, until ``seconds`` after the signal.
4. Envoy is ended.

A second one ends it at once. An Envoy that never was ready has nobody to wait for. When Envoy ends by itself, this
process ends with its status, and when this process is killed, the kernel kills Envoy.
"""

from __future__ import annotations

import os
import signal
import sys
import time

# Envoy ends in milliseconds after SIGTERM; longer means that it is stuck.
_TERMINATE_SECONDS = 5.0
_LOOK_SECONDS = 0.1
# A request may be in a socket's buffer, read by nobody yet: idle counts when it was seen this often in a row.
_IDLE_LOOKS = 2
_ENDING = frozenset({signal.SIGTERM, signal.SIGINT})
_PASSED_ON = frozenset({signal.SIGUSR1})
_AWAITED = _ENDING | _PASSED_ON | {signal.SIGCHLD}
_CANNOT_START = 127


class Child:
    """The process of Envoy. ``status`` is its exit status once it has ended, 128 and the number for a signal."""

    def __init__(self, command: list[str]) -> None:
        self.status: int | None = None
        parent = os.getpid()
        signal.pthread_sigmask(signal.SIG_BLOCK, _AWAITED)
        self.pid = os.fork()
        if self.pid == 0:
            _become(command, parent)

    def send(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.status is None:
            os.kill(self.pid, number)

    def next_signal(self, seconds: float) -> int | None:
        """The next signal for this process; None when Envoy has ended, or when the seconds are over."""
        found = signal.sigtimedwait(_AWAITED, max(0.0, seconds))
        number = None if found is None else found.si_signo
        if number == signal.SIGCHLD:
            self._reap()
            return None
        if number in _PASSED_ON:
            self.send(number)
            return None
        return number

    def _reap(self) -> None:
        # As the first process of a container, this one also gets the children of others.
        while self.status is None:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            if pid == self.pid:
                code = os.waitstatus_to_exitcode(status)
                self.status = code if code >= 0 else 128 - code

    def wait(self, seconds: float) -> bool:
        """Wait for the end, and for nothing else; whether it came."""
        until = time.monotonic() + seconds
        while self.status is None and (left := until - time.monotonic()) > 0:
            self.next_signal(left)
        return self.status is not None


def _become(command: list[str], parent: int) -> None:
    """In the child: be Envoy, for no longer than the parent lives."""
    from trilithon.sinks.envoy.tether import die_with_parent, raise_open_files

    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        die_with_parent(parent)
        raise_open_files()
        os.execv(command[0], command)
    except OSError as error:
        _say(f"cannot start {command[0]}: {error.strerror}")
    finally:
        os._exit(_CANNOT_START)


def serve(command: list[str], admin_socket: str, lag: float, seconds: float) -> int:
    """Run Envoy until it ends or is to end; the exit status, 0 when it was asked to end."""
    child = Child(command)
    while child.status is None:
        if child.next_signal(3600.0) in _ENDING:
            _drain(child, admin_socket, lag, seconds)
            _end(child)
            return 0
    _say(f"Envoy ended by itself with status {child.status}")
    return child.status


def _drain(child: Child, admin_socket: str, lag: float, seconds: float) -> None:
    from trilithon.sinks.envoy.admin_socket import AdminSilent, AdminSocket

    admin = AdminSocket(admin_socket)
    began = time.monotonic()
    try:
        if not admin.is_ready():
            _say("ending: nobody was ever sent here")
            return
        admin.fail_health()
        _say(f"draining: no longer ready, taking connections for {lag:g} s more")
        if not _patient(child, min(lag, seconds)):
            return
        admin.close_listeners()
        idle = 0
        while idle < _IDLE_LOOKS:
            if not _patient(child, _LOOK_SECONDS):
                return
            busy = admin.busy()
            idle = idle + 1 if busy == 0 else 0
            if time.monotonic() - began > seconds:
                _say(f"ending with {busy} requests in flight, after {seconds:g} s")
                return
    except AdminSilent as error:
        _say(f"ending without a drain: {error}")


def _patient(child: Child, seconds: float) -> bool:
    """Wait; False when there is nothing to wait for any more: Envoy has ended, or a second signal came."""
    until = time.monotonic() + seconds
    while child.status is None and (left := until - time.monotonic()) > 0:
        if child.next_signal(left) in _ENDING:
            _say("ending at once")
            return False
    return child.status is None


def _end(child: Child) -> None:
    child.send(signal.SIGTERM)
    if not child.wait(_TERMINATE_SECONDS):
        child.send(signal.SIGKILL)
        child.wait(_TERMINATE_SECONDS)


def _say(text: str) -> None:
    # Where Envoy logs, and in its form.
    print(f"info proxy {text}", file=sys.stderr, flush=True)


def main(arguments: list[str]) -> int:
    """Arguments: the admin socket, lag and seconds of the drain, and the command of Envoy."""
    admin_socket, lag, seconds, *command = arguments
    return serve(command, admin_socket, float(lag), float(seconds))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
