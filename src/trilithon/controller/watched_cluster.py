"""A cluster as the controller's source."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing
from typing import Any

from trilithon.incremental import Edit
from trilithon.model.tables import API_VERSIONS
from trilithon.resources.problem import Problem
from trilithon.sources.kubernetes.source import KubernetesSource
from trilithon.sources.kubernetes.state import ClusterChange
from trilithon.sources.kubernetes.trouble import ClusterProblem


class WatchedCluster:
    """Its objects come as changes; what its definitions say of the API goes to ``feed`` just before them."""

    def __init__(self, cluster: KubernetesSource, feed: Callable[[Iterable[Edit[Any, Any]]], None]) -> None:
        self._cluster = cluster
        self._feed = feed
        self._changes: AsyncGenerator[ClusterChange, None] | None = None

    async def first(self) -> ClusterChange:
        """Everything, once every kind was listed."""
        self._changes = self._cluster.changes()
        return self._noted(await anext(self._changes))

    async def changes(self) -> AsyncGenerator[ClusterChange, None]:
        """Each difference; after a failure everything is listed anew, and what differs is told."""
        changes, self._changes = self._changes or self._cluster.changes(), None
        async with aclosing(changes):
            async for change in changes:
                yield self._noted(change)

    def problems(self) -> Sequence[ClusterProblem]:
        """Kinds that are not watched as they should be, and objects that cannot be read."""
        return self._cluster.problems()

    def place_of(self, problem: Problem) -> tuple[str, int] | None:
        """None: a cluster has no files."""
        return self._cluster.place_of(problem)

    def position(self, key: Any, path: str) -> tuple[str, int] | None:
        """None: a cluster has no files."""
        return self._cluster.position(key, path)

    def _noted(self, change: ClusterChange) -> ClusterChange:
        if change.api_versions:
            self._feed([Edit(API_VERSIONS, name, row) for name, row in change.api_versions.items()])
        return change
