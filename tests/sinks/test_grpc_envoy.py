"""A real Envoy on a real stream: changes under load, refusals, control planes that come and go."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from envoy.config.cluster.v3.cluster_pb2 import Cluster

from tests.sinks import plain_ads
from tests.sinks.envoy_resources import cluster, endpoints, listener, table
from tests.system.client import fetch
from tests.system.harness import SteadyLoad, backends, free_port, serves, status_of, until
from trilithon.model.proxy import Proxy
from trilithon.resources.meta import Key
from trilithon.sinks.delivery.grpc_server import XdsServer
from trilithon.sinks.envoy.envoy_admin import EnvoyAdmin
from trilithon.sinks.envoy.envoy_binary import find_envoy
from trilithon.sinks.envoy.envoy_process import Launch
from trilithon.sinks.envoy.processes import EnvoyProcesses
from trilithon.xds.node import node_id
from trilithon.xds.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE, XdsResource

pytestmark = pytest.mark.system
EDGE = Key("Gateway", "infra", "edge")
GRACE = 0.05

Removals = Iterable[tuple[str, str]]


class Plane:
    """A control plane for one Envoy; the Envoy outlives ``restart``."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "xds.sock"
        self.processes = EnvoyProcesses(
            Launch(binary=find_envoy().path, directory=folder / "envoy", xds_socket=str(self.path), concurrency=1),
            on_state=lambda _gateway, _event: None,
            on_log=lambda _gateway, _level, _text: None,
        )
        self.wanted: dict[tuple[str, str], XdsResource] = {}
        self.revision = 0
        self.applied = 0
        self.proxy = Proxy("infra/edge")
        self.server = self._new_server()

    def _new_server(self) -> XdsServer:
        self.proxy, self.applied = Proxy("infra/edge"), 0
        return XdsServer(self.path, on_proxy=self._on_proxy, on_applied=self._on_applied, grace=GRACE)

    def _on_proxy(self, proxy: Proxy) -> None:
        self.proxy = proxy

    def _on_applied(self, _gateway: str, revision: int, _seconds: float) -> None:
        self.applied = revision

    def publish(self, *upserts: XdsResource, removals: Removals = ()) -> None:
        self.revision += 1
        for key in removals:
            self.wanted.pop(key, None)
        self.wanted.update({(each.type_url, each.name): each for each in upserts})
        self.server.publish("infra/edge", upserts, removals, self.revision)

    async def publish_and_wait(self, *upserts: XdsResource, removals: Removals = ()) -> None:
        self.publish(*upserts, removals=removals)
        await until(lambda: self.applied == self.revision, why="never applied")

    async def restart(self) -> None:
        await self.server.stop()
        self.server = self._new_server()
        self.server.publish("infra/edge", self.wanted.values(), (), self.revision)
        await self.server.start()
        await until(lambda: self.applied == self.revision, why="never applied after a restart")

    async def stat(self, name: str) -> int:
        async with EnvoyAdmin(self.processes.admin_socket(EDGE) or "") as admin:
            return (await admin.stats(f"^{name}$")).get(name, 0)

    async def has_clusters(self, count: int) -> None:
        async def holds() -> bool:
            # The bootstrap's own is one.
            return await self.stat("cluster_manager.active_clusters") == count + 1

        await until(holds, why=f"never had {count} clusters")


@asynccontextmanager
async def plane(folder: Path, *resources: XdsResource) -> AsyncIterator[Plane]:
    made = Plane(folder)
    made.publish(*resources)
    await made.server.start()
    try:
        await made.processes.ensure(EDGE, node_id("infra", "edge", "test"))
        await until(lambda: made.applied == 1, why="never applied at the start")
        yield made
    finally:
        await made.processes.stop(0)
        await made.server.stop()


@pytest.fixture
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run")


