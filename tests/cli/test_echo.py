"""An echo server tells exactly what it was asked, does what its knobs say, and names itself."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import aiohttp
import msgspec
import pytest

from tests.system.client import Unanswered, fetch
from tests.system.harness import backends, free_port, until
from trilithon.cli.echo import EchoServer, PortTaken, demo_backends, serve_demo


async def test_it_tells_what_it_was_asked_unchanged() -> None:
    headers = (("x-a", "1"), ("X-B", "2"), ("x-a", "3"))
    async with EchoServer("web") as server:
        answer = await fetch(
            server.port, "//a/../%2F?x=%20", host="Shop.Test", method="PURGE", headers=headers, body=b"hi"
        )
    assert (answer.status, answer.backend) == (200, "web")
    assert {key: answer.echo[key] for key in ("backend", "method", "path", "host", "body")} == {
        "backend": "web",
        "method": "PURGE",
        "path": "//a/../%2F?x=%20",
        "host": "Shop.Test",
        "body": "hi",
    }
    assert answer.seen_header("x-a") == "1, 3"


@pytest.mark.parametrize("target", ["/?status=418", "/"], ids=["in the query", "in the header"])
async def test_status(target: str) -> None:
    headers = () if "?" in target else (("x-echo", "status=418"),)
    async with EchoServer("web") as server:
        assert (await fetch(server.port, target, headers=headers)).status == 418


async def test_delay() -> None:
    async with EchoServer("web") as server:
        at = time.monotonic()
        assert (await fetch(server.port, "/?delay=150ms")).status == 200
        assert time.monotonic() - at >= 0.15


async def test_fail_counts_for_each_id() -> None:
    async with EchoServer("web") as server:
        targets = ["/?fail=2&id=a", "/?fail=2&id=a", "/?fail=2&id=b", "/?fail=2&id=a"]
        assert [(await fetch(server.port, target)).status for target in targets] == [503, 503, 503, 200]


async def test_reset_gives_no_answer() -> None:
    async with EchoServer("web") as server:
        with pytest.raises(Unanswered):
            await fetch(server.port, "/?reset=1")


async def test_header_adds_a_response_header() -> None:
    async with EchoServer("web") as server:
        assert (await fetch(server.port, "/?header=x-a:1")).header("x-a") == "1"


@pytest.mark.parametrize("knob", ["delay=soon", "status=ok"])
async def test_a_knob_that_cannot_be_read_is_the_askers_mistake(knob: str) -> None:
    async with EchoServer("web") as server:
        assert (await fetch(server.port, f"/?{knob}")).status == 400


async def test_it_tells_how_often_each_path_was_asked() -> None:
    async with EchoServer("web") as server:
        for target in ("/a", "/a?x=1", "/b"):
            await fetch(server.port, target)
        answer = await fetch(server.port, "/__seen")
        assert msgspec.json.decode(answer.body) == {"/a": 2, "/b": 1}


async def test_websocket_messages_come_back() -> None:
    async with (
        EchoServer("web") as server,
        aiohttp.ClientSession() as session,
        session.ws_connect(f"http://127.0.0.1:{server.port}/chat") as socket,
    ):
        await socket.send_str("hello")
        await socket.send_bytes(b"\x00\x01")
        assert [(await socket.receive()).data, (await socket.receive()).data] == ["hello", b"\x00\x01"]


async def test_it_listens_on_a_unix_socket(tmp_path_factory: pytest.TempPathFactory) -> None:
    path: Path = tmp_path_factory.mktemp("echo") / "web.sock"
    async with (
        EchoServer("web", socket=path),
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session,
        session.get("http://any/") as answer,
    ):
        assert answer.headers["x-backend"] == "web"


async def test_a_taken_port_is_named_and_no_backend_is_left_listening() -> None:
    async with backends("first") as servers:
        taken, free = servers["first"].port, free_port()
        with pytest.raises(PortTaken, match=f"backend b cannot listen on 127.0.0.1:{taken}, the port is taken"):
            async with demo_backends({"a": free, "b": taken}):
                pass
        with pytest.raises(Unanswered, match="connect"):
            await fetch(free)


async def test_demo_backends_serve_until_cancelled() -> None:
    ports = {"a": free_port(), "b": free_port()}
    serving = asyncio.create_task(serve_demo(ports))

    async def both() -> bool:
        try:
            return [(await fetch(port)).backend for port in ports.values()] == ["a", "b"]
        except Unanswered:
            return False

    await until(both)
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    with pytest.raises(Unanswered, match="connect"):
        await fetch(ports["a"])
