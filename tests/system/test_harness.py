"""The harness itself: load that counts what it should, conditions with an end, clients that hide nothing."""

from __future__ import annotations

import signal
import sys

import pytest
import trustme

from tests.system.client import Connection, Unanswered, fetch, fetch_h2, trusting
from tests.system.harness import Command, SteadyLoad, backends, free_port, until
from trilithon.cli.echo import EchoServer


async def test_a_condition_that_never_holds_fails_with_its_reason() -> None:
    with pytest.raises(AssertionError, match=r"no luck \(waited 0.05 s, last seen: 0\)"):
        await until(lambda: 0, 0.05, "no luck")


async def test_load_counts_what_was_not_expected() -> None:
    async with backends("web") as servers:
        async with SteadyLoad(servers["web"].port, "/?fail=3", rate=2000) as load:
            await load.answered(20)
        assert sum(load.bad.values()) == 3
        assert next(iter(load.bad)).startswith("503 ")
        assert load.good >= 20


async def test_load_notices_a_backend_that_goes_away_and_returns() -> None:
    server = EchoServer("web", port=free_port())
    await server.start()
    async with SteadyLoad(server.port, rate=2000) as load:
        await load.answered(5)
        await server.stop()
        await until(lambda: load.bad)
        async with EchoServer("web", port=server.port):
            await load.answered(5)


async def test_load_stays_below_its_rate() -> None:
    async with backends("web") as servers, SteadyLoad(servers["web"].port, rate=100, connections=2) as load:
        await load.answered(30)
    assert load.good <= 40
    assert not load.bad


async def test_a_chunked_and_an_empty_answer_are_read_whole() -> None:
    async with EchoServer("web") as server, await Connection.open(server.port) as connection:
        assert (await connection.request("/a", method="HEAD")).body == b""
        assert (await connection.request("/b")).echo["path"] == "/b"


async def test_nobody_there_is_unanswered() -> None:
    for ask in (fetch, fetch_h2):
        with pytest.raises(Unanswered, match="connect"):
            await ask(free_port())


def test_a_client_trusts_only_the_authority_it_was_given() -> None:
    authority = trustme.CA()
    assert trusting(authority.cert_pem.bytes()).check_hostname
    assert not trusting().check_hostname


async def test_a_program_and_its_last_words() -> None:
    async with Command(sys.executable, "-c", "print('up', flush=True); import signal; signal.pause()") as program:
        assert await program.said("up") == "up"
        program.signal(signal.SIGTERM)
        assert await program.ended() == -signal.SIGTERM
    async with Command(sys.executable, "-c", "print('oops')") as program:
        with pytest.raises(AssertionError, match="ended without saying 'up':\noops"):
            await program.said("up")
