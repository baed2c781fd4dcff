"""Readings of what is named: fair between namespaces, never more at once than set, and forgotten when let go."""

from __future__ import annotations

import asyncio
import gc

import msgspec
import pytest

from trilithon.kube.backoff import FIRST_SECONDS
from trilithon.kube.config import Config
from trilithon.kube.credentials import Credential, FixedCredentials
from trilithon.kube.errors import ApiError
from trilithon.kube.transport import Request, Transport
from trilithon.resources.meta import Key
from trilithon.sources.kubernetes.reads import CONCURRENCY, NamedReads

MINE = Key("Secret", "mine", "cert")


class Api(Transport):
    """Answers each request after a moment, in memory; remembers what was asked, and how many at once."""

    def __init__(self) -> None:
        super().__init__(Config(server="http://nowhere.test", credentials=FixedCredentials(Credential())))
        self.asked: list[str] = []
        self.was_asked = asyncio.Event()
        self.version = 1
        self.at_once = self.most = 0
        self.refuses = False
        self.goes_on = asyncio.Event()
        self.goes_on.set()

    async def fetch(self, request: Request) -> bytes:
        self.asked.append(request.path)
        self.was_asked.set()
        version = self.version
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            await asyncio.sleep(0)
            await self.goes_on.wait()
        finally:
            self.at_once -= 1
        if self.refuses:
            raise ApiError(429, "TooManyRequests", "later")
        return msgspec.json.encode({"metadata": {"name": "x", "resourceVersion": str(version)}})


class Heard:
    """What came of reading."""

    def __init__(self) -> None:
        self.read: list[Key] = []
        self.failed: list[Key] = []
        self._news = asyncio.Event()

    def was_read(self, key: Key, written: bytes | None) -> None:
        self.read.append(key)
        self._news.set()

    def was_not_read(self, key: Key, reason: str, *, is_forbidden: bool = False) -> None:
        self.failed.append(key)
        self._news.set()

    async def of(self, key: Key) -> None:
        async with asyncio.timeout(10):
            while key not in self.read and key not in self.failed:
                self._news.clear()
                await self._news.wait()


async def test_a_namespace_that_names_thousands_keeps_no_other_waiting() -> None:
    api, heard = Api(), Heard()
    reads = NamedReads(api, heard, lambda _key: True)
    for index in range(4000):
        reads.read(Key("Secret", "greedy", f"s{index}"), "greedy")
    reads.read(MINE, "mine")
    tasks = sum(1 for each in gc.get_objects() if isinstance(each, asyncio.Task) and not each.done())
    await heard.of(MINE)
    assert len(heard.read) <= 3 * CONCURRENCY
    assert api.most == CONCURRENCY
    assert tasks <= CONCURRENCY + 10
    await reads.close()


async def test_who_names_what_is_elsewhere_waits_in_its_own_line() -> None:
    api, heard = Api(), Heard()
    reads = NamedReads(api, heard, lambda _key: True)
    for index in range(1000):
        reads.read(Key("Secret", "mine", f"foreign{index}"), "greedy")
    reads.read(MINE, "mine")
    await heard.of(MINE)
    assert len(heard.read) <= 3 * CONCURRENCY
    await reads.close()


async def test_what_was_let_go_is_read_anew_when_it_is_named_again() -> None:
    api, heard, wanted = Api(), Heard(), {MINE}
    reads = NamedReads(api, heard, wanted.__contains__)
    reads.changed(MINE, "1")
    await heard.of(MINE)
    reads.changed(MINE, "1")
    assert len(api.asked) == 1, "that was read already"
    wanted.clear()
    reads.let_go(MINE)
    wanted.add(MINE)
    heard.read.clear()
    reads.changed(MINE, "1")
    await heard.of(MINE)
    assert len(api.asked) == 2
    await reads.close()


async def test_what_changes_while_it_is_read_is_read_again() -> None:
    api, heard = Api(), Heard()
    reads = NamedReads(api, heard, lambda _key: True)
    api.goes_on.clear()
    reads.read(MINE, "mine")
    await api.was_asked.wait()
    api.version = 2
    reads.changed(MINE, "2")
    api.goes_on.set()
    await heard.of(MINE)
    assert (heard.read, len(api.asked)) == ([MINE], 2), "what the first brought is older than what is known"
    await reads.close()


async def test_what_failed_is_tried_again_and_sooner_when_it_changes() -> None:
    api, heard = Api(), Heard()
    reads = NamedReads(api, heard, lambda _key: True)
    api.refuses = True
    reads.read(MINE, "mine")
    await heard.of(MINE)
    api.refuses = False
    heard.failed.clear()
    reads.changed(MINE, "1")
    await heard.of(MINE)
    assert heard.read == [MINE]
    await reads.close()


async def test_what_failed_and_was_let_go_is_not_tried_again() -> None:
    api, heard, wanted = Api(), Heard(), {MINE}
    reads = NamedReads(api, heard, wanted.__contains__)
    api.refuses = True
    reads.read(MINE, "mine")
    await heard.of(MINE)
    wanted.clear()
    reads.let_go(MINE)
    api.was_asked.clear()
    with pytest.raises(TimeoutError):
        # Longer than the first pause.
        await asyncio.wait_for(api.was_asked.wait(), FIRST_SECONDS + 0.1)
    await reads.close()