async def test_fifty_routes_move_to_new_backends_under_load_without_one_failure(runtime: Path) -> None:
    port = free_port()
    async with backends("one", "other") as servers:
        ports = [servers["one"].port, servers["other"].port]
        first = (cluster("c0"), endpoints("c0", ports[0]), listener("l", port, "t"), table("t", "c0"))
        async with plane(runtime, *first) as edge:
            await serves(port)
            async with SteadyLoad(port, rate=500) as load:
                await load.answered(20)
                for turn in range(1, 51):
                    new, old = f"c{turn}", f"c{turn - 1}"
                    await edge.publish_and_wait(
                        cluster(new),
                        endpoints(new, ports[turn % 2]),
                        table("t", new),
                        removals=[(CLUSTER, old), (ENDPOINT, old)],
                    )
                    expected = ("one", "other")[turn % 2]
                    assert (await fetch(port)).backend == expected
                await edge.has_clusters(1)
                await load.answered(20)
            assert not load.bad
            assert load.good > 50
            assert load.closes == 0


async def test_changes_that_follow_each_other_without_a_pause_fail_no_request(runtime: Path) -> None:
    port = free_port()
    async with backends("one") as servers:
        target = servers["one"].port
        first = (cluster("c0"), endpoints("c0", target), listener("l", port, "t"), table("t", "c0"))
        async with plane(runtime, *first) as edge:
            await serves(port)
            async with SteadyLoad(port, rate=500) as load:
                for turn in range(1, 201):
                    new, old = f"c{turn}", f"c{turn - 1}"
                    removals = [(CLUSTER, old), (ENDPOINT, old)]
                    edge.publish(cluster(new), endpoints(new, target), table("t", new), removals=removals)
                    await asyncio.sleep(0.003)
                await until(lambda: edge.applied == edge.revision)
                await edge.has_clusters(1)
                await load.answered(20)
            assert not load.bad


async def test_a_request_in_flight_outlives_its_cluster_and_its_listener(runtime: Path) -> None:
    port, other = free_port(), free_port()
    async with backends("one") as servers:
        target = servers["one"].port
        made = [cluster("a"), endpoints("a", target), cluster("b"), endpoints("b", target)]
        tables = [table("t", "a"), table("u", "a")]
        async with plane(runtime, *made, listener("l", port, "t"), listener("m", other, "u"), *tables) as edge:
            await serves(port)
            await serves(other)
            slow = [asyncio.create_task(fetch(each, "/held", seconds=60)) for each in (port, other)]
            await servers["one"].holds(2)
            removals = [(LISTENER, "m"), (ROUTE, "u"), (CLUSTER, "a"), (ENDPOINT, "a")]
            await edge.publish_and_wait(table("t", "b"), removals=removals)
            await edge.has_clusters(1)
            await serves(other, status=0)
            assert not any(task.done() for task in slow)
            servers["one"].let_go()
            assert [(await task).status for task in slow] == [200, 200]


async def test_a_cluster_that_changes_is_warm_at_once(runtime: Path) -> None:
    port = free_port()
    async with backends("one") as servers:
        first = (cluster("a"), endpoints("a", servers["one"].port), listener("l", port, "t"), table("t", "a"))
        async with plane(runtime, *first) as edge:
            await serves(port)
            async with SteadyLoad(port) as load:
                for seconds in (2, 3, 4):
                    await edge.publish_and_wait(cluster("a", seconds))
                await load.answered(10)
            assert not load.bad


async def test_a_taken_port_is_told_and_used_when_it_is_free(runtime: Path) -> None:
    good, taken = free_port(), free_port()
    async with backends("one") as servers:
        target = servers["one"].port
        async with plane(runtime, cluster("a"), endpoints("a", target), table("t", "a")) as edge:
            with socket.socket() as squatter:
                squatter.bind(("127.0.0.1", taken))
                squatter.listen()
                await edge.publish_and_wait(listener("good", good, "t"), listener("taken", taken, "t"))
                await serves(good)
                (refusal,) = edge.proxy.rejected
                assert (refusal.type_url, refusal.name) == (LISTENER, "taken")
                assert "Address already in use" in refusal.message
                assert _listeners(edge.proxy) == ["good"]
            await serves(taken)
            await until(lambda: not edge.proxy.rejected and _listeners(edge.proxy) == ["good", "taken"])


def _listeners(proxy: Proxy) -> list[str]:
    return [each.name for each in proxy.acked if each.type_url == LISTENER]


