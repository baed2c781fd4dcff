"""A port that cannot be bound costs its listener only, is told with what helps, and is tried again."""

from __future__ import annotations

import os
import socket
from functools import partial
from pathlib import Path

import pytest

from tests.system.client import fetch
from tests.system.harness import Command, backends, free_port, serves, status_of
from tests.system.manifests import Folder, backend, gateway, listener, route, rule, to
from tests.system.program import TRILITHON, Program, serving

pytestmark = pytest.mark.system
UNPRIVILEGED_FROM = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
# Root without the one right that matters; everybody else has it not.
WITHOUT_THE_RIGHT = (
    ("setpriv", "--bounding-set", "-net_bind_service", "--inh-caps", "-net_bind_service") if os.getuid() == 0 else ()
)


async def _condition(program: Program, name: str) -> dict[str, str]:
    view = next(each for each in (await program.overview()).gateways[0].listeners if each.name == name)
    return {each.type: each.reason for each in view.conditions}


async def test_a_taken_port_is_told_and_served_when_it_is_free(folder: Folder, runtime: Path) -> None:
    port, taken = free_port(), free_port()
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", taken))
        holder.listen()
        async with backends("a") as servers:
            folder.write("gateway.yaml", gateway(listener(port), listener(taken, "taken")))
            folder.write("route.yaml", route("web", rule(to("a"))), backend("a", servers["a"].port))
            async with serving(folder, runtime) as program:
                problem = await program.event("problem", code="PortUnavailable")
                assert (problem["path"], problem["line"]) == ("spec.listeners[1].port", 16)
                assert "another process has it" in problem["message"]
                assert "--port-offset" in problem["hint"]
                assert (await fetch(port)).backend == "a"
                found = await _condition(program, "taken")
                assert (found["Accepted"], found["Programmed"]) == ("PortUnavailable", "Invalid")
                assert (await _condition(program, "http"))["Programmed"] == "Programmed"
                shown = (await program.status()).output
                assert f"port {taken} cannot be bound: another process has it" in shown
                assert "not Accepted (PortUnavailable)" in shown
                # The listener beside it goes on changing.
                await program.served(partial(folder.write, "b.yaml", route("b", rule(to("a")))), "HTTPRoute demo/b")
                holder.close()
                await program.event("healed", code="PortUnavailable", seconds=20)
                await serves(taken)
                assert (await _condition(program, "taken"))["Programmed"] == "Programmed"


@pytest.mark.skipif(UNPRIVILEGED_FROM <= 80, reason="every user may bind every port here")
async def test_a_privileged_port_is_told_with_its_remedy(folder: Folder, runtime: Path) -> None:
    port = free_port()
    async with backends("a") as servers:
        folder.write("gateway.yaml", gateway(listener(80), listener(port, "other")))
        folder.write("route.yaml", route("web", rule(to("a"))), backend("a", servers["a"].port))
        arguments = (*WITHOUT_THE_RIGHT, TRILITHON, "run", folder.path, "--log-format", "plain")
        async with Command(*arguments, environment={"XDG_RUNTIME_DIR": str(runtime)}) as program:
            line = await program.said("port 80 cannot be bound")
            assert line.startswith(f"{folder.path}/gateway.yaml:10: error: Gateway demo/gw spec.listeners[0].port: ")
            assert "need privileges" in line
            hint = program.lines[program.lines.index(line) + 1]
            assert "--port-offset 8000" in hint
            assert "CAP_NET_BIND_SERVICE" in hint
            await serves(port)
            program.process.terminate()
            assert await program.ended() == 0


async def test_the_remedy_helps(folder: Folder, runtime: Path) -> None:
    offset = free_port() - 80
    async with backends("a") as servers:
        folder.write("all.yaml", gateway(listener(80)), route("web", rule(to("a"))), backend("a", servers["a"].port))
        async with serving(folder, runtime, "--port-offset", str(offset)) as program:
            assert (await fetch(80 + offset)).backend == "a"
            told = await program.programmed()
            assert told["urls"] == {"http": f"http://127.0.0.1:{80 + offset}/"}


async def test_only_the_chosen_address_listens(folder: Folder, runtime: Path) -> None:
    port = free_port()
    async with backends("a") as servers:
        folder.write("all.yaml", gateway(listener(port)), route("web", rule(to("a"))), backend("a", servers["a"].port))
        async with serving(folder, runtime, "--address", "127.0.0.9") as program:
            assert await status_of(port) == 0
            told = await program.programmed()
            assert told["urls"] == {"http": f"http://127.0.0.9:{port}/"}
            listening = _listening(program.envoy) | _listening(program.process.pid)
            assert listening == {f"127.0.0.9:{port}"}, "nothing but the listener may be reached over the network"


def _listening(pid: int) -> set[str]:
    """The TCP addresses at which a process listens."""
    sockets = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            sockets.add(str(entry.readlink()))
        except FileNotFoundError:
            continue
    found = set()
    for table in ("tcp", "tcp6"):
        for row in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = row.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                address, port = fields[1].split(":")
                shown = socket.inet_ntoa(bytes.fromhex(address)[::-1]) if table == "tcp" else address
                found.add(f"{shown}:{int(port, 16)}")
    return found
