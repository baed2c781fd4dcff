"""What the tests of faults share: one world, which takes half a minute to make."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from testcluster import Cluster
from tests.cluster.faults.world import World
from tests.cluster.faults.world import world as made


@pytest.fixture(scope="package")
def world(cluster: Cluster) -> Iterator[World]:
    """The world, which each test leaves as it was but for where some routes of its own lead."""
    with made(cluster) as one:
        yield one
        # Whoever comes after finds a cluster whose parts have all recovered.
        cluster.settle()
