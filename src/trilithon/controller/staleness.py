"""Give way where another replica knows better: an Envoy that reconnects must not get the state of an hour ago."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from trilithon.incremental import Changes, Engine

LOOK_SECONDS = 5.0
# A short outage is no reason to move anybody.
PATIENT_LOOKS = 2


class Staleness:
    """``is_current`` and ``is_any_current`` say whether this replica, and any other, reaches the API server.

    Where this one does not and another does, it is not ready, and ``release`` is called, again and again, to let its
    Envoys connect elsewhere. Where nobody does, all of them serve on with what they know.
    """

    def __init__(
        self, is_current: Callable[[], bool], is_any_current: Callable[[], bool], release: Callable[[], None]
    ) -> None:
        self._is_current = is_current
        self._is_any_current = is_any_current
        self._release = release
        self._looks = 0

    @property
    def is_stale(self) -> bool:
        """Whether Envoys are better off elsewhere, for longer than a moment."""
        return self._looks >= PATIENT_LOOKS

    def settled(self, engine: Engine, changes: Changes) -> None:
        """Nothing of it matters here."""

    def look(self) -> None:
        """See how it is now; called every few seconds."""
        self._looks = self._looks + 1 if not self._is_current() and self._is_any_current() else 0
        if self.is_stale:
            self._release()

    async def run(self) -> None:
        """Look, for ever."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.look()
