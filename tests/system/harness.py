"""Tools of the tests with a real Envoy: ports, backends, programs, steady load, conditions (requests: client.py).

Nothing here sleeps to synchronise: a test waits for a condition with `until`, and says how long at most.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import random
import signal
import socket
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, overload

from aiohttp import web

from tests.system.client import Answer, Connection, H2Connection, Unanswered, fetch
from trilithon.cli.echo import EchoServer

T = TypeVar("T")
LOOK_SECONDS = 0.01
# Below the range from which the system takes ports of outgoing connections.
PORTS = range(18_000, 32_000)
_given: set[int] = set()


def free_port() -> int:
    """A port of this process's own that nobody listens on: no test that runs beside it gets it, nor a later one."""
    # Test processes that run at the same time share the ports out among them.
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    own = PORTS[number :: int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))]
    while True:
        port = random.choice(own)
        if port not in _given and _is_free(port):
            _given.add(port)
            return port
        assert len(_given) < len(own), "every port was given"


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


@overload
async def until(predicate: Callable[[], Awaitable[T]], seconds: float = ..., why: str = ...) -> T: ...
@overload
async def until(predicate: Callable[[], T], seconds: float = ..., why: str = ...) -> T: ...
async def until(predicate: Callable[[], Any], seconds: float = 30.0, why: str = "the condition never held") -> Any:
    """The first true value of the predicate, looked at every 10 ms; AssertionError after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        found = predicate()
        value = await found if inspect.isawaitable(found) else found
        if value:
            return value
        assert time.monotonic() < deadline, f"{why} (waited {seconds} s, last seen: {value!r})"
        await asyncio.sleep(LOOK_SECONDS)


def is_running(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


async def status_of(port: int, target: str = "/", *, host: str = "a.test") -> int:
    """The status of a GET, or 0 when nobody answers."""
    try:
        return (await fetch(port, target, host=host, seconds=10)).status
    except Unanswered:
        return 0


async def serves(port: int, target: str = "/", *, host: str = "a.test", status: int = 200, seconds: float = 30) -> None:
    """Wait until a GET is answered with this status."""

    async def is_served() -> bool:
        return await status_of(port, target, host=host) == status

    await until(is_served, seconds, f"GET {host}:{port}{target} never gave {status}")


class SteadyLoad:
    """Keep-alive connections that send GETs at a bounded rate; counts every answer that was not expected.

    `client` is the kind of connection, and with it the version of HTTP. `good` counts expected answers, `bad` the
    others by reason, `closes` the times the server asked for a new connection. An async context manager; leave it
    before reading the counts.
    """

    def __init__(
        self,
        port: int,
        target: str = "/",
        *,
        host: str = "a.test",
        client: type[Connection | H2Connection] = Connection,
        tls: ssl.SSLContext | None = None,
        connections: int = 4,
        rate: float = 400.0,
        expect: Callable[[Answer], bool] = lambda answer: answer.status == 200,
    ) -> None:
        self._port = port
        self._target = target
        self._host = host
        self._client = client
        self._tls = tls
        self._connections = connections
        self._pause = connections / rate
        self._expect = expect
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.good = 0
        self.bad: Counter[str] = Counter()
        self.closes = 0

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._ask_for_ever()) for _ in range(self._connections)]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        await asyncio.gather(*self._tasks)

    async def answered(self, count: int, seconds: float = 30.0) -> None:
        """Wait until `count` more expected answers have come."""
        wanted = self.good + count
        await until(lambda: self.good >= wanted, seconds, f"the load got no {count} more answers: {dict(self.bad)}")

    async def _ask_for_ever(self) -> None:
        connection: Connection | H2Connection | None = None
        due = time.monotonic()
        while not self._stopping.is_set():
            try:
                if connection is None or not connection.is_open:
                    self.closes += connection is not None
                    if connection is not None:
                        connection.close()
                    connection = await self._client.open(self._port, tls=self._tls, sni=self._host)
                async with asyncio.timeout(30):
                    answer = await connection.get(self._target, host=self._host)
                self._count(answer)
            except (Unanswered, TimeoutError) as error:
                self.bad[str(error) or "no answer within 30 s"] += 1
                if connection is not None:
                    connection.close()
                connection = None
            # The rate is an upper bound: what was late is not made good by a burst.
            due = max(due + self._pause, time.monotonic())
            await asyncio.sleep(due - time.monotonic())
        if connection is not None:
            connection.close()

    def _count(self, answer: Answer) -> None:
        if self._expect(answer):
            self.good += 1
        else:
            self.bad[f"{answer.status} {answer.body[:80].decode(errors='replace')}"] += 1


class Command:
    """A program that runs beside the test, with the lines it wrote so far; an async context manager."""

    def __init__(self, *arguments: str | Path, environment: Mapping[str, str] | None = None) -> None:
        self._arguments = [os.fspath(argument) for argument in arguments]
        self._environment = {**os.environ, **(environment or {})}
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self.lines: list[str] = []

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *self._arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=self._environment,
            limit=1 << 24,
        )
        self._reading = asyncio.create_task(self._read(self._process))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.ended()

    @property
    def process(self) -> asyncio.subprocess.Process:
        assert self._process is not None, "use it as an async context manager"
        return self._process

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def said(self, text: str, seconds: float = 30.0) -> str:
        """The first line that contains the text. AssertionError when it does not come or the program ends first."""

        def said() -> list[str]:
            return [line for line in self.lines if text in line]

        await until(lambda: said() or self.process.returncode is not None, seconds, f"never said {text!r}")
        if not said():
            await self.ended()
        assert said(), f"ended without saying {text!r}:\n{self.output}"
        return said()[0]

    async def ended(self, seconds: float = 45.0) -> int:
        """Wait for its end; the exit code, negative for a signal."""
        async with asyncio.timeout(seconds):
            code = await self.process.wait()
            if self._reading is not None:
                await self._reading
        return code

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            self.lines.append(line.decode(errors="replace").rstrip("\n"))


class Backend(EchoServer):
    """An echo server that answers what it is asked at ``HELD`` only once the test lets it: as slow as it has to be."""

    HELD = "/held"

    def __init__(self, name: str, *, socket: Path | None = None) -> None:
        super().__init__(name, socket=socket)
        self._let_go = asyncio.Event()

    async def holds(self, count: int = 1) -> None:
        """Wait until so many held requests have come."""
        await until(lambda: self.seen[self.HELD] >= count, why=f"{self.name} was never asked for {self.HELD}")

    def let_go(self) -> None:
        """Answer the held requests, those that have come and those that will come."""
        self._let_go.set()

    async def _answer_as_asked(self, request: web.BaseRequest, knobs: Mapping[str, str]) -> web.StreamResponse:
        if request.raw_path.partition("?")[0] == self.HELD:
            await self._let_go.wait()
        return await super()._answer_as_asked(request, knobs)


@asynccontextmanager
async def backends(*names: str) -> AsyncIterator[dict[str, Backend]]:
    """Echo servers on free ports, by name."""
    async with AsyncExitStack() as stack:
        yield {name: await stack.enter_async_context(Backend(name)) for name in names}
