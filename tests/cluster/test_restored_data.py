"""etcd is restored from an old copy: all becomes as with a controller that has just begun."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from testcluster import Cluster
from tests.cluster.applying import ALL, Applying, gateway, gateway_class
from tests.cluster.status_writing import OURS, Controller, route, said, until

ROUTES = tuple(f"route-{number}" for number in range(20))
REVISIONS = 1000


@pytest.fixture
def applying(cluster: Cluster, namespace: str) -> Iterator[Applying]:
    """An applier whose Gateway and class are stored."""
    cluster.apply(gateway_class(namespace), gateway(namespace))
    yield Applying(cluster, namespace)
    cluster.delete(gateway_class(namespace))
    # Whoever comes after finds a cluster whose parts have all recovered.
    cluster.settle()


def _pass_revisions(cluster: Cluster, namespace: str) -> None:
    """A copy is older than a few seconds: an API server that starts writes some objects, and must not catch up."""
    clock = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "clock"}}
    cluster.apply(clock, namespace=namespace)
    for number in range(REVISIONS):
        cluster.api.merge(f"/api/v1/namespaces/{namespace}/configmaps/clock", {"data": {"at": str(number)}})


@asynccontextmanager
async def _undone(cluster: Cluster) -> AsyncIterator[None]:
    changes = cluster.undone()
    await asyncio.to_thread(changes.__enter__)
    try:
        yield
    finally:
        await asyncio.to_thread(changes.__exit__, None, None, None)


async def test_statuses_and_generated_objects_are_as_wanted_again(
    cluster: Cluster, namespace: str, applying: Applying
) -> None:
    cluster.apply(*map(route, ROUTES), namespace=namespace)
    ours = Controller(cluster, OURS, "first")

    def ports() -> list[int]:
        return sorted(port["port"] for each in applying.objects("Service") for port in each["spec"]["ports"])

    def show(*numbers: int) -> None:
        applying.show(gateway_class(namespace), gateway(namespace, *numbers))

    async def written(message: str, *numbers: int) -> None:
        wanted = {(name, OURS, message) for name in ROUTES}
        await until(f"statuses that say {message}", lambda: said(cluster, namespace) == wanted)
        await until(f"{numbers}", lambda: ports() == [*numbers] and applying.kinds() >= set(ALL))

    async with applying.running(), ours.running(namespace):
        show(80)
        await written("first", 80)
        async with _undone(cluster):
            show(80, 81)
            ours.say("second")
            await written("second", 80, 81)
            await asyncio.to_thread(_pass_revisions, cluster, namespace)
        # Nobody wants anything new: that what is stored is old must be noticed.
        await written("second", 80, 81)
        show(80, 81, 82)
        ours.say("third")
        await written("third", 80, 81, 82)
    assert ours.troubles[-1:] in ([], [""])
