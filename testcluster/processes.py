"""Background processes of a cluster: started once, found again by later commands, signalled as what they were."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec


class Process(msgspec.Struct, frozen=True):
    """A process that was started, as it is remembered. An id alone is not enough: the kernel gives it out again."""

    name: str
    pid: int
    started: str
    """When, in the kernel's ticks since it booted."""
    argv: tuple[str, ...]
    env: dict[str, str]
    """What was added to the environment."""

    @property
    def alive(self) -> bool:
        """Whether it still runs; a child of ours that ended is taken from the process table."""
        return not self.wait_end(0)

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, if it is still there."""
        with self._pinned() as descriptor:
            if descriptor is not None:
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(descriptor, number)

    def wait_end(self, seconds: float) -> bool:
        """Wait until all its threads ended and its files are closed; False if it still runs after that time."""
        with self._pinned() as descriptor:
            if descriptor is not None:
                poller = select.poll()
                poller.register(descriptor, select.POLLIN)
                if not poller.poll(max(0.0, seconds) * 1000):
                    return False
        with suppress(ChildProcessError):
            os.waitpid(self.pid, os.WNOHANG)
        return True

    @contextmanager
    def _pinned(self) -> Iterator[int | None]:
        """A descriptor of this very process, not of another that got its id; None if it is gone."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            yield None
            return
        try:
            # The descriptor keeps the id from being given out again, so what is compared is what is meant.
            yield descriptor if _started(self.pid) == self.started else None
        finally:
            os.close(descriptor)

    @property
    def memory(self) -> int:
        """Its resident memory, in bytes; 0 if it does not run."""
        try:
            pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        except OSError:
            return 0
        return pages * os.sysconf("SC_PAGE_SIZE")


class Processes:
    """The processes of one cluster, a file for each in a folder."""

    def __init__(self, folder: Path, logs: Path) -> None:
        self._folder = folder
        self._logs = logs

    def start(
        self,
        name: str,
        argv: Sequence[str],
        env: Mapping[str, str] | None = None,
        parents: Sequence[str] = (),
    ) -> Process:
        """Start a process that outlives us, unless one of that name runs; its output goes to ``logs/NAME.log``.

        ``parents`` are commands put before it (nsenter, nice), each of which replaces itself by the next.
        """
        if (known := self.get(name)) and known.alive:
            return known
        for folder in (self._folder, self._logs):
            folder.mkdir(parents=True, exist_ok=True)
        extra = dict(env or {})
        process = self._spawn(name, (*parents, *argv), extra)
        self._file(name).write_bytes(msgspec.json.format(msgspec.json.encode(process)))
        return process

    def restart(self, name: str) -> Process:
        """Start a process again as it was started before. KeyError if it never was."""
        known = self[name]
        self.end(name)
        return self.start(name, known.argv, known.env)

    def end(self, name: str, grace: float = 10.0) -> None:
        """End a process: SIGTERM, and SIGKILL after that many seconds. It stays known, so it can be started again."""
        known = self.get(name)
        if known is None or not known.alive:
            return
        # One that is stopped would see no signal but the last.
        known.send(signal.SIGCONT)
        known.send(signal.SIGTERM)
        if not known.wait_end(grace):
            known.send(signal.SIGKILL)
            known.wait_end(10)

    def forget(self, name: str) -> None:
        """End a process for good."""
        self.end(name)
        self._file(name).unlink(missing_ok=True)

    def get(self, name: str) -> Process | None:
        """The process of that name, running or not; None if none was ever started."""
        try:
            return msgspec.json.decode(self._file(name).read_bytes(), type=Process)
        except FileNotFoundError:
            return None

    def __getitem__(self, name: str) -> Process:
        process = self.get(name)
        if process is None:
            raise KeyError(f"no process {name!r} was started; there are: {', '.join(self.names()) or 'none'}")
        return process

    def names(self) -> list[str]:
        """The names of all that were started."""
        return sorted(path.stem for path in self._folder.glob("*.json")) if self._folder.is_dir() else []

    def log(self, name: str) -> Path:
        """Where a process writes."""
        return self._logs / f"{name}.log"

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.json"

    def _spawn(self, name: str, argv: tuple[str, ...], extra: dict[str, str]) -> Process:
        append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        pid = os.posix_spawnp(
            argv[0],
            argv,
            {**os.environ, **extra},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(self.log(name)), append, 0o644),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
        )
        return Process(name, pid, _started(pid), argv, extra)


def _started(pid: int) -> str:
    """When a process was started, in ticks; empty if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except OSError:
        return ""
