"""What the tests of citizenship share: one town for all of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from testcluster import Cluster
from tests.cluster.citizenship.town import Town
from tests.cluster.citizenship.town import town as made


@pytest.fixture(scope="package")
def town(cluster: Cluster) -> Iterator[Town]:
    """The town, which each test leaves as it was."""
    with made(cluster) as one:
        yield one
