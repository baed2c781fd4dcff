"""A pod's Envoy whose Service leads it to a replica that knows old news finds the other one."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from tests.sinks.balancer import balancer
from tests.sinks.xds_client import authority
from tests.system.harness import backends, free_port, serves, until
from tests.system.proxy_pod import EDGE, Pod, Replica, issued, resources

pytestmark = pytest.mark.system


async def test_a_new_pod_and_a_connected_one_leave_a_stale_replica(tmp_path: Path, runtime: Path) -> None:
    of, port = authority(), free_port()
    async with backends("one") as servers:
        given = resources(port, servers["one"].port)
        stale = Replica(free_port(), of, given, admits=lambda _: False)
        current = Replica(free_port(), of, given)
        async with stale.serving(), current.serving():
            ways = [stale, stale, stale, current, stale, current]
            choice = iter(itertools.chain(ways, itertools.repeat(current)))
            connections: list[Replica] = []

            def choose() -> int:
                connections.append(next(choice))
                return connections[-1].server.port or 0

            async with balancer(choose) as xds:
                pod = Pod(tmp_path, runtime, xds)
                pod.secret.put(await issued(of))
                async with pod:
                    await current.has(1)
                    await serves(port)
                    assert connections == ways[:4]
                    # Let go, it meets the stale one once more.
                    current.server.end_streams()
                    await until(lambda: connections == ways, 10, "it does not come again")
                    current.server.publish(EDGE.path, given, (), 2)
                    await current.has(2)
        assert not stale.was_asked
