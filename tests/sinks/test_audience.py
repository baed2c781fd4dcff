"""Whatever the Envoys of a Gateway do, and in whatever order: what is told of them is what all their sessions say."""

from __future__ import annotations

import asyncio
import random

import pytest
from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest

from tests.sinks.test_security_port import asks
from trilithon.model.proxy import Acked, Proxy, together
from trilithon.sinks.delivery.audience import Audience
from trilithon.sinks.delivery.session import Session
from trilithon.sinks.delivery.stream import Stream
from trilithon.xds.node import node_id
from trilithon.xds.resource import CLUSTER, LISTENER, SECRET, XdsResource

GATEWAY = "infra/edge"


class Stage:
    """An audience, its Envoys, and what it told."""

    def __init__(self) -> None:
        self.proxies: list[Proxy] = []
        self.applied: list[int] = []
        self.audience = Audience(
            GATEWAY,
            self.proxies.append,
            lambda _gateway, revision, _seconds: self.applied.append(revision),
            lambda _: None,
        )
        self.streams: list[Stream] = []
        self.revision = 0

    def publish(self, listeners: int, content: str, secrets: int = 0) -> None:
        self.revision += 1
        wanted = [XdsResource.of(LISTENER, f"l{index}", (content.encode(),)) for index in range(listeners)]
        wanted += [XdsResource.of(SECRET, f"s{index}", (content.encode(),)) for index in range(secrets)]
        gone = [key for key in self.audience.resources if key[0] == LISTENER]
        self.audience.publish([XdsResource.of(CLUSTER, "c", (content.encode(),)), *wanted], gone, self.revision)

    def connect(self) -> Stream:
        stream = Stream(node_id("infra", "edge", str(len(self.streams))), 30.0, self.audience.heard)
        self.audience.join(stream, asks(stream.node, CLUSTER))
        self.streams.append(stream)
        self.say(stream, LISTENER)
        self.say(stream, SECRET, "s0", "s1")
        return stream

    def say(self, stream: Stream, type_url: str, *names: str) -> None:
        request = DeltaDiscoveryRequest(type_url=type_url, resource_names_subscribe=names)
        self.audience.receive(stream, request.SerializeToString())

    def answer(self, stream: Stream, *, takes: bool = True) -> bool:
        """Let an Envoy answer what it got first, if it did."""
        # Written by nobody here.
        if stream._outbox.empty():
            return False
        response = stream._outbox.get_nowait()
        assert response is not None
        assert not isinstance(response, Exception)
        request = DeltaDiscoveryRequest(type_url=response.type_url, response_nonce=response.nonce)
        if not takes:
            request.error_detail.message = "no"
        self.audience.receive(stream, request.SerializeToString())
        return True

    def leave(self, stream: Stream) -> None:
        self.streams.remove(stream)
        stream.close()
        self.audience.leave(stream)

    def said(self) -> Proxy:
        """What all sessions say, made anew."""
        return together(
            GATEWAY,
            [
                Proxy(GATEWAY, 1, tuple(frozenset[Acked]().union(*each.session.acked())), each.session.rejected())
                for each in self.streams
            ],
        )


@pytest.mark.parametrize("seed", range(30))
async def test_what_is_told_is_what_all_sessions_say(seed: int) -> None:
    chance = random.Random(seed)
    stage = Stage()
    told = Proxy(GATEWAY)
    for _ in range(150):
        match chance.randrange(12) if stage.streams else chance.randrange(2):
            case 0:
                stage.publish(chance.randrange(4), str(chance.randrange(3)), chance.randrange(3))
            case 1:
                stage.connect()
            case 2:
                stage.leave(chance.choice(stage.streams))
            case _:
                stage.answer(chance.choice(stage.streams), takes=chance.random() < 0.9)
        if chance.random() < 0.7:
            count = len(stage.proxies)
            await asyncio.sleep(0)
            assert len(stage.proxies) - count <= 1
            told = stage.proxies[-1] if stage.proxies else told
            assert told == stage.said()
            assert stage.applied == sorted(set(stage.applied))
    for stream in tuple(stage.streams):
        stage.leave(stream)
    await asyncio.sleep(0)
    assert (stage.proxies or [told])[-1] == Proxy(GATEWAY)


async def test_an_answer_costs_its_own_stream_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage()
    stage.publish(3, "a", 2)
    for _ in range(20):
        stream = stage.connect()
        while stage.answer(stream):
            continue
    await asyncio.sleep(0)
    stage.publish(3, "b", 2)
    await asyncio.sleep(0)
    looked_at: list[Session] = []
    acked = Session.acked

    def counted(self: Session) -> tuple[frozenset[Acked], ...]:
        looked_at.append(self)
        return acked(self)

    monkeypatch.setattr(Session, "acked", counted)
    for stream in stage.streams:
        while stage.answer(stream):
            # Not in the turn.
            assert not looked_at
            await asyncio.sleep(0)
            assert looked_at == [stream.session]
            looked_at.clear()
    assert stage.applied[-1] == stage.revision


async def test_nothing_is_told_of_an_audience_that_is_closed() -> None:
    stage = Stage()
    stage.publish(1, "a")
    stream = stage.connect()
    await asyncio.sleep(0)
    stage.proxies.clear()
    stage.audience.close()
    stage.answer(stream)
    stage.leave(stream)
    await asyncio.sleep(0)
    assert not stage.proxies
