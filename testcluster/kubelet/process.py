"""The process of one container: started, heard, signalled, and gone with all that it started."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final, Self

from testcluster.kubelet import launch
from testcluster.kubelet.launch import Create, Join
from testcluster.kubelet.leftovers import end_all, in_mounts, mounts_of
from testcluster.kubelet.logs import Log
from testcluster.kubelet.problems import CannotRun

# Without the environment's packages: it starts in a few milliseconds.
LAUNCHER: Final = (sys.executable, "-I", "-S", launch.__file__)
# A longer line is cut.
_LONGEST_LINE = 1 << 20
_PIECE = 1 << 18


class Process:
    """A container that runs, or ran."""

    def __init__(self, process: asyncio.subprocess.Process, output: int, joining: Path, log: Log) -> None:
        self.log = log
        self._output = output
        self._process = process
        self._joining = joining
        self._mounts: int | None = None
        self._heard = asyncio.create_task(self._hear())
        self._ended = asyncio.create_task(self._end())

    @classmethod
    async def start(cls, spec: Create, folder: Path, log: Log) -> Self:
        """Start a container; ``folder`` is its own. Raises CannotRun if that fails before its program runs."""
        told, tell = os.pipe()
        # Not one of asyncio's: with that, waiting for the process would be waiting for all that hold its output.
        output, into = os.pipe()
        try:
            path = _written(folder / "create.json", spec._replace(told=tell))
            process = await asyncio.create_subprocess_exec(
                *LAUNCHER,
                "create",
                str(path),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=into,
                stderr=into,
                start_new_session=True,
                pass_fds=(tell,),
            )
        except BaseException:
            os.close(told)
            os.close(output)
            raise
        finally:
            os.close(tell)
            os.close(into)
        joining = Join(process.pid, spec.identity, spec.environment, spec.folder)
        started = cls(process, output, _written(folder / "join.json", joining), log)
        try:
            problem = await _all_of(told)
        except asyncio.CancelledError:
            started.signal(signal.SIGKILL)
            raise
        if problem:
            await started.wait()
            raise CannotRun("RunContainerError", problem)
        if started.is_running:
            # Otherwise its number may be another's.
            started._mounts = mounts_of(process.pid)
        return started

    @property
    def is_running(self) -> bool:
        """Whether its main process has not ended."""
        return self._process.returncode is None

    @property
    def entrance(self) -> tuple[str, ...]:
        """The words before a command that make it run in the container."""
        return (*LAUNCHER, "join", str(self._joining))

    async def wait(self) -> int:
        """Wait until it has ended, with all that it started; its exit code, or minus the signal that ended it."""
        return await asyncio.shield(self._ended)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to its main process, as container runtimes do."""
        if self.is_running:
            self._process.send_signal(number)

    async def stop(self, grace: float) -> None:
        """End it: SIGTERM, and SIGKILL after ``grace`` seconds."""
        if grace > 0:
            self.signal(signal.SIGTERM)
            with suppress(TimeoutError):
                async with asyncio.timeout(grace):
                    await self.wait()
        self.signal(signal.SIGKILL)
        await self.wait()

    async def enter(self, command: tuple[str, ...]) -> int:
        """Run a command in the container; its exit code. The command ends when this is cancelled."""
        process = await asyncio.create_subprocess_exec(
            *self.entrance,
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            return await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def _end(self) -> int:
        code = await self._process.wait()
        if self._mounts is not None:
            try:
                end_all(in_mounts(self._mounts))
            finally:
                os.close(self._mounts)
        await self._heard
        return code

    async def _hear(self) -> None:
        async with _read(self._output) as stream:
            with self.log as log:
                rest = b""
                # Many lines at a time: whoever writes fast must not wait for whoever listens.
                while piece := await stream.read(_PIECE):
                    *lines, rest = (rest + piece).split(b"\n")
                    if len(rest) > _LONGEST_LINE:
                        lines, rest = [*lines, rest], b""
                    log.write(*lines)
                if rest:
                    log.write(rest)


def _written(path: Path, spec: Create | Join) -> Path:
    # It holds the environment, and so perhaps secrets.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(launch.encoded(spec))
    return path


async def _all_of(descriptor: int) -> str:
    """Everything that is written to a pipe until nobody can any more."""
    async with _read(descriptor) as stream:
        return (await stream.read()).decode(errors="replace")


@asynccontextmanager
async def _read(descriptor: int) -> AsyncIterator[asyncio.StreamReader]:
    """What comes out of a pipe, which is closed afterwards."""
    stream = asyncio.StreamReader(_PIECE)
    file = os.fdopen(descriptor, "rb", buffering=0)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(stream), file
    )
    try:
        yield stream
    finally:
        transport.close()
