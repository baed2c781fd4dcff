"""The status writer asks an API server only while it leads, only about its own version, and says once what is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from tests.sinks.recording_api import Answer, Asked, RecordingApi, refusal
from tests.sinks.statuses import OURS, Object, condition, parent, stored
from trilithon.kube.client import Client
from trilithon.kube.objects import ApiKind, ObjectPath
from trilithon.model.stored import Stored
from trilithon.resources.meta import Key
from trilithon.sinks.objects.status_writer import StatusWriter

ROUTES = ApiKind("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes")


def key(name: str = "cart") -> Key:
    return Key("HTTPRoute", "shop", name)


def held(name: str = "cart", *, generation: int = 1, version: int = 1, status: bytes = b"") -> Stored:
    """A route as the API server holds it."""
    return Stored(ObjectPath(ROUTES, name, "shop"), name, str(version), generation, (), status)


def wanted(generation: int = 1, message: str = "taken") -> Object:
    return {"parents": [parent(None, condition("Accepted", generation=generation, message=message))]}


def kept(asked: Asked) -> Answer:
    """What an API server answers that takes everything."""
    name = asked.path.split("/")[-2]
    return 200, {"metadata": {"uid": name, "resourceVersion": "100"}, "status": asked.body["status"]}


class World:
    """A writer, and what the API server was asked."""

    def __init__(self, api: RecordingApi, client: Client) -> None:
        self.api = api
        api.answer = kept
        self.is_leading = True
        self.told: asyncio.Queue[str] = asyncio.Queue()
        self.writer = StatusWriter(client, OURS, lambda: self.is_leading, self.told.put_nowait)

    def want(self, name: str, generation: int = 1, message: str = "taken") -> None:
        self.writer.want(key(name), partial(wanted, generation, message))

    async def names(self, count: int) -> list[str]:
        """The routes whose statuses were written, once there were so many writes."""
        await self.api.bodies(count)
        return [asked.path.split("/")[-2] for asked in self.api.asked]


@asynccontextmanager
async def writing() -> AsyncIterator[World]:
    api = RecordingApi()
    async with api.client() as client:
        world = World(api, client)
        running = asyncio.create_task(world.writer.run())
        yield world
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_the_status_is_merged_into_the_version_that_was_seen() -> None:
    async with writing() as world:
        world.writer.stored(key(), held(version=7))
        world.want("cart")
        (body,) = await world.api.bodies(1)
    assert world.api.asked[0].method == "PATCH"
    assert world.api.asked[0].path == "/apis/gateway.networking.k8s.io/v1/namespaces/shop/httproutes/cart/status"
    assert body["metadata"] == {"resourceVersion": "7"}
    assert [entry["controllerName"] for entry in body["status"]["parents"]] == [OURS]


async def test_nothing_is_written_while_another_leads() -> None:
    async with writing() as world:
        world.is_leading = False
        world.writer.stored(key("one"), held("one"))
        world.want("one")
        await asyncio.sleep(0)
        world.writer.stored(key("two"), held("two", status=stored(wanted())))
        world.want("two")
        await asyncio.sleep(0)
        assert world.api.asked == []
        world.is_leading = True
        world.writer.lead()
        assert await world.names(1) == ["one"]


async def test_whoever_stops_leading_sends_no_more() -> None:
    async with writing() as world:

        def last(asked: Asked) -> Answer:
            world.is_leading = False
            return kept(asked)

        world.api.answer = last
        names = [str(number) for number in range(100)]
        for name in names:
            world.writer.stored(key(name), held(name))
            world.want(name)
        await world.api.bodies(1)
        world.api.answer = kept
        world.is_leading = True
        world.writer.lead()
        # Each once: those that were under way, and the rest when leading began again.
        assert sorted(await world.names(100)) == sorted(names)


async def test_another_generation_is_waited_for() -> None:
    async with writing() as world:
        world.writer.stored(key("newer"), held("newer", generation=2))
        world.want("newer", generation=1)
        world.writer.stored(key("recreated"), held("recreated", generation=1))
        world.want("recreated", generation=5)
        world.writer.stored(key("right"), held("right", generation=3))
        world.want("right", generation=3)
        assert await world.names(1) == ["right"]
        world.want("newer", generation=2)
        assert await world.names(2) == ["right", "newer"]


async def test_a_status_that_changes_before_it_is_written_is_rendered_once() -> None:
    rendered = []

    def render(message: str) -> Object:
        rendered.append(message)
        return wanted(message=message)

    async with writing() as world:
        world.writer.stored(key(), held())
        for message in ("first", "second", "third"):
            world.writer.want(key(), partial(render, message))
        await world.api.bodies(1)
    assert rendered == ["third"]


async def test_a_trouble_is_told_once_and_so_is_its_end() -> None:
    async with writing() as world:
        world.api.answer = lambda _: refusal(403, "Forbidden")
        for name in ("one", "two"):
            world.writer.stored(key(name), held(name))
            world.want(name)
        async with asyncio.timeout(30):
            told = [await world.told.get()]
            await world.api.bodies(2)
            world.api.answer = kept
            while told[-1]:
                told.append(await world.told.get())
    assert told[0] == "HTTPRoute shop/one: 403 Forbidden: forbidden"
    # The other route's trouble may outlast the first one's.
    assert told[1:] in ([""], ["HTTPRoute shop/two: 403 Forbidden: forbidden", ""])
