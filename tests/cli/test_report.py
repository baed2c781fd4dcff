"""``run`` tells what happened to what it told before, and nothing twice."""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.harness import Command, free_port, until
from tests.system.harness import is_running as runs

pytestmark = pytest.mark.system

ROUTE = """\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: NAME, namespace: default}
spec:
  parentRefs: [{name: gw}]
  rules: [{backendRefs: [{group: trilithon.dev, kind: Backend, name: nowhere}]}]
"""


def gateway(*ports: int) -> str:
    listeners = "".join(f"    - {{name: at-{port}, port: {port}, protocol: HTTP}}\n" for port in ports)
    return f"""\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: gw, namespace: default}}
spec:
  gatewayClassName: trilithon
  listeners:
{listeners}"""


@pytest.fixture(autouse=True)
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A runtime directory of this test's own, with a short path: sockets live in it."""
    with tempfile.TemporaryDirectory(prefix="t") as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        yield


def run(folder: Path) -> Command:
    return Command(sys.executable, "-m", "trilithon", "run", folder, "--log-format", "plain")


async def end(program: Command) -> None:
    program.signal(signal.SIGTERM)
    assert await program.ended() == 0
    assert "ended" in program.lines


async def test_a_folder_without_manifests_is_told(tmp_path: Path) -> None:
    async with run(tmp_path) as program:
        assert str(tmp_path) in await program.said("warning: no manifests here [NothingFound]")
        await end(program)


async def test_what_goes_with_its_object_is_not_mended_and_a_gateway_that_goes_is_told(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text(gateway(free_port()))
    (tmp_path / "route.yaml").write_text(ROUTE.replace("NAME", "web"))
    async with run(tmp_path) as program:
        await program.said("Gateway default/gw is served")
        (tmp_path / "route.yaml").unlink()
        await program.said("gone with its object: HTTPRoute default/web")
        (tmp_path / "gateway.yaml").unlink()
        await program.said(f"confirmed: {tmp_path}: holds no objects any more; what it held is served no longer")
        await program.said("Gateway default/gw is no longer served")
        await end(program)
    assert "mended" not in program.output


async def test_a_folder_that_is_filled_again_in_time_is_mended(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(gateway(free_port()))
    async with run(tmp_path) as program:
        await program.said("Gateway default/gw is served")
        text = file.read_text()
        file.unlink()
        await program.said("[FolderEmptied]")
        file.write_text(text)
        await program.said(f"mended: {tmp_path}: holds no objects any more")
        await end(program)


async def test_what_envoy_refuses_is_told_once_and_not_as_served(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "gateway.yaml").write_text(gateway(port))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        async with run(tmp_path) as program:
            await program.said("[PortUnavailable]")
            await program.said("Gateway default/gw is not served")
            await end(program)
    assert "Envoy refuses a part" in program.output
    assert "served after" not in program.output
    assert "Address already in use" not in program.output
    assert "SIGTERM" not in program.output


async def test_an_envoy_that_is_killed_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text(gateway(free_port()))
    async with run(tmp_path) as program:
        await program.said("Gateway default/gw is served")
        (pid,) = _children(program.process.pid)
        os.kill(pid, signal.SIGKILL)
        await program.said(f"Envoy (pid {pid}) was killed by signal 9")
        await program.said("Envoy is started again at once")
        await until(lambda: not runs(pid), why="it lives on")
        await end(program)


def _children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def test_problems_come_by_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text(gateway(free_port()))
    for number, name in enumerate("dbca"):
        (tmp_path / f"{number}.yaml").write_text(ROUTE.replace("NAME", name))
    async with run(tmp_path) as program:
        await program.said("Gateway default/gw is served")
        await until(lambda: program.output.count("error: HTTPRoute") == 4, why="not all problems were told")
        await end(program)
    files = [line.split(":")[0] for line in program.lines if "error: HTTPRoute" in line]
    assert files == [f"{tmp_path}/{number}.yaml" for number in range(4)]
