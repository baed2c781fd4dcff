"""A pod's Envoy and its controllers: none of them, whatever it does or knows, makes the Envoy lose anything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

import grpc
import grpc.aio
import msgspec
import pytest

from tests.sinks.xds_client import authority, identity
from tests.system.harness import SteadyLoad, backends, free_port, serves, status_of, until
from tests.system.proxy_pod import EDGE, Pod, Replica, issued, resources
from trilithon.sinks.identity.authority import Authority, utc_now
from trilithon.sinks.identity.certification import Pair, Usage, issue
from trilithon.sinks.identity.trust import Trust, new_trust
from trilithon.xds.identity import uri_of_gateway
from trilithon.xds.resource import XdsResource

pytestmark = pytest.mark.system
# What would count if Envoy were told anything new.
COUNTERS = (
    "listener_manager.listener_added",
    "listener_manager.listener_modified",
    "listener_manager.listener_removed",
    "listener_manager.listener_in_place_updated",
    "listener_manager.lds.update_success",
    "cluster_manager.cluster_added",
    "cluster_manager.cluster_modified",
    "cluster_manager.cluster_removed",
    "cluster_manager.cds.update_success",
    "http.l.rds.t.update_success",
    "http.l.rds.t.config_reload",
)
HELD = ("control_plane.connected_state", "listener_manager.total_listeners_active", "cluster_manager.active_clusters")


class Edge(msgspec.Struct):
    """A Gateway's pod, the port of its controllers, and what they give."""

    pod: Pod
    xds: int
    port: int
    of: Authority
    resources: list[XdsResource]

    def replica(self, revision: int = 1, given: Iterable[XdsResource] | None = None) -> Replica:
        """A controller with all that there is, or with these."""
        return Replica(self.xds, self.of, self.resources if given is None else given, revision)


@asynccontextmanager
async def edge(folder: Path, runtime: Path, of: Authority | None = None) -> AsyncIterator[Edge]:
    made, xds, port = of or authority(), free_port(), free_port()
    async with backends("one") as servers:
        pod = Pod(folder, runtime, xds)
        pod.secret.put(await issued(made))
        async with pod:
            yield Edge(pod, xds, port, made, resources(port, servers["one"].port, clusters=("a", "b", "c")))


async def test_controllers_that_come_and_go_change_nothing(tmp_path: Path, runtime: Path) -> None:
    async with edge(tmp_path, runtime) as made:
        async with made.replica(5).serving() as first:
            await first.has(5)
            await serves(made.port)
        before = await made.pod.stats(*COUNTERS)
        async with SteadyLoad(made.port, rate=200) as load:
            # Another replica counts otherwise: more, less, from the start; its resources come in any order.
            for revision in (900, 2, 5):
                replica = made.replica(revision, reversed(made.resources))
                async with replica.serving():
                    await replica.has(revision)
                    assert await made.pod.stats(*COUNTERS) == before
            await load.answered(20)
        assert not load.bad
        assert load.closes == 0


async def test_a_controller_that_does_not_know_the_gateway_takes_nothing_away(tmp_path: Path, runtime: Path) -> None:
    async with edge(tmp_path, runtime) as made:
        async with made.replica().serving() as first:
            await first.has(1)
        before = await made.pod.stats(*COUNTERS)
        ignorant = made.replica()
        ignorant.server.forget(EDGE.path)
        async with ignorant.serving(), SteadyLoad(made.port) as load:
            await until(ignorant.server.sessions)
            await load.answered(50)
            assert await made.pod.stats(*COUNTERS) == before
            # What it learns later is a difference, and there is none.
            ignorant.server.publish(EDGE.path, made.resources, (), 3)
            await ignorant.has(3)
            assert await made.pod.stats(*COUNTERS) == before
        assert not load.bad


async def test_a_change_made_between_two_controllers_is_all_that_arrives(tmp_path: Path, runtime: Path) -> None:
    async with edge(tmp_path, runtime) as made:
        async with made.replica().serving() as first:
            await first.has(1)
        before = await made.pod.stats(*COUNTERS)
        async with made.replica(1, [each for each in made.resources if each.name != "c"]).serving() as second:
            await second.has(1)

            async def is_gone() -> bool:
                after = await made.pod.stats(*COUNTERS)
                return after["cluster_manager.cluster_removed"] == before["cluster_manager.cluster_removed"] + 1

            await until(is_gone)
            after = await made.pod.stats(*COUNTERS)
            changed = {name for name in COUNTERS if after[name] != before[name]}
            assert changed == {"cluster_manager.cluster_removed", "cluster_manager.cds.update_success"}


