"""Answer the probes of a kubelet: does the process live, and can Envoys get their configuration?"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web


class HealthServer:
    """``/healthz`` is 200 while the loop runs; ``/readyz`` is 200 while ``not_ready()`` is "", else 503 with why."""

    def __init__(self, host: str, port: int, not_ready: Callable[[], str]) -> None:
        self._place = (host, port)
        self._not_ready = not_ready
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Open the port. Raises OSError."""
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        self._runner = web.AppRunner(app, handle_signals=False, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, *self._place).start()

    async def stop(self) -> None:
        """Close it."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        why = self._not_ready()
        return web.Response(text=f"{why or 'ok'}\n", status=503 if why else 200)
