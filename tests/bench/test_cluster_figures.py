"""Figures of the benchmark in a cluster: times, what the audit log tells, objects, tables. Nothing is measured."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from bench.cluster.contender import throttled
from bench.cluster.measure import Figures, Times, Traffic, times
from bench.cluster.objects import route, services_for
from bench.cluster.report import BEGIN, END, Results, report, with_figures
from bench.cluster.writes import Writes, seconds_of
from testcluster.conformance.traefik import manifests

ACCOUNT = "system:serviceaccount:trilithon-system:trilithon"

OURS = Figures(
    contender="Trilithon",
    routes=100,
    create_seconds=0.5,
    served_seconds=0.1,
    statuses_seconds=0.2,
    writes_per_route=1.0,
    edit=Times(30, 10.0, 12.0, 20.0),
    add=Times(15, 11.0, 13.0, 21.0),
    move=Times(15, 8.0, 9.0, 10.0),
    control_cpu_ms=5.0,
    proxy_cpu_ms=2.0,
    server_cpu_ms=9.0,
    control_mib=150.0,
    replicas=2,
    proxy_mib=70.0,
    traffic=Traffic(2000, {}),
    kill_traffic=Traffic(1000, {}),
    recovered_seconds=3.0,
    idle_writes=0,
)
RIVAL = replace(
    OURS,
    contender="Traefik",
    served_seconds=2.0,
    edit=Times(30, 200.0, 300.0, 400.0),
    proxy_cpu_ms=0.0,
    proxy_mib=0.0,
    replicas=1,
    kill_traffic=Traffic(1000, {"404": 70, "no answer": 9}),
    idle_writes=None,
)
RESULTS = Results("today", "python -m bench.cluster", {"cores": "2"}, (OURS, RIVAL), 3.0, 60.0)


def _event(name: str, code: int = 200, *, resource: str = "httproutes", by: str = ACCOUNT, second: int = 1) -> bytes:
    event = {
        "verb": "patch",
        "requestURI": "/",
        "stage": "ResponseComplete",
        "user": {"username": by},
        "requestReceivedTimestamp": f"2026-01-01T00:00:0{second}.500000Z",
        "objectRef": {"resource": resource, "subresource": "status", "namespace": "bench", "name": name},
        "responseStatus": {"code": code},
    }
    return msgspec.json.encode(event) + b"\n"


def test_times_keep_the_slowest() -> None:
    assert times([30.0, 10.0, 20.0]) == Times(3, 20.0, 30.0, 30.0)


@pytest.mark.parametrize(("routes", "services"), [(10, 2), (100, 10), (3000, 300)])
def test_services_come_in_pairs_that_answer_otherwise(routes: int, services: int) -> None:
    assert services_for(routes) == services


def test_a_route_serves_its_own_host_alone() -> None:
    first, second = route(1, 0), route(2, 0)
    assert first["spec"]["rules"] == second["spec"]["rules"]
    assert not {*first["spec"]["hostnames"]} & {*second["spec"]["hostnames"]}


def test_a_throttle_is_in_every_deployment_and_nowhere_else() -> None:
    before = manifests(Path("/traefik"), "traefik", "3.7.15")
    after = throttled(before, "0s")
    differing = [one for one, other in zip(after, before, strict=True) if one != other]
    assert [each["kind"] for each in differing] == ["Deployment"]
    (container,) = differing[0]["spec"]["template"]["spec"]["containers"]
    assert container["args"][-1] == "--providers.providersthrottleduration=0s"


def test_writes_count_what_was_logged_after_they_began(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_bytes(_event("before"))
    writes = Writes(log, ACCOUNT)
    with log.open("ab") as file:
        file.write(_event("a", second=2) + _event("b", 409) + _event("c", by="somebody"))
        file.write(_event("trilithon", resource="leases") + _event("a", second=3))
        # A line that is not complete yet.
        file.write(_event("d")[:20])
    writes.read()
    assert (writes.statuses, writes.total) == (2, 2)
    assert writes.first_status == {"a": seconds_of("2026-01-01T00:00:02.500000Z")}
    with log.open("ab") as file:
        file.write(_event("d")[20:])
    writes.read()
    assert {*writes.first_status} == {"a", "d"}


def test_a_rival_is_told_as_a_multiple() -> None:
    lines = [line for line in report(RESULTS).splitlines() if line.startswith("| 100 ")]
    created, changed, _, failed = (
        [line for line in lines if "Traefik" in line][at].replace(" ", "").split("|") for at in range(4)
    )
    assert "20x" in created
    assert "20x" in changed
    assert {"79", "70404,9noanswer"} <= {*failed}


def test_only_what_is_between_the_marks_is_replaced() -> None:
    page = f"# Page\n\n{BEGIN}\n\nold\n\n{END}\n\nrest\n"
    assert with_figures(page, "new") == f"# Page\n\n{BEGIN}\n\nnew\n\n{END}\n\nrest\n"
    assert with_figures(with_figures("# Page\n", "old"), "new") == f"# Page\n\n{BEGIN}\n\nnew\n\n{END}\n"
