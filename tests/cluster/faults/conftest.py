"""What the tests of faults share: one world, which takes half a minute to make."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from testcluster import Cluster
from tests.cluster.faults.world import World
from tests.cluster.faults.world import world as made


@pytest.fixture(scope="package")
def standing(cluster: Cluster) -> Iterator[World]:
    """The world, which each test leaves as it was but for where some routes of its own lead."""
    with made(cluster) as one:
        yield one
        # Whoever comes after finds a cluster whose parts have all recovered.
        cluster.settle()


@pytest.fixture
def world(standing: World) -> World:
    """The world, recovered from what tests before did, so that whatever happens is for what this one does."""
    standing.wait_recovered()
    return standing
