"""The API server refuses one kind: what is known of it stays, all else goes on, and it is told and heals."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from testcluster import Cluster
from tests.cluster.fault_proxy import Asked, FaultProxy, Rule
from tests.cluster.faults.local import Local
from tests.cluster.faults.world import fresh_namespace

pytestmark = pytest.mark.timeout(600)

ATTEMPTS = 3
"""How often the controller is refused before the fault goes."""
PAGE = 7
GOING = ("r-27", "r-28", "r-29")
"""Routes that are removed; they are on the last page of a list."""


@pytest.fixture(scope="module")
def proxy(cluster: Cluster) -> Iterator[FaultProxy]:
    """A proxy that passes everything on, until it is told otherwise."""
    with FaultProxy(cluster) as one:
        yield one


@pytest.fixture(scope="module")
def local(cluster: Cluster, proxy: FaultProxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    """A controller behind that proxy, with everything served."""
    name = f"faults-{secrets.token_hex(3)}"
    with fresh_namespace(cluster, name), Local(cluster, name, proxy, tmp_path_factory.mktemp("local")) as one:
        one.wait_served()
        yield one


def refuses(plural: str, status: int) -> Rule:
    """Refuse to list and to watch a kind."""

    def rule(asked: Asked) -> int:
        return status if asked.method == "GET" and asked.path.endswith(f"/{plural}") else 0

    return rule


def has_one_page(plural: str) -> Rule:
    """Give of a kind the first page of each list, and no stream; what is watched is too old."""

    def rule(asked: Asked) -> int:
        if asked.method != "GET" or not asked.path.endswith(f"/{plural}"):
            return 0
        if asked.is_watch:
            return 400 if "sendInitialEvents" in asked.query else 410
        return 500 if "continue" in asked.query else 0

    return rule


ROUTES_REFUSED = {
    "500": refuses("httproutes", 500),
    "403": refuses("httproutes", 403),
    "second page": has_one_page("httproutes"),
}


TURNED = ("r-01", "r-02", "r-03")


@pytest.mark.parametrize(("fault", "turned", "goes"), [*zip(ROUTES_REFUSED, TURNED, GOING, strict=True)])
def test_routes_that_cannot_be_read_stay(local: Local, fault: str, turned: str, goes: str) -> None:
    """A route removed meanwhile is as it was; endpoints are followed; then all is made good."""
    with local.traffic(without=GOING) as traffic:
        mark = local.mark()
        local.proxy.obey(ROUTES_REFUSED[fault], page=PAGE)
        local.turn(turned, "two")
        local.remove(goes)
        local.cluster.wait_for("it to be told", lambda: local.logged("problem", "HTTPRoute", mark))
        local.cluster.wait_for("attempts", lambda: local.proxy.refused >= ATTEMPTS, 60)
        local.move("one", "three")
        # What no list says is not gone.
        local.wait_backend(goes, "three")
        assert fault == "second page" or local.backend_of(turned) == "three"
        local.proxy.heal()
        local.wait_backend(turned, "two")
        local.wait_backend(goes, "404")
        local.cluster.wait_for("it to be told", lambda: local.logged("healed", "HTTPRoute", mark))
        local.move("one", "one")
        local.wait_backend("r-00", "one")
    assert traffic.verdict() == ""
    print(f"\nroutes refused, {fault}: {len(traffic.failures)} of {traffic.total} requests failed")


def test_endpoints_that_cannot_be_read_stay(local: Local) -> None:
    """Backends are asked where they were; routes are followed; then all is made good."""
    with local.traffic(without=GOING) as traffic:
        mark = local.mark()
        local.proxy.obey(refuses("endpointslices", 403))
        local.move("one", "three")
        local.cluster.wait_for("it to be told", lambda: local.logged("problem", "EndpointSlice", mark))
        local.cluster.wait_for("attempts", lambda: local.proxy.refused >= ATTEMPTS, 60)
        local.turn("r-04", "two")
        local.wait_backend("r-04", "two")
        assert local.backend_of("r-00") == "one"
        local.proxy.heal()
        local.wait_backend("r-00", "three")
        local.cluster.wait_for("it to be told", lambda: local.logged("healed", "EndpointSlice", mark))
    assert traffic.verdict() == ""
    print(f"\nendpoints refused: {len(traffic.failures)} of {traffic.total} requests failed")


def test_a_controller_that_starts_without_a_kind_says_nothing_yet(
    cluster: Cluster, namespace: str, proxy: FaultProxy, tmp_path: Path
) -> None:
    """Not ready, and no word about any Gateway, until everything is known."""
    proxy.obey(refuses("services", 403))
    with Local(cluster, namespace, proxy, tmp_path) as local:
        cluster.wait_for("attempts", lambda: proxy.refused >= ATTEMPTS, 60)
        assert not local.is_ready()
        assert not local.is_programmed()
        assert "addresses" not in local.gateway()["status"]
        proxy.heal()
        local.wait_served()
        assert local.is_ready()
