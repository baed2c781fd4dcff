"""Envoys as child processes: they serve, come back when they die, finish what is in flight, and never outlive us."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import sys
import textwrap
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import ClientSession, WSMsgType

from tests.sinks.plain_ads import CLUSTER, LISTENER, Resources, cluster, listener, serving
from tests.system.client import Connection, H2Connection, Unanswered, fetch
from tests.system.harness import Backend, Command, backends, free_port, is_running, serves, status_of, until
from trilithon.cli.echo import EchoServer
from trilithon.resources.meta import Key
from trilithon.sinks.envoy import tether
from trilithon.sinks.envoy.envoy_admin import AdminUnavailable, EnvoyAdmin
from trilithon.sinks.envoy.envoy_binary import find_envoy
from trilithon.sinks.envoy.envoy_process import Launch, SocketPathTooLong, parse_log_line
from trilithon.sinks.envoy.processes import (
    Backoff,
    EnvoyEvent,
    EnvoyExited,
    EnvoyProcesses,
    EnvoyRestarting,
    EnvoyStarted,
    EnvoyStopped,
)
from trilithon.xds.bootstrap import EnvoyLimits

pytestmark = pytest.mark.system
HELLO = Key("Gateway", "demo", "hello")
OTHER = Key("Gateway", "demo", "other")
NOTHING: Resources = {}
DEFAULTS = EnvoyLimits()
DRAIN_SECONDS = 30.0


class Watched:
    """Processes with everything they told."""

    def __init__(self, launch: Launch, drain_seconds: float) -> None:
        self.told: list[tuple[Key, EnvoyEvent]] = []
        self.log: list[tuple[str, str]] = []
        self.launch = launch
        self.processes = EnvoyProcesses(
            launch,
            on_state=lambda gateway, event: self.told.append((gateway, event)),
            on_log=lambda _, level, text: self.log.append((level, text)),
            drain_seconds=drain_seconds,
        )

    def events(self, gateway: Key = HELLO) -> list[type[EnvoyEvent]]:
        return [type(event) for key, event in self.told if key == gateway]

    async def state(self, gateway: Key = HELLO) -> str:
        socket = self.processes.admin_socket(gateway)
        try:
            async with EnvoyAdmin(socket or "") as admin:
                return await admin.state()
        except AdminUnavailable:
            return ""

    async def has_no_connections(self, gateway: Key = HELLO) -> bool:
        async with EnvoyAdmin(self.processes.admin_socket(gateway) or "") as admin:
            return (await admin.activity()).connections == 0

    async def has_no_requests(self, gateway: Key = HELLO) -> bool:
        async with EnvoyAdmin(self.processes.admin_socket(gateway) or "") as admin:
            return (await admin.activity()).requests == 0

    async def live(self, gateway: Key = HELLO) -> None:
        async def is_live() -> bool:
            return await self.state(gateway) == "LIVE"

        await until(is_live, why=f"never live; log: {self.log}")


@pytest.fixture
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # Socket paths are short, pytest's folders for long test names are not.
    return tmp_path_factory.mktemp("run")


@asynccontextmanager
async def running(
    runtime: Path, resources: Resources, *, binary: Path | None = None, limits: EnvoyLimits = DEFAULTS
) -> AsyncIterator[Watched]:
    socket = runtime / "xds.sock"
    launch = Launch(
        binary=binary or find_envoy().path,
        directory=runtime / "envoy",
        xds_socket=str(socket),
        concurrency=1,
        log_level="info",
        limits=limits,
    )
    async with serving(socket, resources):
        watched = Watched(launch, DRAIN_SECONDS)
        try:
            yield watched
        finally:
            await watched.processes.stop(0)


@asynccontextmanager
async def gateway(
    runtime: Path, backend: EchoServer, *, limits: EnvoyLimits = DEFAULTS
) -> AsyncIterator[tuple[Watched, int]]:
    """One Gateway's Envoy that serves the backend on a free port."""
    port = free_port()
    resources = {CLUSTER: [cluster("web", backend.port)], LISTENER: [listener(port, "web")]}
    async with running(runtime, resources, limits=limits) as watched:
        await watched.processes.ensure(HELLO, "demo/hello")
        await serves(port)
        yield watched, port


async def test_a_gateway_without_listeners_goes_live(runtime: Path) -> None:
    async with running(runtime, NOTHING) as watched:
        await watched.processes.ensure(HELLO, "demo/hello")
        await watched.live()
        assert watched.events() == [EnvoyStarted]


