"""Keep one Envoy running for every Gateway."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
from collections.abc import Callable

import msgspec

from trilithon.resources.meta import Key
from trilithon.sinks.envoy.envoy_process import EnvoyProcess, Launch, checked_socket

DRAIN_SECONDS = 30.0


class EnvoyStarted(msgspec.Struct, frozen=True, gc=False):
    """A Gateway's Envoy runs; it asks for its configuration next."""

    pid: int


class EnvoyExited(msgspec.Struct, frozen=True, gc=False):
    """A Gateway's Envoy ended without being asked; a negative code is the signal that ended it."""

    pid: int
    code: int
    lived: float


class EnvoyRestarting(msgspec.Struct, frozen=True, gc=False):
    """A Gateway's Envoy is started again after `seconds`; the reason tells what prevented a start, if anything did."""

    seconds: float
    reason: str = ""


class EnvoyStopped(msgspec.Struct, frozen=True, gc=False):
    """A Gateway's Envoy ended because it was asked to."""

    pid: int
    code: int


EnvoyEvent = EnvoyStarted | EnvoyExited | EnvoyRestarting | EnvoyStopped
OnState = Callable[[Key, EnvoyEvent], None]
OnGatewayLog = Callable[[Key, str, str], None]


class Backoff:
    """How long to wait before the next start.

    The first restart is immediate: a crash should cost a client one connection, not seconds. Only what dies young
    again and again waits, twice as long each time, so that a broken binary does not eat a core.
    """

    FIRST_SECONDS = 0.25
    LONGEST_SECONDS = 15.0
    GROWN_UP_SECONDS = 10.0

    def __init__(self) -> None:
        self._young_deaths = 0

    def after(self, lived: float) -> float:
        """The seconds to wait after a process that lived `lived` seconds."""
        if lived >= self.GROWN_UP_SECONDS:
            self._young_deaths = 0
        self._young_deaths += 1
        if self._young_deaths == 1:
            return 0.0
        # The exponent is bounded before the power, which would overflow after a thousand deaths.
        doublings = min(self._young_deaths - 2, 16)
        return min(self.FIRST_SECONDS * 2.0**doublings, self.LONGEST_SECONDS)


class EnvoyProcesses:
    """One Envoy per Gateway, restarted when it dies, drained when it is no longer wanted.

    on_state(gateway, event) and on_log(gateway, level, text) are called in the event loop and must not block.
    Make it in the thread that runs the loop: the Envoys end with that thread (see tether).
    Raises SocketPathTooLong when the runtime directory leaves no room for a socket's name, or OSError.
    """

    def __init__(
        self, launch: Launch, *, on_state: OnState, on_log: OnGatewayLog, drain_seconds: float = DRAIN_SECONDS
    ) -> None:
        self.launch = launch
        self.on_state = on_state
        self.on_log = on_log
        self._drain_seconds = drain_seconds
        self._kept: dict[Key, _Kept] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self.serial = itertools.count(1)
        # Said now, before anything runs, and not by each Envoy in its own words.
        checked_socket(launch.xds_socket)
        checked_socket(launch.directory / f"{_file_name(Key('', '', ''), 10**6)}.admin")
        launch.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        # The directory may be older than we are and open to others.
        launch.directory.chmod(0o700)

    @property
    def pids(self) -> dict[Key, int]:
        """The process ids of the Envoys that run now."""
        return {gateway: kept.process.pid for gateway, kept in self._kept.items() if kept.process is not None}

    def admin_socket(self, gateway: Key) -> str | None:
        """The path of the admin socket of a Gateway's Envoy, while it runs."""
        kept = self._kept.get(gateway)
        return kept.process.admin_socket if kept is not None and kept.process is not None else None

    async def ensure(self, gateway: Key, node_id: str) -> None:
        """Keep an Envoy running for this Gateway; nothing happens when one is kept already.

        Returns after the first attempt to start it; a failed one is told to on_state and repeated like a crash.
        An Envoy of that Gateway that still drains is no obstacle: it no longer listens.
        """
        kept = self._kept.get(gateway)
        if kept is None:
            kept = self._kept[gateway] = _Kept(self, gateway, node_id)
        await kept.tried.wait()

    async def remove(self, gateway: Key) -> None:
        """Drain a Gateway's Envoy and end it; returns when it has ended. Unknown Gateways are nothing to do."""
        kept = self._kept.pop(gateway, None)
        if kept is None:
            return
        ending = asyncio.create_task(kept.end(self._drain_seconds), name=f"end the Envoy of {gateway}")
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)
        # Shielded: a caller that is cancelled, or does not want to wait, must not leave an Envoy half drained.
        await asyncio.shield(ending)

    async def stop(self, drain_seconds: float | None = None) -> None:
        """Drain and end all of them at the same time; 0 ends them at once."""
        if drain_seconds is not None:
            self._drain_seconds = drain_seconds
        await asyncio.gather(*(self.remove(gateway) for gateway in tuple(self._kept)))
        await asyncio.gather(*self._ending)