async def test_a_new_identity_and_a_new_authority_are_taken_without_a_restart(tmp_path: Path, runtime: Path) -> None:
    old, new = new_trust(utc_now()), new_trust(utc_now())
    both = Trust(new.signer, (*old.trusted, *new.trusted))
    of = Authority(old)
    async with edge(tmp_path, runtime, of) as made, steady_load(made) as load:
        for trust in (both, new):
            # The controllers first, then the pods, whose Secret arrives some time later.
            of.change(trust)
            made.pod.secret.put(await issued(of))
        # Nobody who knows the old authority alone is there any more.
        async with Replica(made.xds, Authority(new), made.resources, 2).serving() as only_new:
            await only_new.has(2)
        # And one who does is not believed.
        async with Replica(made.xds, Authority(old), made.resources, 3).serving() as only_old:
            # Not by "connected_state": Envoy counts a stream as soon as it asks for one, before the handshake.
            before = await failures(made)
            await until(partial(has_failed, made, before + 3))
            assert not only_old.was_asked
        async with Replica(made.xds, Authority(new), made.resources, 4).serving() as again:
            await again.has(4)
            assert again.was_asked
        await load.answered(10)
    assert not load.bad


@asynccontextmanager
async def steady_load(made: Edge) -> AsyncIterator[SteadyLoad]:
    async with made.replica().serving() as first:
        await first.has(1)
        await serves(made.port)
    async with SteadyLoad(made.port) as load:
        yield load


async def test_an_expired_identity_is_followed_by_the_new_one(tmp_path: Path, runtime: Path) -> None:
    of = authority()
    async with edge(tmp_path, runtime, of) as made:
        short = identity(of.trust, EDGE.path, days=10 / 86_400)
        entries = {"tls.crt": short.certificate_pem, "tls.key": short.key_pem, "ca.crt": of.trust.bundle}
        made.pod.secret.put(entries)
        async with made.replica().serving() as replica:
            await replica.has(1)
            before = await made.pod.stats(*COUNTERS)
            # The stream ends with the certificate, and no other is begun with it.
            await until(lambda: not replica.server.sessions())
            with pytest.raises(AssertionError):
                await until(replica.server.sessions, 1)
            made.pod.secret.put(await issued(of))
            await until(replica.server.sessions)
            assert await made.pod.stats(*COUNTERS) == before
            assert await status_of(made.port) == 200


async def test_nobody_but_the_controller_can_give_configuration(tmp_path: Path, runtime: Path) -> None:
    of = authority()
    now, day = utc_now(), timedelta(days=1)
    impostors = {
        "a Gateway's own identity": identity(of.trust, EDGE.path),
        "one that may serve": issue(of.trust.signer, uri_of_gateway(EDGE.path), ("localhost",), Usage.SERVER, now, day),
        "another authority's": issue(new_trust(now).signer, "trilithon://controller", (), Usage.SERVER, now, day),
        "the right name for clients": issue(of.trust.signer, "trilithon://controller", (), Usage.CLIENT, now, day),
    }
    async with edge(tmp_path, runtime, of) as made:
        await until((runtime / "admin.sock").exists)
        for name, shown in impostors.items():
            async with impostor(made.xds, shown, of.trust.bundle) as called:
                # Several attempts, a quarter of a second to two seconds apart.
                before = await failures(made)
                await until(partial(has_failed, made, before + 3))
                assert called == [], name
        async with made.replica().serving() as replica:
            await replica.has(1)


async def failures(made: Edge) -> int:
    """How often the Envoy has tried in vain to be given clusters."""
    name = "cluster_manager.cds.update_failure"
    return (await made.pod.stats(name))[name]


async def has_failed(made: Edge, times: int) -> bool:
    return await failures(made) >= times


@asynccontextmanager
async def impostor(port: int, shown: Pair, trusts: bytes) -> AsyncIterator[list[str]]:
    """A server that shows this certificate; the calls that it got."""
    called: list[str] = []

    class Handler(grpc.GenericRpcHandler):
        def service(self, handler_call_details: grpc.HandlerCallDetails) -> None:
            called.append(str(handler_call_details.method))

    server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
    server.add_generic_rpc_handlers((Handler(),))
    pair = (shown.key_pem, shown.certificate_pem)
    server.add_secure_port(f"127.0.0.1:{port}", grpc.ssl_server_credentials([pair], trusts, True))
    await server.start()
    try:
        yield called
    finally:
        await server.stop(0)
        await asyncio.sleep(0)
