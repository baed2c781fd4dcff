"""The authority and a Gateway's pods on a real cluster: names, volumes, users, and an end in peace."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest

from testcluster import Cluster
from testcluster.layout import NODE_ADDRESS
from tests.cluster.xds_controller import Replica, connected, issued, made
from tests.sinks.envoy_resources import cluster as envoy_cluster
from tests.sinks.envoy_resources import endpoints, listener, table
from tests.system.client import Answer, Connection, Unanswered
from tests.system.harness import until
from trilithon.cli.echo import EchoServer
from trilithon.model.settings import READY_PORT
from trilithon.sinks.identity.authority import SECRET_NAME, Authority, StoredAuthority, utc_now
from trilithon.sinks.identity.trust import Trust, data_of, new_trust
from trilithon.xds.resource import XdsResource


async def test_replicas_that_start_at_once_share_one_authority(cluster: Cluster, namespace: str) -> None:
    async with connected(cluster) as client:
        replicas = [StoredAuthority(client, namespace, pytest.fail) for _ in range(8)]
        await asyncio.gather(*(each.look() for each in replicas))
        assert len({each.trust.bundle for each in replicas}) == 1
        # One of them follows; the others take that over, and nobody's is lost.
        later = [
            StoredAuthority(client, namespace, pytest.fail, lambda: utc_now().replace(year=2035)) for _ in replicas
        ]
        await asyncio.gather(*(each.look() for each in later))
        await asyncio.gather(*(each.look() for each in (*later, *replicas)))
        assert len({each.trust.bundle for each in (*later, *replicas)}) == 1
        assert len(replicas[0].trust.trusted) == 2
        stored = cluster.get(f"/api/v1/namespaces/{namespace}/secrets/{SECRET_NAME}")
        assert set(stored["data"]) == set(data_of(replicas[0].trust))


@asynccontextmanager
async def backend() -> AsyncIterator[EchoServer]:
    async with EchoServer("one", str(NODE_ADDRESS)) as server:
        yield server


def served(port: int) -> list[XdsResource]:
    """A listener at port 80 of every address of the pod."""
    there = endpoints("a", port, str(NODE_ADDRESS))
    return [envoy_cluster("a"), there, listener("l", 80, "t", "0.0.0.0"), table("t", "a")]


async def get(address: str, target: str = "/", seconds: float = 60) -> Answer:
    """One GET at port 80."""
    async with asyncio.timeout(seconds), await Connection.open(80, address=address) as connection:
        return await connection.get(target)


async def status(address: str) -> int:
    try:
        return (await get(address)).status
    except (Unanswered, TimeoutError):
        return 0


async def test_a_pod_serves_and_ends_in_peace(cluster: Cluster, namespace: str) -> None:
    async with connected(cluster) as client, backend() as server, made(cluster, namespace) as edge:
        authority = StoredAuthority(client, namespace, pytest.fail)
        await authority.look()
        async with Replica(edge, authority, served(server.port)).serving() as replica:
            await edge.deploy(await issued(authority, edge))
            pod = await edge.ready()
            address = pod["status"]["podIP"]
            # Ready means that whoever comes is served, on the listener's own port and without being root.
            assert (await get(address)).backend == "one"
            (session,) = replica.server.sessions()
            assert session.node == f"{edge.key.path}~{pod['metadata']['name']}"
            assert pod["spec"]["securityContext"]["runAsUser"] != 0
            slow = asyncio.create_task(get(address, "/?delay=8s"))
            await asyncio.sleep(0.5)
            path = f"/api/v1/namespaces/{namespace}/pods/{pod['metadata']['name']}"
            await asyncio.to_thread(cluster.api.delete, path)

            async def is_unready() -> bool:
                found = await asyncio.to_thread(cluster.find, path)
                return found is None or not any(
                    each["type"] == "Ready" and each["status"] == "True" for each in found["status"]["conditions"]
                )

            # A kubelet asks there.
            await until(lambda: says(address, 503))
            # Who comes late, because a proxy of Services has not heard yet, is served too.
            assert await status(address) == 200
            await until(is_unready)
            assert (await slow).status == 200


async def test_a_pod_follows_the_authority_through_its_volume(cluster: Cluster, namespace: str) -> None:
    old, new = new_trust(utc_now()), new_trust(utc_now())
    authority = Authority(old)
    async with backend() as server, made(cluster, namespace) as edge:
        async with Replica(edge, authority, served(server.port)).serving():
            await edge.deploy(await issued(authority, edge))
            address = (await edge.ready())["status"]["podIP"]
            authority.change(Trust(new.signer, (*old.trusted, *new.trusted)))
            await edge.renew(await issued(authority, edge))
        # A controller that believes the new one alone: the pod gets in once its volume has what it needs.
        async with Replica(edge, Authority(new), served(server.port)).serving() as replica:
            await until(lambda: replica.applied == 1, 60)
            assert await status(address) == 200
            assert len(edge.pods()) == 1


async def test_a_pod_without_a_controller_is_not_ready_and_then_is(cluster: Cluster, namespace: str) -> None:
    authority = Authority(new_trust(utc_now()))
    async with backend() as server, made(cluster, namespace) as edge:
        await edge.deploy(await issued(authority, edge))

        async def is_running() -> bool:
            pods = await asyncio.to_thread(edge.pods)
            return bool(pods) and pods[0]["status"]["phase"] == "Running"

        await until(is_running, 30)
        # Longer than the probe's period.
        await asyncio.sleep(3)
        assert await asyncio.to_thread(edge.ready_pod) is None
        async with Replica(edge, authority, served(server.port)).serving():
            address = (await edge.ready())["status"]["podIP"]
            assert await status(address) == 200


@pytest.mark.timeout(600)
async def test_pods_are_replaced_without_one_failed_request(cluster: Cluster, namespace: str) -> None:
    authority = Authority(new_trust(utc_now()))
    async with backend() as server, made(cluster, namespace) as edge:
        async with Replica(edge, authority, served(server.port)).serving():
            await edge.deploy(await issued(authority, edge))
            await edge.ready()
            address = await edge.address()
            await until(partial(serves, address), 60)
            async with load(address) as counted:
                for _ in range(3):
                    await edge.replace_pods()
                    # Longer than the old pod takes connections: what comes after would find nobody.
                    await asyncio.sleep(7)
        assert counted.keys() == {200}
        assert counted[200] > 1_000


async def serves(address: str) -> bool:
    return await status(address) == 200


async def says(address: str, wanted: int) -> bool:
    """Whether a pod answers so when it is asked whether it is ready."""
    try:
        async with asyncio.timeout(5), await Connection.open(READY_PORT, address=address) as connection:
            return (await connection.get("/ready")).status == wanted
    except (Unanswered, TimeoutError):
        return False


@asynccontextmanager
async def load(address: str) -> AsyncIterator[Counter[int]]:
    """Steady requests, each second connection used once; how often each status came, 0 for no answer."""
    counted: Counter[int] = Counter()
    stopping = asyncio.Event()

    async def ask(*, is_fresh: bool) -> None:
        connection: Connection | None = None
        while not stopping.is_set():
            try:
                if connection is None or not connection.is_open or is_fresh:
                    if connection is not None:
                        connection.close()
                    connection = await Connection.open(80, address=address)
                async with asyncio.timeout(10):
                    counted[(await connection.get()).status] += 1
            except (Unanswered, TimeoutError):
                counted[0] += 1
                connection = None
            await asyncio.sleep(0.03)
        if connection is not None:
            connection.close()

    asking = [asyncio.create_task(ask(is_fresh=number % 2 == 0)) for number in range(6)]
    try:
        yield counted
    finally:
        stopping.set()
        await asyncio.gather(*asking)
