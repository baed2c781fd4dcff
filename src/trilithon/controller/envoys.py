"""Where the Envoys run: as processes of this machine, or somewhere else by themselves."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Protocol

from trilithon.controller.events import EnvoyChanged, EnvoySaid, Event
from trilithon.controller.telling import failed
from trilithon.resources.meta import Key
from trilithon.sinks.envoy.envoy_process import Launch
from trilithon.sinks.envoy.processes import EnvoyProcesses
from trilithon.xds.node import node_id


class Envoys(Protocol):
    """What the controller asks of whatever runs the Envoys."""

    def admits(self, node: str) -> bool:
        """Whether the Envoy with this node id may have its Gateway's configuration."""

    async def start(self, gateway: Key) -> None:
        """The Gateway needs its Envoys from now on."""

    def end(self, gateway: Key) -> None:
        """The Gateway needs them no longer."""

    async def stop(self) -> None:
        """The controller ends."""


class LocalEnvoys:
    """One child process for each Gateway; it ends with this process. ``tell`` gets the events of all of them."""

    def __init__(self, launch: Launch, tell: Callable[[Event], None]) -> None:
        self._tell = tell
        self._serials = itertools.count(1)
        # The node id of each Gateway's Envoy. One that still drains has an older id, and gets nothing any more.
        self._nodes: dict[Key, str] = {}
        self._endings: set[asyncio.Task[None]] = set()
        self._processes = EnvoyProcesses(
            launch,
            on_state=lambda gateway, event: tell(EnvoyChanged(gateway, event)),
            on_log=lambda gateway, level, text: tell(EnvoySaid(gateway, level, text)),
        )

    def admits(self, node: str) -> bool:
        """Whether it is one that we started and still want."""
        return node in self._nodes.values()

    async def start(self, gateway: Key) -> None:
        """Start the Gateway's Envoy; it is started again whenever it dies."""
        node = node_id(gateway.namespace, gateway.name, f"local-{next(self._serials)}")
        self._nodes[gateway] = node
        await self._processes.ensure(gateway, node)

    def end(self, gateway: Key) -> None:
        """Drain the Gateway's Envoy and end it, while everything else goes on."""
        del self._nodes[gateway]
        ending = asyncio.create_task(self._processes.remove(gateway), name=f"end {gateway}")
        # The loop alone would hold it weakly.
        self._endings.add(ending)
        ending.add_done_callback(self._ended)

    async def stop(self) -> None:
        """Drain and end all of them."""
        await self._processes.stop()

    def _ended(self, ending: asyncio.Task[None]) -> None:
        self._endings.discard(ending)
        error = None if ending.cancelled() else ending.exception()
        if error is not None:
            self._tell(failed("ending an Envoy", error))


class RemoteEnvoys:
    """Envoys that others start and end; each shows by its certificate which Gateway it serves.

    ``is_stale``: what is known here is old, and another replica knows better.
    """

    def __init__(self, is_stale: Callable[[], bool] = lambda: False) -> None:
        self._is_stale = is_stale

    def admits(self, node: str) -> bool:
        """Whoever got in is served, the server having compared the node id with the certificate; but not old news."""
        return not self._is_stale()

    async def start(self, gateway: Key) -> None:
        """They come when they run."""

    def end(self, gateway: Key) -> None:
        """They go with the Gateway's Deployment."""

    async def stop(self) -> None:
        """They serve on with what they have."""
