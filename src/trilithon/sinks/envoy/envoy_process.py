"""Run one Envoy: start it, read its log, drain it, stop it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec

from trilithon.sinks.envoy import tether
from trilithon.sinks.envoy.envoy_admin import AdminUnavailable, EnvoyAdmin
from trilithon.xds.bootstrap import EnvoyLimits, bootstrap, connections_within

# sun_path of Linux holds 108 bytes, the last of them zero.
LONGEST_SOCKET_PATH = 107
# Envoy ends in milliseconds after SIGTERM; longer means that it is stuck.
TERMINATE_SECONDS = 5.0
# A request may be in a socket's buffer, read by nobody yet: idle counts when it was seen this often in a row.
IDLE_LOOKS = 2
LOOK_SECONDS = 0.05
LONGEST_LINE = 64 * 1024

OnLog = Callable[[str, str], None]


class SocketPathTooLong(OSError):
    """A unix socket path that the kernel would cut or refuse."""

    def __init__(self, path: str) -> None:
        length = len(os.fsencode(path))
        super().__init__(
            f"the socket path {path} has {length} bytes, the system allows {LONGEST_SOCKET_PATH}: "
            "choose a shorter runtime directory"
        )


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """How Envoys of this installation are started.

    binary: the Envoy executable itself, not a wrapper. directory: private, for bootstraps and admin sockets.
    cluster: names the installation towards the control plane. concurrency: worker threads of each Envoy.
    """

    binary: Path
    directory: Path
    xds_socket: str
    cluster: str = "trilithon"
    concurrency: int = 2
    log_level: str = "warning"
    limits: EnvoyLimits = EnvoyLimits()


def checked_socket(path: Path | str) -> str:
    """The path, if a unix socket can be bound there; else SocketPathTooLong."""
    text = os.fspath(path)
    if len(os.fsencode(text)) > LONGEST_SOCKET_PATH:
        raise SocketPathTooLong(text)
    return text


class EnvoyProcess:
    """One running Envoy; made by `start`, used up when it has ended."""

    def __init__(self, process: asyncio.subprocess.Process, files: tuple[Path, ...], on_log: OnLog) -> None:
        self._process = process
        self._files = files
        self.admin_socket = os.fspath(files[0])
        self._started = time.monotonic()
        self._log = asyncio.create_task(_read_log(process, on_log), name=f"log of Envoy {process.pid}")

    @classmethod
    async def start(cls, launch: Launch, name: str, node_id: str, on_log: OnLog) -> EnvoyProcess:
        """Start an Envoy whose files are called `name`.

        Raises SocketPathTooLong, or OSError when its files cannot be written or Python cannot be started. An Envoy
        that cannot be executed shows as one that exits with 127 after a line in its log.
        """
        admin = launch.directory / f"{name}.admin"
        config = launch.directory / f"{name}.json"
        limits = connections_within(launch.limits, _open_files())
        text = bootstrap(node_id, launch.cluster, checked_socket(launch.xds_socket), checked_socket(admin), limits)
        _write_private(config, text)
        process = await asyncio.create_subprocess_exec(
            *_command(launch, config),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            # Its own session: Ctrl-C goes to the whole foreground group, and Envoy would drop every request on it.
            start_new_session=True,
        )
        return cls(process, (admin, config), on_log)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def lived(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    async def wait(self) -> int:
        """Wait until it has ended and its log is read; the exit code, or the negated signal."""
        code = await self._process.wait()
        # Shielded: the next one who waits needs the log to its end as well.
        await asyncio.shield(self._log)
        for file in self._files:
            file.unlink(missing_ok=True)
        return code

    async def drain(self, seconds: float) -> None:
        """Take no more connections and wait until no request is in flight, at most `seconds`.

        Returns early when Envoy has ended or does not answer; nothing is left to wait for then.
        """
        with contextlib.suppress(AdminUnavailable, TimeoutError):
            async with asyncio.timeout(seconds), EnvoyAdmin(self.admin_socket) as admin:
                await admin.drain()
                idle = 0
                while idle < IDLE_LOOKS and self._process.returncode is None:
                    activity = await admin.activity()
                    idle = idle + 1 if activity.requests == 0 else 0
                    await asyncio.sleep(LOOK_SECONDS)

    async def stop(self) -> int:
        """End it now: SIGTERM, and SIGKILL when it does not listen. The exit code."""
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(TERMINATE_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self._signal(signal.SIGKILL)
        return await self.wait()

    def _signal(self, number: signal.Signals) -> None:
        # It may have ended a moment ago.
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)


def _command(launch: Launch, config: Path) -> list[str]:
    # -I and -S: no user site, no environment, no .pth files; the tether then costs 15 ms.
    tethered = [sys.executable, "-I", "-S", os.fspath(Path(tether.__file__)), str(os.getpid())]
    return [
        *tethered,
        os.fspath(launch.binary),
        "--config-path",
        os.fspath(config),
        "--concurrency",
        str(launch.concurrency),
        # Hot restart shares memory between Envoys with one base id; ours are many and restarts are the controller's.
        "--disable-hot-restart",
        # To look for fields that it does not know, in every update anew, takes a third of its time for a route table.
        "--ignore-unknown-dynamic-fields",
        # Connections of a changed listener move with their next response; a gradual drain would serve the old
        # configuration on kept-alive connections for minutes. Requests in flight still have drain-time to end.
        "--drain-strategy",
        "immediate",
        "--log-level",
        launch.log_level,
        # One line per event, also for messages that hold line breaks, which a client may have chosen.
        "--log-format-escaped",
        "--log-format",
        "%l %n %v",
    ]


def _open_files() -> int:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if hard == resource.RLIM_INFINITY else hard


def _write_private(path: Path, text: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(text)


_LEVELS = frozenset({"trace", "debug", "info", "warning", "error", "critical"})


def parse_log_line(line: str, otherwise: str) -> tuple[str, str]:
    """The level and the text of a line of Envoy's log; a line in another form has the level `otherwise`."""
    level, _, text = line.partition(" ")
    return (level, text) if level in _LEVELS and text else (otherwise, line)


async def _read_log(process: asyncio.subprocess.Process, on_log: OnLog) -> None:
    # Envoy logs to stderr. What else appears there (a wrong argument, the allocator) is unusual; stdout is for access
    # logs.
    streams = ((process.stdout, "info"), (process.stderr, "warning"))
    await asyncio.gather(*(_read_lines(stream, level, on_log) for stream, level in streams if stream is not None))


async def _read_lines(stream: asyncio.StreamReader, otherwise: str, on_log: OnLog) -> None:
    async for line in _lines(stream):
        try:
            on_log(*parse_log_line(line, otherwise))
        except Exception as error:  # noqa: BLE001 - the loop's to log; if nobody read, Envoy would block on a full pipe
            context = {"message": "telling a line of Envoy's log failed", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[str]:
    # readline() of asyncio raises on a long line and would end the log, and then Envoy blocks on a full pipe.
    rest = b""
    while chunk := await stream.read(LONGEST_LINE):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line.strip():
                yield line[:LONGEST_LINE].decode(errors="replace")
        rest = rest[:LONGEST_LINE]
    if rest.strip():
        yield rest.decode(errors="replace")
