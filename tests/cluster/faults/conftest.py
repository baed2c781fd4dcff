"""What the tests of faults share: one world for each module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from testcluster import Cluster
from tests.cluster.faults.world import World
from tests.cluster.faults.world import world as made


@pytest.fixture(scope="module")
def world(cluster: Cluster) -> Iterator[World]:
    """The world, which each test leaves as it was but for what routes lead to."""
    with made(cluster) as one:
        yield one
