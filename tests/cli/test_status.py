"""``status`` asks the process that runs, and where several do it says which is which."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import pytest

from tests.cli.invoking import refusal, trilithon
from trilithon.inspect.overview import EnvoyView, GatewayView, Overview
from trilithon.sinks.control_server import ControlServer


def overview(pid: int, path: str) -> bytes:
    gateway = GatewayView("demo/gw", (), (), EnvoyView(connected=1, wanted=10, acknowledged=9, rejected=()))
    return msgspec.json.encode(Overview((gateway,), (), (), paths=(path,), pid=pid))


async def listen(stack: AsyncExitStack, base: Path, pid: int, path: str) -> None:
    """Answer as the process of this id would."""

    async def view() -> bytes:
        return overview(pid, path)

    folder = base / "trilithon" / str(pid)
    folder.mkdir(parents=True)
    server = ControlServer(folder / "control.sock", view)
    await server.start()
    stack.push_async_callback(server.stop)


async def test_several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    one, other = sorted((os.getpid(), os.getppid()))
    async with AsyncExitStack() as stack:
        await listen(stack, tmp_path, one, "shop/")
        await listen(stack, tmp_path, other, "blog/")
        line = await asyncio.to_thread(refusal, "status")
        chosen = await asyncio.to_thread(trilithon, "status", "--pid", other)
    assert line == f"trilithon status: running: {one} (shop/), {other} (blog/): choose one with --pid"
    assert chosen.stdout.startswith(f"process {other} serves blog/\n")
    assert "1 connected, 9 of 10 resources acknowledged" in chosen.stdout
