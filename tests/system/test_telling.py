"""Nobody has to listen: what serves goes on, and ends as asked, whatever becomes of those it tells."""

from __future__ import annotations

import asyncio
import os
import pty
import signal
import subprocess
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.system.client import fetch
from tests.system.harness import backends, free_port, is_running, serves
from tests.system.manifests import Folder, backend, gateway, listener, route, rule, to
from tests.system.program import TRILITHON, is_free_of
from trilithon.cli.echo import EchoServer

pytestmark = pytest.mark.system


def web(folder: Folder, port: int, server: EchoServer) -> None:
    """A Gateway with one route."""
    folder.write("all.yaml", gateway(listener(port)), route("web", rule(to("a"))), backend("a", server.port))


@asynccontextmanager
async def telling(
    folder: Folder, runtime: Path, stdout: int, *arguments: str, stderr: int = subprocess.PIPE
) -> AsyncIterator[asyncio.subprocess.Process]:
    """The program with an output of the test's own; killed in the end where it still runs."""
    process = await asyncio.create_subprocess_exec(
        TRILITHON,
        "run",
        folder.path,
        *arguments,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        env={**os.environ, "XDG_RUNTIME_DIR": str(runtime)},
        limit=1 << 24,
    )
    os.close(stdout)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def ended(process: asyncio.subprocess.Process, seconds: float = 30.0) -> tuple[int, str]:
    """The exit status, and what stood on standard error."""
    async with asyncio.timeout(seconds):
        _, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, (errors or b"").decode()


@pytest.mark.parametrize("arguments", [(), ("--log-format", "json")], ids=["plain", "json"])
async def test_without_a_reader_it_serves_follows_changes_and_ends(
    folder: Folder, runtime: Path, arguments: tuple[str, ...]
) -> None:
    port = free_port()
    async with backends("a") as servers:
        web(folder, port, servers["a"])
        reader, writer = os.pipe()
        async with telling(folder, runtime, writer, *arguments) as process:
            await serves(port)
            os.close(reader)
            for name in ("b", "c", "d"):
                folder.write(f"{name}.yaml", route(name, rule(to("a")), hosts=[f"{name}.test"]))
                await serves(port, host=f"{name}.test")
            folder.write("bad.yaml", route("bad", rule(to("missing")), hosts=["bad.test"]))
            await serves(port, host="bad.test", status=500)
            process.send_signal(signal.SIGTERM)
            code, errors = await ended(process)
        assert code == 0
        assert errors.count("standard output is gone") == 1
        assert "Traceback" not in errors
        assert is_free_of(runtime)
        assert list((runtime / "trilithon").iterdir()) == []


async def test_a_stopped_terminal_holds_nothing_up(folder: Folder, runtime: Path) -> None:
    port = free_port()
    async with backends("a") as servers:
        web(folder, port, servers["a"])
        ours, theirs = pty.openpty()
        async with telling(folder, runtime, os.dup(theirs), stderr=theirs) as process:
            await serves(port)
            # As Ctrl-S does: whoever writes now, waits.
            termios.tcflow(theirs, termios.TCOOFF)
            for name in ("b", "c", "d"):
                folder.write(f"{name}.yaml", route(name, rule(to("a")), hosts=[f"{name}.test"]))
                await serves(port, host=f"{name}.test")
            process.send_signal(signal.SIGTERM)
            assert (await ended(process))[0] == 0
        os.close(ours)
        os.close(theirs)
        assert is_free_of(runtime)


async def test_a_closed_terminal_ends_it_politely(folder: Folder, runtime: Path) -> None:
    port = free_port()
    async with backends("a") as servers:
        web(folder, port, servers["a"])
        ours, theirs = pty.openpty()
        async with telling(folder, runtime, os.dup(theirs), stderr=theirs) as process:
            os.close(theirs)
            await serves(port)
            flying = asyncio.create_task(fetch(port, "/held", seconds=60))
            await servers["a"].holds()
            os.close(ours)
            # The system sends one, and the shell another.
            process.send_signal(signal.SIGHUP)
            await serves(port, status=0)
            process.send_signal(signal.SIGHUP)
            servers["a"].let_go()
            assert (await flying).status == 200
            assert (await ended(process))[0] == 0
        assert is_free_of(runtime)
        assert list((runtime / "trilithon").iterdir()) == []


async def test_under_nohup_a_closed_terminal_changes_nothing(folder: Folder, runtime: Path) -> None:
    port = free_port()
    async with backends("a") as servers:
        web(folder, port, servers["a"])
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            reader, writer = os.pipe()
            async with telling(folder, runtime, writer) as process:
                await serves(port)
                process.send_signal(signal.SIGHUP)
                folder.write("b.yaml", route("b", rule(to("a")), hosts=["b.test"]))
                await serves(port, host="b.test")
                assert is_running(process.pid)
                process.send_signal(signal.SIGTERM)
                assert (await ended(process))[0] == 0
            os.close(reader)
        finally:
            signal.signal(signal.SIGHUP, before)
