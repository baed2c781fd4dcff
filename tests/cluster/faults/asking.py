"""One request, for tests that look whether something is served yet."""

from __future__ import annotations

import asyncio

from tests.cluster.traffic import Target
from tests.system.client import Answer, Connection, Unanswered

SECONDS = 3.0


def ask(target: Target) -> Answer | None:
    """The answer to a GET on a connection of its own; None if there is none."""
    return asyncio.run(_ask(target))


async def _ask(target: Target) -> Answer | None:
    try:
        async with (
            asyncio.timeout(SECONDS),
            await Connection.open(target.port, address=target.address) as connection,
        ):
            return await connection.get(target.path, host=target.host)
    except (Unanswered, TimeoutError):
        return None
