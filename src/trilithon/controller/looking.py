"""Build the overview of a running process while everything else goes on."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from trilithon.incremental import Engine
from trilithon.inspect.check import problems_without_hints
from trilithon.inspect.hints import with_hint
from trilithon.inspect.overview import (
    EnvoyView,
    GatewayView,
    Overview,
    ProblemView,
    RouteView,
    gateway_view,
    problem_view,
    route_view,
)
from trilithon.model.settings import Settings
from trilithon.model.tables import LISTENERS
from trilithon.resources.meta import Key
from trilithon.resources.problem import Problem
from trilithon.status.route import ROUTE_STATUS

T = TypeVar("T")
V = TypeVar("V")
Position = Callable[[Problem], tuple[str | None, int | None]]

SLICE_SECONDS = 0.005


class Looking:
    """Looks at an engine in slices, each while it rests.

    resting: held while the engine settles. So every object is shown as it was at one moment between two settles, though
    not all objects at the same one.
    """

    def __init__(self, engine: Engine, settings: Settings, resting: asyncio.Lock, position: Position) -> None:
        self._engine = engine
        self._settings = settings
        self._resting = resting
        self._position = position

    async def overview(
        self, in_source: Iterable[Problem], envoys: Mapping[str, EnvoyView], paths: tuple[str, ...], pid: int
    ) -> Overview:
        """The state of everything now; ``in_source`` are the problems of the source itself."""
        async with self._resting:
            gateways = sorted(self._engine.rows(LISTENERS))
            routes = sorted(self._engine.rows(ROUTE_STATUS))
            problems = [*in_source, *problems_without_hints(self._engine)]

        def gateway(key: Key) -> GatewayView | None:
            return gateway_view(self._engine, self._settings, key, envoys.get(key.path))

        def route(key: Key) -> RouteView | None:
            return route_view(self._engine, key)

        return Overview(
            gateways=await self._each(gateway, gateways),
            routes=await self._each(route, routes),
            problems=await self._each(self._problem, problems),
            paths=paths,
            pid=pid,
        )

    def _problem(self, problem: Problem) -> ProblemView:
        return problem_view(with_hint(self._engine, problem), *self._position(problem))

    async def _each(self, view: Callable[[T], V | None], items: Iterable[T]) -> tuple[V, ...]:
        made: list[V] = []
        waiting = deque(items)
        while waiting:
            async with self._resting:
                slice_ends = time.monotonic() + SLICE_SECONDS
                while waiting and time.monotonic() < slice_ends:
                    found = view(waiting.popleft())
                    if found is not None:
                        made.append(found)
            # A lock that nobody else wants is taken without a turn for others.
            await asyncio.sleep(0)
        return tuple(made)
