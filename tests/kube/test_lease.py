"""Who leads: one at a time, soon after the last one is gone, whatever clocks say."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from trilithon.kube import lease_state
from trilithon.kube.client import Client
from trilithon.kube.config import Config
from trilithon.kube.credentials import Credential, FixedCredentials
from trilithon.kube.lease import LEASES, Leadership
from trilithon.kube.lease_state import DURATION_SECONDS, Held, LeaseState, Take, Wait
from trilithon.kube.objects import ObjectPath
from trilithon.kube.transport import Transport


def test_a_free_lease_is_taken_at_once() -> None:
    state = LeaseState("me")
    state.saw(Held(), 0)
    assert state.next(0) == Take(Held())
    state.took(Held("me", version="1"), sent_at=0, now=1)
    assert state.leads(7.9)
    assert not state.leads(8), "leading counts from when the renewal was sent"


def test_anothers_lease_is_taken_when_it_was_not_seen_to_change_for_its_duration() -> None:
    state = LeaseState("me")
    state.saw(Held("other", 12, "1"), 100)
    state.saw(Held("other", 12, "2"), 105)
    state.saw(Held("other", 12, "2"), 116)
    assert isinstance(state.next(116.9), Wait)
    assert state.next(117) == Take(Held("other", 12, "2"))


def test_who_sees_another_in_the_lease_leads_no_more() -> None:
    state = LeaseState("me")
    state.took(Held("me", version="1"), sent_at=0, now=0)
    state.saw(Held("other", version="2"), 1)
    assert not state.leads(1)


@given(st.integers(0, 2**32))
def test_never_two_lead_and_never_for_long_nobody(seed: int) -> None:
    """Candidates that are slow, stopped, cut off or killed, on one Lease that refuses stale writes."""
    dice = random.Random(seed)
    stored, version = Held(), 0
    names = ["a", "b", "c"]
    states = {name: LeaseState(name, random.Random(seed)) for name in names}
    awake_at = dict.fromkeys(names, 0.0)
    nobody_since, now = 0.0, 0.0
    while now < 300:
        now += 0.25
        for name in names:
            state = states[name]
            if now < awake_at[name]:
                continue
            if dice.random() < 0.01:
                # Stopped for a while, or killed and replaced by another of the same speed.
                awake_at[name] = now + dice.uniform(0, 40)
                continue
            state.saw(stored, now)
            step = state.next(now)
            if isinstance(step, Wait):
                awake_at[name] = now + step.seconds
                continue
            sent_at = now - dice.uniform(0, 3)
            if step.seen.version == stored.version:
                version += 1
                stored = Held(name, DURATION_SECONDS, str(version))
                if dice.random() < 0.9:
                    state.took(stored, sent_at, now)
            awake_at[name] = now + state.pause()
        leaders = [name for name in names if states[name].leads(now)]
        assert len(leaders) <= 1
        if leaders or any(now < at - 5 for at in awake_at.values()):
            nobody_since = now
        assert now - nobody_since <= 20


class LeaseServer:
    """Keeps one Lease; refuses stale versions."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.version = 0
        self.is_away = False
        self.holders: list[str] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if self.is_away:
            return web.Response(status=503)
        body = msgspec.json.decode(await request.read()) if request.can_read_body else {}
        if request.method == "POST":
            if self.lease is not None:
                return web.Response(status=409)
            self.lease = body
        elif self.lease is None:
            return web.Response(status=404)
        elif request.method == "PATCH":
            if body["metadata"]["resourceVersion"] != str(self.version):
                return web.Response(status=409)
            self.lease["spec"] = {**self.lease["spec"], **body["spec"]}
        if request.method != "GET":
            self.version += 1
            self.lease["metadata"]["resourceVersion"] = str(self.version)
            self.holders.append(self.lease["spec"]["holderIdentity"])
        return web.json_response(self.lease)


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[LeaseServer, Transport]]:
    server = LeaseServer()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    config = Config(server=f"http://127.0.0.1:{runner.addresses[0][1]}", credentials=FixedCredentials(Credential()))
    try:
        async with Transport(config) as transport:
            yield server, transport
    finally:
        await runner.cleanup()


class Candidate:
    """One replica that takes part."""

    def __init__(self, transport: Transport, identity: str) -> None:
        self.changes: asyncio.Queue[bool] = asyncio.Queue()
        path = ObjectPath(LEASES, "trilithon", "infra")
        self.leadership = Leadership(Client(transport, 1), path, identity, self.changes.put_nowait)
        self._running = asyncio.create_task(self.leadership.run())

    async def leads(self) -> bool:
        """The next change."""
        async with asyncio.timeout(30):
            return await self.changes.get()

    async def stop(self) -> None:
        """As on SIGTERM."""
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_state, "GIVE_UP_SECONDS", 2.0)
    monkeypatch.setattr(lease_state, "RETRY_SECONDS", 0.1)


async def test_who_stops_gives_the_lease_to_the_next(quick: None) -> None:
    async with serving() as (server, transport):
        one = Candidate(transport, "one")
        assert await one.leads()
        two = Candidate(transport, "two")
        await one.stop()
        assert not one.leadership.leads
        assert await two.leads(), "long before the duration of 12 s is over"
        assert two.leadership.holder == "two"
        assert server.lease is not None
        assert server.lease["spec"]["leaseTransitions"] == 1
        await two.stop()
        assert server.lease["spec"]["holderIdentity"] is None


async def test_who_cannot_renew_stops_leading_in_time_and_leads_again_later(quick: None) -> None:
    async with serving() as (server, transport):
        one = Candidate(transport, "one")
        assert await one.leads()
        server.is_away = True
        assert not await one.leads()
        assert one.leadership.trouble
        server.is_away = False
        assert await one.leads()
        await one.stop()


async def test_who_finds_another_in_the_lease_stops_leading(quick: None) -> None:
    async with serving() as (server, transport):
        one = Candidate(transport, "one")
        assert await one.leads()
        assert server.lease is not None
        server.version += 1
        server.lease["spec"]["holderIdentity"] = "usurper"
        server.lease["metadata"]["resourceVersion"] = str(server.version)
        assert not await one.leads()
        assert one.leadership.holder == "usurper"
        await one.stop()
        assert server.lease["spec"]["holderIdentity"] == "usurper", "only what is ours is given back"
