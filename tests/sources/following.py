"""Follow a cluster as a controller does, and remember what was told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

from trilithon.kube.config import Config
from trilithon.kube.credentials import Credential, FixedCredentials
from trilithon.kube.transport import Transport
from trilithon.model.api_version import ApiVersion
from trilithon.model.stored import Stored
from trilithon.resources.meta import Key
from trilithon.sources.kubernetes.guard import HOLD_SECONDS
from trilithon.sources.kubernetes.kinds import Scope
from trilithon.sources.kubernetes.source import KubernetesSource
from trilithon.sources.kubernetes.state import ClusterChange

PATIENCE_SECONDS = 30.0
EVERYWHERE = Scope()


class Following:
    """What a source has told so far: ``rows`` by key, every change, every stored state."""

    def __init__(self) -> None:
        self.rows: dict[Key, Any] = {}
        self.versions: dict[str, ApiVersion] = {}
        self.changes: list[ClusterChange] = []
        self.stored: dict[Key, Stored] = {}
        # The same for who takes nothing that seems older than what is known.
        self.believed: dict[Key, Stored] = {}
        self.stored_log: list[Key] = []
        self.troubles: list[str] = []
        self.source: KubernetesSource
        self._news = asyncio.Condition()
        self._task: asyncio.Task[None]
        self._is_first = True

    def names(self, kind: str) -> set[str]:
        """The objects of a kind, as ``namespace/name``."""
        return {key.path for key in self.rows if key.kind == kind}

    def problems(self) -> str:
        """What the source says is wrong, as text."""
        return "\n".join(str(each.problem) for each in self.source.problems())

    def start(self) -> None:
        """Begin to follow, or begin anew."""
        self._is_first = True
        self._task = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """Follow no longer."""
        self._task.cancel()
        (ending,) = await asyncio.gather(self._task, return_exceptions=True)
        assert isinstance(ending, asyncio.CancelledError), ending

    async def _follow(self) -> None:
        async with aclosing(self.source.changes()) as changes:
            async for change in changes:
                self._take(change)
                async with self._news:
                    self._news.notify_all()

    def _take(self, change: ClusterChange) -> None:
        for key, row in change.upserts.items():
            assert row.key == key
            assert self._is_first or self.rows.get(key) != row, "only differences are told"
        self.rows.update(change.upserts)
        for key in change.removals:
            self.rows.pop(key, None)
        for name, version in change.api_versions.items():
            if version is None:
                del self.versions[name]
            else:
                self.versions[name] = version
        self.changes.append(change)
        self._is_first = False

    def on_stored(self, key: Key, stored: Stored | None) -> None:
        """What the source says of stored objects."""
        self.stored_log.append(key)
        if stored is None or stored.is_doubtful:
            assert stored is None or key in self.stored, "what was never told is not doubtful"
            self.stored.pop(key, None)
            self.believed.pop(key, None)
            return
        self.stored[key] = stored
        known = self.believed.get(key)
        if known is None or known.uid != stored.uid or int(known.resource_version) < int(stored.resource_version):
            self.believed[key] = stored

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until something is so; whatever is told, and time, may make it so."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not is_so():
                try:
                    async with asyncio.timeout(0.02), self._news:
                        await self._news.wait()
                except TimeoutError:
                    continue

    async def first(self) -> None:
        """Wait for the first state."""
        await self.until(lambda: bool(self.changes))


@asynccontextmanager
async def connected(
    config: Config, scope: Scope = EVERYWHERE, hold_seconds: float = HOLD_SECONDS
) -> AsyncIterator[Following]:
    """A source that is followed."""
    followed = Following()
    async with Transport(config) as transport:
        followed.source = KubernetesSource(transport, scope, followed.on_stored, followed.troubles.append, hold_seconds)
        followed.start()
        try:
            yield followed
        finally:
            await followed.stop()


def following(address: str, scope: Scope = EVERYWHERE, hold_seconds: float = HOLD_SECONDS) -> Any:
    """The same, of an API server that asks for nothing."""
    return connected(Config(server=address, credentials=FixedCredentials(Credential())), scope, hold_seconds)