async def test_envoy_waits_for_its_configuration_instead_of_going_live_without(runtime: Path) -> None:
    launch = Launch(binary=find_envoy().path, directory=runtime / "e", xds_socket=str(runtime / "absent.sock"))
    watched = Watched(launch, 0)
    await watched.processes.ensure(HELLO, "demo/hello")
    await until(watched.state)
    assert await watched.state() in {"PRE_INITIALIZING", "INITIALIZING"}
    await watched.processes.stop(0)


async def test_files_of_an_envoy_are_private_and_go_with_it(runtime: Path) -> None:
    async with running(runtime, NOTHING) as watched:
        await watched.processes.ensure(HELLO, "demo/hello")
        await watched.live()
        directory = watched.launch.directory
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert [stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()] == [0o600, 0o600]
        await watched.processes.remove(HELLO)
        assert list(directory.iterdir()) == []


async def test_ensure_is_idempotent_and_each_gateway_has_its_own_envoy(runtime: Path) -> None:
    async with running(runtime, NOTHING) as watched:
        processes = watched.processes
        await asyncio.gather(*(processes.ensure(HELLO, "demo/hello") for _ in range(3)))
        await processes.ensure(OTHER, "demo/other")
        pids = processes.pids
        assert len(set(pids.values())) == 2
        await processes.remove(HELLO)
        assert processes.pids == {OTHER: pids[OTHER]}
        assert watched.events() == [EnvoyStarted, EnvoyStopped]
        await processes.stop()
        assert not any(is_running(pid) for pid in pids.values())


async def test_a_killed_envoy_serves_again(runtime: Path) -> None:
    async with EchoServer("web") as backend, gateway(runtime, backend) as (watched, port):
        killed = watched.processes.pids[HELLO]
        os.kill(killed, signal.SIGKILL)
        await until(lambda: watched.processes.pids.get(HELLO) not in {None, killed})
        await serves(port)
        assert watched.events() == [EnvoyStarted, EnvoyExited, EnvoyRestarting, EnvoyStarted]
        assert watched.told[2][1] == EnvoyRestarting(0.0), "the first restart does not wait"
        exited = watched.told[1][1]
        assert isinstance(exited, EnvoyExited)
        assert (exited.pid, exited.code) == (killed, -signal.SIGKILL)


async def test_a_binary_that_cannot_run_is_retried_with_growing_pauses(runtime: Path) -> None:
    async with running(runtime, NOTHING, binary=runtime / "missing") as watched:
        await watched.processes.ensure(HELLO, "demo/hello")
        await until(lambda: watched.events().count(EnvoyRestarting) >= 3)
        pauses = [event.seconds for _, event in watched.told if isinstance(event, EnvoyRestarting)]
        assert pauses[:3] == [0.0, 0.25, 0.5]
        assert ("error", f"tether cannot start {runtime / 'missing'}: No such file or directory") in watched.log


async def test_stopping_does_not_wait_for_the_end_of_a_pause(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Backoff, "FIRST_SECONDS", 60.0)
    monkeypatch.setattr(Backoff, "LONGEST_SECONDS", 60.0)
    async with running(runtime, NOTHING, binary=runtime / "missing") as watched:
        await watched.processes.ensure(HELLO, "demo/hello")
        await until(lambda: watched.told[-1][1] == EnvoyRestarting(60.0))
        async with asyncio.timeout(30):
            await watched.processes.stop()


async def test_requests_in_flight_finish_while_draining_refuses_new_connections(runtime: Path) -> None:
    async with Backend("web") as backend, gateway(runtime, backend) as (watched, port):
        slow = asyncio.create_task(fetch(port, "/held", seconds=60))
        await backend.holds()
        stopping = asyncio.create_task(watched.processes.stop())
        await until(lambda: _refuses(port), why="new connections are still taken")
        assert not stopping.done()
        at = time.monotonic()
        backend.let_go()
        answer = await slow
        assert (answer.status, answer.header("connection")) == (200, "close")
        await stopping
        assert time.monotonic() - at < DRAIN_SECONDS - 5
        assert watched.told[-1][1] == EnvoyStopped(watched.told[0][1].pid, 0)  # type: ignore[union-attr]


async def _refuses(port: int) -> bool:
    return await status_of(port) == 0


async def test_kept_alive_connections_are_told_to_end_and_idle_ones_hold_nothing_up(runtime: Path) -> None:
    async with Backend("web") as backend, gateway(runtime, backend) as (watched, port):
        idle, busy = await Connection.open(port), await Connection.open(port)
        assert (await idle.request()).status == (await busy.request()).status == 200
        slow = asyncio.create_task(fetch(port, "/held", seconds=60))
        await backend.holds()
        stopping = asyncio.create_task(watched.processes.stop())
        await until(lambda: _refuses(port), why="new connections are still taken")
        last = await busy.request("/last")
        assert (last.status, last.header("connection")) == (200, "close")
        at = time.monotonic()
        backend.let_go()
        assert (await slow).status == 200
        await stopping
        assert time.monotonic() - at < DRAIN_SECONDS - 5
        idle.close()


