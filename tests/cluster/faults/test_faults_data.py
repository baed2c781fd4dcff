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
from tests.cluster.faults.world import World, fresh_namespace

pytestmark = pytest.mark.timeout(300)

EMPTY_SECONDS = 40.0
"""Longer than a Lease lasts, and than what is held waits for the next list."""
CONVERGED_SECONDS = 60.0


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
        # What goes while its kind is not watched again would be held, too.
        cluster.wait_for("everything to be found again", lambda: local.is_well(mark), 120)
        local.turn("r-01", "two")
        local.wait_backend("r-01", "two")
        assert local.is_programmed()
    assert traffic.verdict() == ""
    print(f"\nempty: {len(traffic.failures)} of {traffic.total} requests failed")


def test_replicas_whose_account_was_lost_with_all_else_serve_on(cluster: Cluster, world: World) -> None:
    """The API server refuses whom it does not know any more: what they know stays, until it knows them again."""
    with world.traffic() as traffic:
        edge = world.envoy("edge")
        given = edge.given()
        with cluster.without_data():
            time.sleep(EMPTY_SECONDS)
            assert given.keys() <= edge.given().keys()
            assert edge.is_connected()
        for pod in world.controllers.pods():
            told = [line["message"] for line in world.controllers.log(pod) if line["event"] == "problem"]
            assert any("401 Unauthorized" in message for message in told)
        world.turn("r-105", "two")
        world.wait_backend("r-105", "two", CONVERGED_SECONDS)
    assert traffic.verdict() == ""
    print(f"\nempty: {len(traffic.failures)} of {traffic.total} requests failed")
