"""How the program ends: politely, at once, or by force; nothing of it stays behind.

A Trilithon that is killed takes its Envoys with it: a proxy whose configuration nobody can change any more is worse
than one that a supervisor starts again in half a second.
"""

from __future__ import annotations

import asyncio
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from tests.system.client import Connection, Unanswered, fetch, fetch_h2
from tests.system.harness import Command, SteadyLoad, backends, free_port, is_running, serves, status_of, until
from tests.system.manifests import Folder, backend, gateway, listener, route, rule, to
from tests.system.program import TRILITHON, Program, is_free_of, serving, trilithon
from trilithon.cli.echo import EchoServer

pytestmark = pytest.mark.system
# How it ends for a request that nobody read.
UNTOUCHED = ("connect: ", "ConnectionResetError", "BrokenPipeError", "IncompleteReadError('0 bytes")


def web(folder: Folder, port: int, server: EchoServer) -> None:
    """A Gateway with one route."""
    folder.write("all.yaml", gateway(listener(port)), route("web", rule(to("a"))), backend("a", server.port))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
async def test_requests_in_flight_are_finished(folder: Folder, runtime: Path, number: signal.Signals) -> None:
    port = free_port()
    async with backends("a") as servers:
        web(folder, port, servers["a"])
        async with Program(folder, runtime) as program:
            await program.programmed()
            await serves(port)
            envoy = program.envoy
            flying = [
                asyncio.create_task(ask(port, "/held", seconds=60)) for ask in (fetch, fetch_h2) for _ in range(3)
            ]
            await servers["a"].holds(len(flying))
            program.signal(number)
            # New connections are refused, for somebody else to take them.
            await serves(port, status=0)
            assert not any(each.done() for each in flying)
            servers["a"].let_go()
            answers = await asyncio.gather(*flying)
            assert [answer.status for answer in answers] == [200] * 6
            assert await program.ended() == 0
            assert not is_running(envoy)
            assert is_free_of(runtime)
            assert not program.directory.exists()


async def test_a_kept_connection_is_told_to_go(folder: Folder, runtime: Path) -> None:
    port = free_port()
    async with backends("a") as servers:
        web(folder, port, servers["a"])
        async with Program(folder, runtime) as program:
            await program.programmed()
            await serves(port)
            async with await Connection.open(port) as kept, await Connection.open(port) as busy:
                assert (await kept.request()).header("connection") is None
                flying = asyncio.create_task(busy.request("/held"))
                await servers["a"].holds()
                program.signal(signal.SIGTERM)
                await serves(port, status=0)
                assert (await kept.request()).header("connection") == "close"
                servers["a"].let_go()
                assert (await flying).status == 200
            assert await program.ended() == 0


async def test_a_second_ctrl_c_ends_at_once(folder: Folder, runtime: Path) -> None:
    port = free_port()
    async with backends("a") as servers:
        web(folder, port, servers["a"])
        async with Program(folder, runtime) as program:
            await program.programmed()
            await serves(port)
            envoy = program.envoy
            flying = asyncio.create_task(fetch(port, "/held", seconds=60))
            await servers["a"].holds()
            program.signal(signal.SIGINT)
            await program.event("ending")
            asked = time.monotonic()
            program.signal(signal.SIGINT)
            assert await program.ended() == 130
            # By itself it would have waited for the request twice as long.
            assert time.monotonic() - asked < 15
            with pytest.raises(Unanswered):
                await flying
            await until(lambda: not is_running(envoy))
            assert is_free_of(runtime)
            assert "Traceback" not in program.output


async def test_by_force_no_envoy_stays_behind_and_the_next_run_takes_over(folder: Folder, runtime: Path) -> None:
    port = free_port()
    async with backends("a") as servers:
        web(folder, port, servers["a"])
        async with Program(folder, runtime) as first:
            await first.programmed()
            await serves(port)
            envoy = first.envoy
            first.signal(signal.SIGKILL)
            await first.ended()
            await until(lambda: not is_running(envoy), why="an Envoy outlives its control plane")
            assert await status_of(port) == 0
        async with serving(folder, runtime) as second:
            assert await status_of(port) == 200
            # What the dead one left is gone, and `status` asks the living.
            assert not first.directory.exists()
            assert f"process {second.process.pid} serves" in (await trilithon("status", runtime=runtime)).output