async def test_http2_streams_finish_and_get_goaway(runtime: Path) -> None:
    async with Backend("web") as backend, gateway(runtime, backend) as (watched, port):
        connection = await H2Connection.open(port)
        slow = asyncio.create_task(connection.get("/held"))
        await backend.holds()
        stopping = asyncio.create_task(watched.processes.stop())
        await until(lambda: _refuses(port), why="new connections are still taken")
        backend.let_go()
        assert (await slow).status == 200
        await stopping
        with pytest.raises(Unanswered):
            await connection.get("/late")
        assert connection.was_told_to_go
        connection.close()


async def test_draining_has_an_end_for_websockets(runtime: Path) -> None:
    async with EchoServer("web") as backend, gateway(runtime, backend) as (watched, port), ClientSession() as session:
        # Not a context of its own: leaving it would wait for a goodbye that a stopped Envoy cannot say.
        socket = await session.ws_connect(f"http://127.0.0.1:{port}/chat")
        await socket.send_str("hello")
        assert (await socket.receive()).data == "hello"
        at = time.monotonic()
        await watched.processes.stop(0.5)
        assert 0.5 <= time.monotonic() - at < DRAIN_SECONDS - 5
        assert (await socket.receive()).type in {WSMsgType.CLOSED, WSMsgType.CLOSE, WSMsgType.ERROR}


async def test_a_stuck_envoy_is_killed(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trilithon.sinks.envoy.envoy_process.TERMINATE_SECONDS", 0.3)
    async with running(runtime, NOTHING) as watched:
        await watched.processes.ensure(HELLO, "demo/hello")
        await watched.live()
        pid = watched.processes.pids[HELLO]
        os.kill(pid, signal.SIGSTOP)
        await watched.processes.stop(0.3)
        assert watched.told[-1][1] == EnvoyStopped(pid, -signal.SIGKILL)


async def test_a_gateway_that_returns_while_its_old_envoy_drains_is_served_at_once(runtime: Path) -> None:
    async with Backend("web") as backend, gateway(runtime, backend) as (watched, port):
        slow = asyncio.create_task(fetch(port, "/held", seconds=60))
        await backend.holds()
        removing = asyncio.create_task(watched.processes.remove(HELLO))
        await until(lambda: _refuses(port), why="new connections are still taken")
        await watched.processes.ensure(HELLO, "demo/hello")
        await serves(port)
        assert not slow.done()
        backend.let_go()
        assert (await slow).status == 200
        await removing
        assert (await fetch(port)).status == 200


async def test_a_listener_that_always_raises_costs_no_envoy_its_restart_or_its_log(runtime: Path) -> None:
    logged: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: logged.append(context["message"]))

    def raising(*_: object) -> None:
        raise BrokenPipeError("nobody reads")

    async with EchoServer("web") as backend, gateway(runtime, backend) as (watched, port):
        watched.processes.on_state = watched.processes.on_log = raising
        killed = watched.processes.pids[HELLO]
        os.kill(killed, signal.SIGKILL)
        await until(lambda: watched.processes.pids.get(HELLO) not in {None, killed})
        await serves(port)
    assert {"telling a line of Envoy's log failed", f"telling of the Envoy of {HELLO} failed"} == {*logged}


