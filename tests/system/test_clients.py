"""Clients that are slow, greedy or malformed are let go, and others do not notice."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
import trustme

from tests.system.client import Connection, Unanswered, fetch, fetch_h2
from tests.system.harness import SteadyLoad, backends, free_port, serves
from tests.system.manifests import Folder, backend, gateway, listener, route, rule, secret, tls_listener, to
from tests.system.program import serving
from trilithon.cli.echo import EchoServer

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="module")]
# A client has 10 s for its headers or its handshake.
PATIENCE_SECONDS = 10.0


class World(msgspec.Struct, frozen=True):
    """Where it is served, and the backend."""

    port: int
    tls: int
    server: EchoServer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(shared_folder: Folder, shared_runtime: Path) -> AsyncIterator[World]:
    """HTTP and HTTPS in front of one backend."""
    port, tls = free_port(), free_port()
    async with backends("a") as servers:
        shared_folder.write("gateway.yaml", gateway(listener(port), tls_listener(tls, "tls", "cert")))
        shared_folder.write("secret.yaml", secret("cert", trustme.CA().issue_cert("a.test")))
        web = route("web", rule(to("a")), hosts=["a.test", "other.test"])
        shared_folder.write("route.yaml", web, backend("a", servers["a"].port))
        async with serving(shared_folder, shared_runtime):
            await serves(port)
            yield World(port, tls, servers["a"])


async def _dribble(writer: asyncio.StreamWriter) -> None:
    """A header without end, a few bytes at a time."""
    writer.write(b"GET /slow HTTP/1.1\r\nhost: a.test\r\nx-endless: ")
    with contextlib.suppress(OSError):
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.2)


async def _hello_and_silence(writer: asyncio.StreamWriter) -> None:
    """The first half of a TLS handshake."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    shake = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="a.test")
    with contextlib.suppress(ssl.SSLWantReadError):
        shake.do_handshake()
    writer.write(outgoing.read())


async def _half_a_hello(writer: asyncio.StreamWriter) -> None:
    """The beginning of a TLS record."""
    writer.write(b"\x16\x03\x01\x02\x00\x01")


async def _silence(_: asyncio.StreamWriter) -> None:
    """Nothing at all."""


async def _preface_and_silence(writer: asyncio.StreamWriter) -> None:
    """An HTTP/2 request whose headers never end."""
    settings = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
    # A HEADERS frame of stream 1 without END_HEADERS.
    headers = b"\x00\x00\x01\x01\x00\x00\x00\x00\x01\x82"
    writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings + headers)


async def _seconds_until_let_go(port: int, behave: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> float:
    """Until the connection is closed, or in HTTP/2, where it serves other requests as well, this request is."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    started = time.monotonic()
    behaving = asyncio.ensure_future(behave(writer))
    try:
        async with asyncio.timeout(3 * PATIENCE_SECONDS):
            with contextlib.suppress(OSError):
                while b"header timeout" not in (data := await reader.read(65536)) and data:
                    pass
        return time.monotonic() - started
    finally:
        behaving.cancel()
        await asyncio.gather(behaving, return_exceptions=True)
        writer.close()


async def test_whoever_takes_for_ever_to_ask_is_let_go(world: World) -> None:
    async with SteadyLoad(world.port, rate=50) as load:
        lasted = await asyncio.gather(
            _seconds_until_let_go(world.port, _dribble),
            _seconds_until_let_go(world.port, _preface_and_silence),
            _seconds_until_let_go(world.tls, _silence),
            _seconds_until_let_go(world.tls, _half_a_hello),
            _seconds_until_let_go(world.tls, _hello_and_silence),
        )
    assert not load.bad
    assert max(lasted) < 2.5 * PATIENCE_SECONDS
    assert world.server.seen["/slow"] == 0


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param([(f"x-{number}", "1") for number in range(120)], 431, id="too many"),
        pytest.param([("x-long", "x" * 70_000)], 431, id="too long"),
        pytest.param([(f"x-{number}", "x" * 1000) for number in range(80)], 431, id="too long together"),
        pytest.param([("x_user", "root")], 400, id="an underscore"),
        pytest.param([(f"x-{number}", "x" * 400) for number in range(15)], 200, id="within the limits"),
    ],
)
async def test_headers_have_limits(world: World, headers: list[tuple[str, str]], status: int) -> None:
    asked = world.server.seen["/limits"]
    assert (await fetch(world.port, "/limits", headers=headers)).status == status
    assert world.server.seen["/limits"] == asked + (status == 200)


@pytest.mark.parametrize("name", ["too many", "too long", "an underscore"])
async def test_headers_of_http2_have_the_same_limits(world: World, name: str) -> None:
    headers = {
        "too many": [(f"x-{number}", "1") for number in range(120)],
        "too long": [(f"x-{number}", "x" * 10_000) for number in range(8)],
        "an underscore": [("x_user", "root")],
    }[name]
    # To reset the stream or the connection is an answer, too.
    with contextlib.suppress(Unanswered):
        assert (await fetch_h2(world.port, "/h2-limits", headers=headers)).status in {400, 431}
    assert world.server.seen["/h2-limits"] == 0


HOST = b"host: a.test\r\n"
MALFORMED = {
    "two lengths": b"POST /%b HTTP/1.1\r\n" + HOST + b"content-length: 1\r\ncontent-length: 2\r\n\r\nab",
    "a length and chunks": b"POST /%b HTTP/1.1\r\n"
    + HOST
    + b"content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "a length that is no number": b"POST /%b HTTP/1.1\r\n" + HOST + b"content-length: +1\r\n\r\na",
    "chunks that are not last": b"POST /%b HTTP/1.1\r\n" + HOST + b"transfer-encoding: chunked, identity\r\n\r\n",
    "no host": b"GET /%b HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /%b HTTP/1.1\r\n" + HOST + b"host: b.test\r\n\r\n",
    "a space before the colon": b"GET /%b HTTP/1.1\r\n" + HOST + b"x-a : 1\r\n\r\n",
    "a zero byte": b"GET /%b HTTP/1.1\r\n" + HOST + b"x-a: \x00\r\n\r\n",
    "HTTP/1.0": b"GET /%b HTTP/1.0\r\n" + HOST + b"\r\n",
    "nonsense": b"\x00\x01\x02 /%b\r\n\r\n",
}


@pytest.mark.parametrize("name", MALFORMED)
async def test_what_two_readers_would_read_differently_reaches_no_backend(world: World, name: str) -> None:
    path = name.replace(" ", "-")
    async with await Connection.open(world.port) as connection:
        with contextlib.suppress(Unanswered, TimeoutError):
            async with asyncio.timeout(5):
                answer = await connection.send(MALFORMED[name].replace(b"%b", path.encode()))
                assert answer.status >= 400
    assert world.server.seen[f"/{path}"] == 0


async def test_a_target_with_a_host_of_its_own_is_for_that_host(world: World) -> None:
    answer = await fetch(world.port, "http://other.test/absolute", host="a.test")
    assert (answer.echo["path"], answer.echo["host"]) == ("/absolute", "other.test")


async def test_nobody_can_tunnel_through(world: World) -> None:
    for method, target in (("CONNECT", "127.0.0.1:22"), ("CONNECT", "a.test:80")):
        with contextlib.suppress(Unanswered):
            assert (await fetch(world.port, target, method=method)).status >= 400
