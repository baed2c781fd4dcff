"""``run`` serves, tells what happens in lines that people and programs can read, and ends as it is asked to."""

from __future__ import annotations

import asyncio
import errno
import json
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.invoking import json_of, trilithon
from tests.system.client import fetch
from tests.system.harness import Command, free_port, is_running, serves, until
from trilithon.cli.demo_backends import DemoBackends, loopback_places
from trilithon.cli.echo import EchoServer
from trilithon.resources.core import BackendEndpoint, BackendResource, BackendSpec, HostnameEndpoint, IPEndpoint
from trilithon.resources.meta import Key

pytestmark = pytest.mark.system

ROUTE = """\
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web, namespace: default}
spec:
  parentRefs: [{name: gw}]
  rules:
    - backendRefs:
        - {group: trilithon.dev, kind: Backend, name: NAME}
"""


def manifests(port: int, backend_port: int) -> str:
    return f"""\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: gw, namespace: default}}
spec:
  gatewayClassName: trilithon
  listeners:
    - {{name: http, port: {port}, protocol: HTTP}}
---
apiVersion: trilithon.dev/v1alpha1
kind: Backend
metadata: {{name: web, namespace: default}}
spec: {{endpoints: [{{ip: {{address: 127.0.0.1, port: {backend_port}}}}}]}}
"""


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A runtime directory of this test's own, with a short path: sockets live in it."""
    with tempfile.TemporaryDirectory(prefix="t") as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        yield Path(folder)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def folder(tmp_path: Path, port: int) -> Path:
    """One Gateway, one route, one Backend that does not run."""
    (tmp_path / "gateway.yaml").write_text(manifests(port, free_port()))
    (tmp_path / "route.yaml").write_text(ROUTE.replace("NAME", "web"))
    return tmp_path


def run(folder: Path, *options: str) -> Command:
    return Command(sys.executable, "-m", "trilithon", "run", folder, "--demo-backends", *options)


async def test_a_change_and_a_mistake_are_told_as_they_come_and_go(folder: Path, port: int, runtime: Path) -> None:
    async with run(folder) as program:
        await program.said(f"http  http://127.0.0.1:{port}/  (any hostname)")
        assert "demo backends: web at 127.0.0.1:" in program.output
        await serves(port)
        route = folder / "route.yaml"
        route.write_text(ROUTE.replace("NAME", "wbe"))
        await program.said("HTTPRoute default/web changed: ")
        assert f"{route}:9: error: HTTPRoute default/web spec.rules[0].backendRefs[0]: " in program.output
        assert 'hint: did you mean "web"?' in program.output
        await serves(port, status=500)
        route.write_text(ROUTE.replace("NAME", "web"))
        await program.said("mended: HTTPRoute default/web spec.rules[0].backendRefs[0]: Backend default/wbe not found")
        await serves(port)
        program.signal(signal.SIGTERM)
        assert await program.ended() == 0
    change = next(line for line in program.lines if "HTTPRoute default/web changed" in line)
    assert "rows recomputed in" in change
    assert change.endswith(" ms")
    assert list((runtime / "trilithon").iterdir()) == []


async def test_a_demo_backend_comes_with_a_backend_that_is_written_later(
    folder: Path, port: int, runtime: Path
) -> None:
    async with run(folder) as program:
        await serves(port)
        later = manifests(port, free_port()).split("---\n")[1].replace("name: web", "name: later")
        (folder / "later.yaml").write_text(later)
        (folder / "route.yaml").write_text(ROUTE.replace("NAME", "later"))
        await program.said("demo backends: later at 127.0.0.1:")
        await until(lambda: _answered_by(port, "later"), why="the new backend never answered")
        program.signal(signal.SIGINT)
        assert await program.ended() == 0


async def _answered_by(port: int, name: str) -> bool:
    answer = await fetch(port)
    return answer.status == 200 and answer.backend == name


async def test_json_lines(folder: Path, port: int, runtime: Path) -> None:
    async with run(folder, "--log-format", "json") as program:
        await serves(port)
        await until(lambda: _served(program), why="no change was served")
        program.signal(signal.SIGTERM)
        assert await program.ended() == 0
    events = [json.loads(line) for line in program.lines]
    change = _served(program)[0]
    assert "HTTPRoute default/web" in change["upserted"]
    assert change["recomputed"] > 0
    assert change["served_ms"] >= change["settled_ms"] > 0
    urls = [event["urls"] for event in events if event["event"] == "gateway" and event["programmed"]]
    assert urls[-1] == {"http": f"http://127.0.0.1:{port}/"}


