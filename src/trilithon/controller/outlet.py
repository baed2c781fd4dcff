"""Where results go besides the Envoys: statuses and objects of a cluster, for example."""

from __future__ import annotations

from typing import Protocol

from trilithon.incremental import Changes, Engine


class Outlet(Protocol):
    """Learns of every settle, and acts in a task of its own."""

    def settled(self, engine: Engine, changes: Changes) -> None:
        """Take note of what changed; called between settles, after the Envoys were sent theirs. Must not wait."""

    async def run(self) -> None:
        """Act on it, until cancelled."""