class _Kept:
    """The Envoy of one Gateway and the task that restarts it."""

    def __init__(self, owner: EnvoyProcesses, gateway: Key, node_id: str) -> None:
        self._owner = owner
        self._gateway = gateway
        self._node_id = node_id
        self._unwanted = asyncio.Event()
        self.tried = asyncio.Event()
        self.process: EnvoyProcess | None = None
        self._watch = asyncio.create_task(self._keep(), name=f"keep the Envoy of {gateway}")

    async def end(self, drain_seconds: float) -> None:
        """Drain and stop it, whatever state it is in, and its restarts."""
        self._unwanted.set()
        if self.process is not None and drain_seconds > 0:
            await self.process.drain(drain_seconds)
        if self.process is not None:
            await self.process.stop()
        await self._watch

    async def _keep(self) -> None:
        backoff = Backoff()
        while not self._unwanted.is_set():
            lived, reason = 0.0, ""
            try:
                lived = await self._live()
            except OSError as error:
                # A full disk or process table: as bad as a process that died at once, and as temporary.
                reason = str(error)
            except Exception as error:  # noqa: BLE001 - told; whatever it is, the Gateway is to be served again
                reason = f"{type(error).__name__}: {error}"
            self.tried.set()
            if self._unwanted.is_set():
                return
            seconds = backoff.after(lived)
            self._tell(EnvoyRestarting(seconds, reason))
            await self._unwanted_within(seconds)

    async def _live(self) -> float:
        process = self.process = await self._start()
        try:
            self._tell(EnvoyStarted(process.pid))
            self.tried.set()
            if self._unwanted.is_set():
                # Asked to end while it was being started, when there was no process yet to end.
                await process.stop()
            code = await process.wait()
            lived = process.lived
        finally:
            self.process = None
        self._tell(
            EnvoyStopped(process.pid, code) if self._unwanted.is_set() else EnvoyExited(process.pid, code, lived)
        )
        return lived

    async def _start(self) -> EnvoyProcess:
        name = _file_name(self._gateway, next(self._owner.serial))
        return await EnvoyProcess.start(self._owner.launch, name, self._node_id, self._log)

    async def _unwanted_within(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._unwanted.wait()

    def _tell(self, event: EnvoyEvent) -> None:
        try:
            self._owner.on_state(self._gateway, event)
        except Exception as error:  # noqa: BLE001 - the loop's to log; the Envoy is kept whoever listens
            context = {"message": f"telling of the Envoy of {self._gateway} failed", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)

    def _log(self, level: str, text: str) -> None:
        self._owner.on_log(self._gateway, level, text)


def _file_name(gateway: Key, serial: int) -> str:
    # Short, unique among all Gateways, and new for each start, so that an old Envoy which still drains and its
    # successor do not meet in the file system.
    digest = hashlib.sha256(str(gateway).encode()).hexdigest()[:10]
    return f"{digest}-{serial}"