async def test_a_start_that_fails_in_an_unknown_way_is_tried_again(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(runtime, NOTHING) as watched:
        with monkeypatch.context() as patched:
            # A defect in the middle of a start.
            patched.setattr("trilithon.sinks.envoy.envoy_process.bootstrap", None)
            await watched.processes.ensure(HELLO, "demo/hello")
        await watched.live()
        restarting = watched.told[0][1]
        assert isinstance(restarting, EnvoyRestarting)
        assert restarting.reason.startswith("TypeError: ")


async def test_the_log_arrives_line_by_line_with_its_level(runtime: Path) -> None:
    async with running(runtime, NOTHING) as watched:
        await watched.processes.ensure(HELLO, "demo/hello")
        await until(lambda: [text for level, text in watched.log if level == "info" and "starting main" in text])


@pytest.mark.parametrize(
    ("line", "parsed"),
    [
        pytest.param("warning config bad", ("warning", "config bad"), id="Envoy's own line"),
        pytest.param("PARSE ERROR: x", ("info", "PARSE ERROR: x"), id="another program's line"),
        pytest.param("error", ("info", "error"), id="a lone word is no level"),
    ],
)
def test_log_lines(line: str, parsed: tuple[str, str]) -> None:
    assert parse_log_line(line, "info") == parsed


async def test_a_runtime_directory_that_is_too_long_is_refused_before_anything_runs(tmp_path: Path) -> None:
    launch = Launch(binary=Path("/envoy"), directory=tmp_path / ("x" * 80), xds_socket="/tmp/xds.sock")
    with pytest.raises(SocketPathTooLong, match=r"has \d+ bytes, the system allows 107: choose a shorter"):
        Watched(launch, 0)
    assert not launch.directory.exists()


def test_pauses_double_until_a_process_grew_up() -> None:
    backoff = Backoff()
    assert [backoff.after(0) for _ in range(9)] == [0, 0.25, 0.5, 1, 2, 4, 8, 15, 15]
    assert [backoff.after(60), backoff.after(0)] == [0, 0.25]
    assert [backoff.after(0) for _ in range(5_000)][-1] == 15


PARENT = textwrap.dedent(
    """
    import asyncio, sys
    from pathlib import Path
    from trilithon.resources.meta import Key
    from trilithon.sinks.envoy.envoy_binary import find_envoy
    from trilithon.sinks.envoy.envoy_process import Launch
    from trilithon.sinks.envoy.processes import EnvoyProcesses

    async def main():
        launch = Launch(binary=find_envoy().path, directory=Path(sys.argv[1]), xds_socket="/tmp/none.sock")
        processes = EnvoyProcesses(launch, on_state=lambda *_: None, on_log=lambda *_: None)
        gateway = Key("Gateway", "demo", "hello")
        await processes.ensure(gateway, "demo/hello")
        print("envoy", processes.pids[gateway], processes.admin_socket(gateway), flush=True)
        await asyncio.sleep(600)

    asyncio.run(main())
    """
)


async def test_no_envoy_outlives_a_killed_parent(runtime: Path) -> None:
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    async with Command(sys.executable, "-c", PARENT, runtime / "e", environment=environment) as parent:
        _, pid, socket = (await parent.said("envoy")).split()
        # Up, so that it is Envoy that dies and not the tether.
        await until(Path(socket).exists)
        parent.signal(signal.SIGKILL)
        await parent.ended()
        await until(lambda: not is_running(int(pid)), why="Envoy was left behind")


async def test_the_tether_starts_nothing_for_a_parent_that_is_gone() -> None:
    arguments = ("-I", "-S", tether.__file__, "1", "/bin/echo", "started")
    async with Command(sys.executable, *arguments) as program:
        assert await program.ended() == tether.CANNOT_START
        assert program.lines == []


async def test_ctrl_c_in_the_terminal_does_not_reach_envoy(runtime: Path) -> None:
    """It goes to the whole foreground process group; Envoy would drop its requests before we can drain it."""
    async with running(runtime, NOTHING) as watched:
        await watched.processes.ensure(HELLO, "demo/hello")
        pid = watched.processes.pids[HELLO]
        assert os.getpgid(pid) == pid != os.getpgid(0)


async def test_admin_says_what_it_could_not_do(runtime: Path) -> None:
    async with EnvoyAdmin(str(runtime / "absent.sock")) as admin:
        with pytest.raises(AdminUnavailable, match="GET /server_info"):
            await admin.state()


async def test_connections_over_the_limit_are_closed_but_the_admin_socket_answers(runtime: Path) -> None:
    limits = EnvoyLimits(max_connections=2)
    async with EchoServer("web") as backend, gateway(runtime, backend, limits=limits) as (watched, port):
        # The connection that found out that Envoy serves counts until Envoy has seen its end.
        await until(watched.has_no_connections)
        first, second = await Connection.open(port), await Connection.open(port)
        assert (await first.request()).status == (await second.request()).status == 200
        with pytest.raises(Unanswered):
            await fetch(port)
        assert await watched.state() == "LIVE"
        first.close()
        await serves(port)
        second.close()


async def test_per_cluster_statistics_are_off(runtime: Path) -> None:
    async with backends("web") as servers, gateway(runtime, servers["web"]) as (watched, port):
        await fetch(port)
        # Envoy counts a request until it has seen its end, too.
        await until(watched.has_no_requests)
        async with EnvoyAdmin(watched.processes.admin_socket(HELLO) or "") as admin:
            assert await admin.stats(r"^cluster\.") == {}
            assert (await admin.stats(r"^http\.test\.downstream_rq_total$")).values()
