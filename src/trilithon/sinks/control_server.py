"""Answer questions about the live process over a unix socket of its private folder."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web


class ControlServer:
    """``GET /status`` answers what ``view`` returns: JSON bytes, made when asked, without holding up the loop."""

    def __init__(self, socket: Path, view: Callable[[], Awaitable[bytes]]) -> None:
        self._socket = socket
        self._view = view
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen. Raises OSError."""
        app = web.Application()
        app.router.add_get("/status", self._status)
        # Signals are the controller's.
        self._runner = web.AppRunner(app, handle_signals=False, access_log=None)
        await self._runner.setup()
        await web.UnixSite(self._runner, str(self._socket)).start()
        self._socket.chmod(0o600)

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _status(self, _request: web.Request) -> web.Response:
        return web.Response(body=await self._view(), content_type="application/json")
