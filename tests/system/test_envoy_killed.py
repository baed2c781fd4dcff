"""An Envoy that dies is replaced, and its configuration comes again."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path

import pytest

from tests.system.client import fetch
from tests.system.harness import backends, free_port, is_running, serves, until
from tests.system.manifests import Folder, backend, gateway, listener, prefix, route, rule, to
from tests.system.program import Program, serving

pytestmark = pytest.mark.system


async def test_a_killed_envoy_serves_again(folder: Folder, runtime: Path) -> None:
    port, second = free_port(), free_port()
    async with backends("a", "b") as servers:
        folder.write("gateway.yaml", gateway(listener(port), listener(second, "second")))
        folder.write("backends.yaml", *(backend(name, server.port) for name, server in servers.items()))
        folder.write("routes.yaml", route("web", rule(to("a"))), route("two", rule(to("b"), matches=[prefix("/b")])))
        async with serving(folder, runtime) as program:
            killed, after = program.envoy, len(program.events)
            os.kill(killed, signal.SIGKILL)
            await program.event("gateway", after=after, gateway="demo/gw", programmed=False)
            await serves(port)
            await program.programmed(after=after)
            assert not is_running(killed)
            assert program.envoy != killed
            # All of it came again.
            for each in (port, second):
                await serves(each)
                assert (await fetch(each)).backend == "a"
                assert (await fetch(each, "/b")).backend == "b"
            view = (await program.overview()).gateways[0].envoy
            assert view is not None
            assert (view.connected, view.acknowledged) == (1, view.wanted)


async def test_status_says_that_nothing_serves_while_an_envoy_is_down(folder: Folder, runtime: Path) -> None:
    port = free_port()
    async with backends("a", "b") as servers:
        folder.write("gateway.yaml", gateway(listener(port)))
        folder.write("backends.yaml", *(backend(name, server.port) for name, server in servers.items()))
        folder.write("route.yaml", route("web", rule(to("a"))))
        async with serving(folder, runtime) as program:
            assert "Accepted, Programmed" in (await program.status()).output
            # What dies young again and again is given more time each time.
            while await _killed(program) < 1:
                await program.event("Envoy started", after=_number_of(program, "Envoy is started again"))
            view = (await program.overview()).gateways[0]
            programmed = next(each for each in view.conditions if each.type == "Programmed")
            assert (programmed.status, programmed.reason) == ("False", "Pending")
            assert view.envoy is None or view.envoy.connected == 0
            # What changes meanwhile is what the next one gets.
            after = len(program.events)
            await program.served(partial(folder.write, "route.yaml", route("web", rule(to("b")))), "HTTPRoute demo/web")
            await program.programmed(after=after)
            await serves(port)
            assert (await fetch(port)).backend == "b"
            assert "Accepted, Programmed" in (await program.status()).output


async def _killed(program: Program) -> float:
    """Kill the Envoy that runs; the seconds until the next one is started."""
    after = len(program.events)
    os.kill(program.envoy, signal.SIGKILL)
    told = await program.event("Envoy is started again", after=after)
    return float(told["after"])


def _number_of(program: Program, name: str) -> int:
    """The number of the last event of this name."""
    return max(number for number, each in enumerate(program.events) if each["event"] == name)


async def test_an_envoy_that_is_told_to_end_is_replaced_too(folder: Folder, runtime: Path) -> None:
    port = free_port()
    async with backends("a") as servers:
        folder.write("all.yaml", gateway(listener(port)), route("web", rule(to("a"))), backend("a", servers["a"].port))
        async with serving(folder, runtime) as program:
            ended = program.envoy
            os.kill(ended, signal.SIGTERM)
            await until(lambda: not is_running(ended))
            await serves(port)


async def test_the_death_of_one_gateways_envoy_is_nothing_to_another(folder: Folder, runtime: Path) -> None:
    port, second = free_port(), free_port()
    async with backends("a") as servers:
        folder.write("first.yaml", gateway(listener(port)), route("web", rule(to("a"))))
        folder.write("backend.yaml", backend("a", servers["a"].port))
        async with serving(folder, runtime) as program:
            other = gateway(listener(second), name="other"), route("two", rule(to("a")), gateway="other")
            after = len(program.events)
            folder.write("second.yaml", *other)
            await program.programmed(after=after, gateway="demo/other")
            after = len(program.events)
            os.kill(program.envoy, signal.SIGKILL)
            assert (await fetch(port)).backend == "a"
            await program.programmed(after=after, gateway="demo/other")
            await serves(second)
            told = [each["gateway"] for each in program.events[after:] if each["event"] == "gateway"]
            assert set(told) == {"demo/other"}