def _served(program: Command) -> list[dict[str, Any]]:
    """The changes that Envoy has acknowledged, without those that were told while it was slow."""
    events = (json.loads(line) for line in program.lines)
    return [event for event in events if event["event"] == "change" and event["served_ms"] is not None]


async def test_status_asks_the_process(folder: Path, port: int, runtime: Path) -> None:
    async with run(folder) as program:
        await program.said("is served")
        view = await asyncio.to_thread(json_of, "status")
        text = (await asyncio.to_thread(trilithon, "status")).stdout
        by_pid = await asyncio.to_thread(json_of, "status", "--pid", program.process.pid)
    assert (view["paths"], view["pid"]) == ([str(folder)], program.process.pid)
    (gateway,) = view["gateways"]
    assert gateway["listeners"][0]["url"] == f"http://127.0.0.1:{port}/"
    assert gateway["envoy"]["connected"] == 1
    assert gateway["envoy"]["rejected"] == []
    assert by_pid["paths"] == view["paths"]
    assert "default/gw  Accepted, Programmed, ResolvedRefs  1 connected" in text


async def test_a_taken_port_is_told_with_its_line_and_a_remedy(folder: Path, port: int, runtime: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        async with run(folder) as program:
            line = await program.said("PortUnavailable")
            assert line.startswith(f"{folder}/gateway.yaml:7: error: Gateway default/gw spec.listeners[0].port: ")
            assert "another --port-offset" in await program.said("hint: ")


async def test_the_second_signal_does_not_wait_for_requests(folder: Path, port: int, runtime: Path) -> None:
    async with run(folder) as program:
        await serves(port)
        waiting = asyncio.create_task(fetch(port, "/?delay=60s"))
        children = await until(lambda: _children(program.process.pid), why="no Envoy runs")
        await until(lambda: _is_asked(port), why="the backend was not asked")
        program.signal(signal.SIGINT)
        await program.said("ending")
        program.signal(signal.SIGINT)
        assert await program.ended(seconds=25) == 130
        await until(lambda: not any(map(is_running, children)), why="an Envoy was left behind")
        waiting.cancel()
    assert list((runtime / "trilithon").iterdir()) == []


def _children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def _is_asked(port: int) -> bool:
    seen = json.loads((await fetch(port, "/__seen")).body)
    return bool(seen.get("/", 0))


def test_demo_backends_stand_in_for_ip_endpoints_of_this_machine_alone() -> None:
    endpoints = (
        BackendEndpoint(ip=IPEndpoint(address="127.0.0.1", port=1)),
        BackendEndpoint(ip=IPEndpoint(address="::1", port=2)),
        BackendEndpoint(ip=IPEndpoint(address="10.0.0.1", port=3)),
        BackendEndpoint(hostname=HostnameEndpoint(hostname="localhost", port=4)),
    )
    backend = BackendResource(Key("Backend", "a", "b"), 1, "", BackendSpec(endpoints=endpoints))
    assert loopback_places([backend]) == {("127.0.0.1", 1): "b-1", ("::1", 2): "b-2"}


async def test_a_place_that_is_taken_is_left_to_whoever_has_it() -> None:
    said: list[str] = []
    port = free_port()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        async with DemoBackends(said.append) as demo:
            await demo.cover({("127.0.0.1", port): "web"})
    assert said == []


async def test_a_demo_backend_that_cannot_be_started_costs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    start = EchoServer.start

    async def refusing(server: EchoServer) -> None:
        if server.name == "low":
            raise PermissionError(errno.EACCES, "Permission denied")
        await start(server)

    monkeypatch.setattr(EchoServer, "start", refusing)
    port = free_port()
    async with DemoBackends(said.append) as demo:
        await demo.cover({("127.0.0.1", 1): "low", ("127.0.0.1", port): "web"})
    assert said == [
        "no demo backend low at 127.0.0.1:1: Permission denied",
        f"demo backends: web at 127.0.0.1:{port}",
    ]