async def test_a_table_that_envoy_refuses_harms_only_itself(runtime: Path) -> None:
    ports = {name: free_port() for name in "xyz"}
    async with backends("one", "other") as servers:
        made = [cluster("a"), endpoints("a", servers["one"].port)]
        made += [listener(name, port, name) for name, port in ports.items()]
        async with plane(runtime, *made, *(table(name, "a") for name in ports)) as edge:
            for port in ports.values():
                await serves(port)
            await edge.publish_and_wait(
                cluster("b"),
                endpoints("b", servers["other"].port),
                *(table(name, "b", hosts=2 if name == "y" else 1) for name in ports),
                removals=[(CLUSTER, "a"), (ENDPOINT, "a")],
            )
            assert [(each.name, each.message) for each in edge.proxy.rejected] == [
                ("y", "Only a single wildcard domain is permitted in route y")
            ]
            # Long enough for a cluster to leave that may.
            await asyncio.sleep(3 * GRACE)
            served = {name: (await fetch(port)).backend for name, port in ports.items()}
            # The refused table still names the old cluster, which therefore has not left.
            assert served == {"x": "other", "y": "one", "z": "other"}
            await edge.publish_and_wait(table("y", "b"))
            assert (await fetch(ports["y"])).backend == "other"
            assert not edge.proxy.rejected
            await edge.has_clusters(1)


async def test_a_cluster_that_envoy_refuses_leaves_the_others_alone(runtime: Path) -> None:
    port = free_port()
    async with backends("one") as servers:
        target = servers["one"].port
        first = (cluster("a"), endpoints("a", target), listener("l", port, "t"), table("t", "a"))
        async with plane(runtime, *first) as edge:
            await serves(port)
            made = [resource for name in "bdef" for resource in (cluster(name), endpoints(name, target))]
            await edge.publish_and_wait(*made, cluster("c", -1), endpoints("c", target), table("t", "e"))
            assert [(each.name, each.message) for each in edge.proxy.rejected] == [
                ("c", "Invalid duration: Expected positive duration")
            ]
            assert await status_of(port) == 200
            await edge.has_clusters(5)
            # Endpoints for which Envoy has no cluster are not asked for, and owed to nobody.
            await edge.publish_and_wait(table("t", "c"))
            assert await status_of(port) == 503
            await edge.publish_and_wait(cluster("c"))
            assert await status_of(port) == 200


async def test_after_a_restart_of_the_control_plane_envoy_gets_the_difference_only(runtime: Path) -> None:
    port, other = free_port(), free_port()
    async with backends("one") as servers:
        target = servers["one"].port
        made = [resource for name in "abc" for resource in (cluster(name), endpoints(name, target))]
        listeners = [listener("l", port, "t"), listener("m", other, "u")]
        async with plane(runtime, *made, *listeners, table("t", "a"), table("u", "b")) as edge:
            await serves(port)
            await serves(other)
            names = [
                "cluster_manager.cds.update_success",
                "listener_manager.lds.update_success",
                "http.l.rds.t.config_reload",
                "http.m.rds.u.config_reload",
            ]
            before = [await edge.stat(name) for name in names]
            async with SteadyLoad(port) as load:
                await edge.restart()
                assert [await edge.stat(name) for name in names] == before
                await edge.server.stop()
                edge.wanted[ROUTE, "t"] = table("t", "c")
                del edge.wanted[CLUSTER, "a"], edge.wanted[ENDPOINT, "a"]
                await edge.restart()
                await edge.has_clusters(2)
                await load.answered(10)
            assert not load.bad
            after = [await edge.stat(name) for name in names]
            assert [new - old for new, old in zip(after, before, strict=True)] == [1, 0, 1, 0]


async def test_an_envoy_that_loses_the_control_plane_while_clusters_warm_up_recovers(runtime: Path) -> None:
    port = free_port()
    async with backends("one") as servers:
        first = (cluster("a"), endpoints("a", servers["one"].port), listener("l", port, "t"), table("t", "a"))
        async with plane(runtime, *first) as edge:
            await serves(port)
            await edge.server.stop()
            changed = cluster("a", 2)
            # Another control plane changes the cluster and owes its endpoints when it ends.
            async with plain_ads.serving(edge.path, {CLUSTER: [("a", Cluster.FromString(b"".join(changed.chunks)))]}):

                async def is_warming() -> bool:
                    return await edge.stat("cluster_manager.warming_clusters") == 1

                await until(is_warming)
            edge.wanted[CLUSTER, "a"] = changed
            await edge.restart()
            assert not await is_warming()
            assert await status_of(port) == 200