@pytest.mark.parametrize("milliseconds", [0, 30, 60, 90])
async def test_it_can_be_ended_before_it_serves(folder: Folder, runtime: Path, milliseconds: int) -> None:
    port = free_port()
    async with backends("a") as servers:
        web(folder, port, servers["a"])
        async with Program(folder, runtime) as program:
            await program.event("Envoy started")
            # At any moment of the start: this is no wait for anything.
            await asyncio.sleep(milliseconds / 1000)
            asked = time.monotonic()
            program.signal(signal.SIGTERM)
            assert await program.ended() == 0
            # There is nothing to wait for: not as long as requests would be.
            assert time.monotonic() - asked < 25
            assert "Traceback" not in program.output
        assert is_free_of(runtime)


async def test_an_envoy_that_drains_has_nothing_to_say(folder: Folder, runtime: Path) -> None:
    port = free_port()
    async with backends("a") as servers:
        web(folder, port, servers["a"])
        async with serving(folder, runtime) as program:
            flying = asyncio.create_task(fetch(port, "/held", seconds=60))
            await servers["a"].holds()
            after = len(program.events)
            folder.write("all.yaml", backend("a", servers["a"].port))
            await serves(port, status=0)
            # Its control plane has no more for it, which is no reason to complain each second.
            await asyncio.sleep(3)
            servers["a"].let_go()
            assert (await flying).status == 200
            await program.event("Envoy ended")
        said = [each["event"] for each in program.events[after:] if each.get("source") == "envoy"]
        assert said == ["main caught ENVOY_SIGTERM"]


async def test_a_restart_costs_no_request_more_than_the_time_it_takes(folder: Folder, runtime: Path) -> None:
    port = free_port()
    async with backends("a") as servers:
        web(folder, port, servers["a"])
        async with SteadyLoad(port, rate=200) as load:
            for _ in range(2):
                async with serving(folder, runtime):
                    await load.answered(50)
        # Connections that nobody takes, or that end before they are used again; never an answer of a half-configured
        # Envoy, or a cut one, or none to what a backend was asked.
        assert not [reason for reason in load.bad if not reason.startswith(UNTOUCHED)], load.bad
        assert servers["a"].seen["/"] == load.good


async def test_a_second_run_says_whose_port_it_is_and_takes_it_over(folder: Folder, runtime: Path) -> None:
    port = free_port()
    async with backends("a") as servers:
        web(folder, port, servers["a"])
        async with Program(folder, runtime) as first:
            await first.programmed()
            await serves(port)
            async with Program(folder, runtime) as second:
                problem = await second.event("problem", code="PortUnavailable")
                assert "another process has it" in problem["message"]
                assert await status_of(port) == 200
                # With two processes `status` asks which one is meant.
                assert (await trilithon("status", runtime=runtime)).code == 2
                first.signal(signal.SIGTERM)
                assert await first.ended() == 0
                await second.programmed()
                await serves(port)
                await second.served(partial(folder.write, "more.yaml", route("b", rule(to("a")))), "HTTPRoute demo/b")
                await second.stopped()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda each: each.name)
async def test_a_controller_with_local_envoys_leaves_nothing_behind(
    tmp_path: Path, runtime: Path, number: signal.Signals
) -> None:
    config = tmp_path / "kubeconfig"
    # It waits for a cluster that does not answer.
    config.write_text(
        f"""{{current-context: a, contexts: [{{name: a, context: {{cluster: a, user: a}}}}],
        users: [{{name: a, user: {{}}}}], clusters: [{{name: a, cluster: {{server: "http://127.0.0.1:{free_port()}"}}}}]}}"""
    )
    own = ("--controller-name", "example.com/mine")
    arguments = ("controller", "--infrastructure", "processes", *own, "--kubeconfig", config)
    async with Command(TRILITHON, *arguments, environment={"XDG_RUNTIME_DIR": str(runtime)}) as command:
        await command.said("serves")
        command.signal(number)
        assert await command.ended() == 0
        assert not any((runtime / "trilithon").iterdir())
        assert "Traceback" not in command.output
