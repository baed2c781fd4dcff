"""The whole program as a user starts it: ``trilithon run``, what it tells, its Envoys, and the other commands."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import msgspec

from tests.system.harness import Command, until
from tests.system.manifests import Folder
from trilithon.cli.control_client import ask
from trilithon.inspect.overview import Overview, ProblemView
from trilithon.sinks.envoy.envoy_admin import EnvoyAdmin

TRILITHON = Path(sys.executable).with_name("trilithon")
# The same program with a short grace for clusters that nobody uses any more.
HURRIED = (sys.executable, str(Path(__file__).with_name("hurried.py")))
Event = dict[str, Any]


class Answered(msgspec.Struct, frozen=True):
    """What a command that ended by itself said."""

    code: int
    output: str

    @property
    def problems(self) -> list[ProblemView]:
        """The list of ``check -o json``."""
        return msgspec.json.decode(self.output, type=list[ProblemView])


async def trilithon(*arguments: str | Path, runtime: Path | None = None, seconds: float = 45.0) -> Answered:
    """Run a command to its end."""
    environment = {} if runtime is None else {"XDG_RUNTIME_DIR": str(runtime)}
    async with Command(TRILITHON, *arguments, environment=environment) as command:
        code = await command.ended(seconds)
    return Answered(code, command.output)


class Program(Command):
    """``trilithon run`` over a folder, with the report as JSON; an async context manager.

    runtime: where its sockets are; short, as the system wants it. command: what stands before ``run``.
    """

    def __init__(
        self, folder: Folder, runtime: Path, *arguments: str, command: tuple[str, ...] = (str(TRILITHON),)
    ) -> None:
        environment = {"XDG_RUNTIME_DIR": str(runtime)}
        super().__init__(*command, "run", folder.path, "--log-format", "json", *arguments, environment=environment)
        self.runtime = runtime
        self._events: list[Event] = []
        self._read_lines = 0

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        return self

    @property
    def events(self) -> list[Event]:
        """Everything told so far, in order."""
        for line in self.lines[self._read_lines :]:
            self._read_lines += 1
            if line.startswith("{"):
                self._events.append(msgspec.json.decode(line))
        return self._events

    async def event(self, name: str, *, after: int = 0, seconds: float = 30.0, **fields: Any) -> Event:
        """The first event of this name with these fields, among those from number `after` on."""

        def found() -> Event | None:
            return next((each for each in self.events[after:] if _is(each, name, fields)), None)

        await until(
            lambda: found() or self.process.returncode is not None, seconds, f"no event {name} {fields}:\n{self.output}"
        )
        event = found()
        assert event is not None, f"ended without the event {name} {fields}:\n{self.output}"
        return event

    async def programmed(self, *, after: int = 0, gateway: str = "demo/gw") -> Event:
        """Wait until Envoy serves the Gateway."""
        return await self.event("gateway", after=after, gateway=gateway, programmed=True)

    async def served(self, edit: Callable[[], object], *keys: str, seconds: float = 30.0) -> Event:
        """Make an edit, and wait until Envoy has acknowledged a change of these objects, all in one."""
        after = len(self.events)
        edit()

        def found() -> list[Event]:
            changes = (each for each in self.events[after:] if each["event"] == "change" and not each["waiting"])
            return [each for each in changes if {*keys} <= {*each["upserted"], *each["removed"]}]

        return (await until(found, seconds, f"{keys} were never served"))[0]

    @property
    def envoy(self) -> int:
        """The process id of the Envoy that was started last."""
        started: int = [each["pid"] for each in self.events if each["event"] == "Envoy started"][-1]
        return started

    @property
    def directory(self) -> Path:
        """The private folder of the running process."""
        return self.runtime / "trilithon" / str(self.process.pid)

    def admin(self) -> EnvoyAdmin:
        """The admin interface of the only Envoy."""
        (socket,) = self.directory.glob("*.admin")
        return EnvoyAdmin(str(socket))

    async def overview(self) -> Overview:
        """What ``trilithon status`` shows, without starting it."""
        return await asyncio.to_thread(ask, self.directory / "control.sock")

    async def status(self, *arguments: str) -> Answered:
        """``trilithon status`` of this process."""
        return await trilithon("status", "--pid", str(self.process.pid), *arguments, runtime=self.runtime)

    async def stopped(self) -> None:
        """End it without waiting for requests: a test that is over has none."""
        if self.process.returncode is None:
            self.process.terminate()
            assert await self.ended() == 0, self.output


@asynccontextmanager
async def serving(
    folder: Folder, runtime: Path, *arguments: str, command: tuple[str, ...] = (str(TRILITHON),)
) -> AsyncIterator[Program]:
    """The program over a folder whose Gateway demo/gw is served already; ends with SIGTERM and exit status 0."""
    async with Program(folder, runtime, *arguments, command=command) as program:
        await program.programmed()
        # Envoy listens once it has its routes, too: a change that is told while Envoys still owe an answer is no sign.
        await program.event("change", waiting=[])
        yield program
        await program.stopped()


def is_free_of(runtime: Path) -> bool:
    """Whether no process runs whose command line names this folder: an Envoy left behind would."""
    needle = os.fsencode(runtime)
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            try:
                if needle in (entry / "cmdline").read_bytes():
                    return False
            except OSError:
                # It ended while we looked.
                continue
    return True


def _is(event: Event, name: str, fields: dict[str, Any]) -> bool:
    return event["event"] == name and all(event.get(key) == value for key, value in fields.items())
