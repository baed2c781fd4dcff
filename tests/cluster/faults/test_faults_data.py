"""The API server comes back without its data, and gets it back: who is served notices neither."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from testcluster import Cluster
from tests.cluster.fault_proxy import FaultProxy
from tests.cluster.faults.local import Local
from tests.cluster.faults.objects import GATEWAY_API
from tests.cluster.faults.world import fresh_namespace

pytestmark = pytest.mark.timeout(300)

EMPTY_SECONDS = 40.0
"""Longer than a Lease lasts, and than what is held waits for the next list."""


@pytest.fixture
def local(cluster: Cluster, tmp_path: Path) -> Iterator[Local]:
    """A controller with everything served."""
    name = f"faults-{secrets.token_hex(3)}"
    with FaultProxy(cluster) as proxy, fresh_namespace(cluster, name), Local(cluster, name, proxy, tmp_path) as one:
        one.wait_served()
        yield one
        # Whoever comes after finds a cluster whose parts have all recovered.
        cluster.settle()


def test_an_api_server_that_lost_its_data_is_missed_by_nobody(cluster: Cluster, local: Local) -> None:
    """What vanished is held and told, and nobody writes about it; then there it is again, and is followed."""
    with local.traffic() as traffic:
        mark = local.mark()
        with cluster.without_data():
            assert cluster.find(f"/apis/{GATEWAY_API}") is None
            written = cluster.audit.mark()
            cluster.wait_for("it to be told", lambda: local.logged("problem", "CustomResourceDefinition", mark), 60)
            time.sleep(EMPTY_SECONDS)
            assert local.logged("problem", "VanishedHeld", mark)
            assert local.is_ready()
            # There is no namespace to have a Lease in, so nobody leads.
            assert {(event.resource, event.code) for event in cluster.audit.writes(written)} <= {("leases", 404)}
        cluster.wait_for("everything to be found again", lambda: local.logged("healed", "VanishedHeld", mark), 90)
        local.turn("r-01", "two")
        local.wait_backend("r-01", "two")
        assert local.is_programmed()
    assert traffic.verdict() == ""
    print(f"\nempty: {len(traffic.failures)} of {traffic.total} requests failed")
