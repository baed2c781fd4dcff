"""``trilithon proxy`` with a real Envoy: its identity, its readiness port, its end."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from tests.sinks.xds_client import authority
from tests.system.client import Connection, Unanswered, fetch
from tests.system.harness import Backend, SteadyLoad, backends, free_port, is_running, serves, status_of, until
from tests.system.program import trilithon
from tests.system.proxy_pod import Pod, Replica, issued, memory, name_of, resources
from trilithon.resources.meta import Key
from trilithon.sinks.envoy.envoy_binary import find_envoy
from trilithon.sinks.identity.authority import Authority
from trilithon.sinks.identity.identities import Identities

pytestmark = pytest.mark.system


class Served(msgspec.Struct):
    """A pod that serves, its port and the controller."""

    pod: Pod
    port: int
    replica: Replica
    of: Authority
    backend: Backend


@asynccontextmanager
async def serving(folder: Path, runtime: Path, *arguments: str, host: str = "localhost") -> AsyncIterator[Served]:
    of, xds, port = authority(), free_port(), free_port()
    async with backends("one") as servers:
        replica = Replica(xds, of, resources(port, servers["one"].port))
        pod = Pod(folder, runtime, xds, *arguments, host=host)
        pod.secret.put(await issued(of))
        async with replica.serving(), pod:
            await serves(port)
            await serves(pod.ready, "/ready")
            yield Served(pod, port, replica, of, servers["one"])


# --- becoming Envoy ---


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_it_serves_its_gateway_by_name_and_by_address(tmp_path: Path, runtime: Path, host: str) -> None:
    async with serving(tmp_path, runtime, host=host) as served:
        assert (await fetch(served.port)).backend == "one"
        (session,) = served.replica.server.sessions()
        assert (session.node, session.gateway) == ("infra/edge~pod-a", "infra/edge")


async def test_what_stays_beside_envoy_is_small_and_envoy_does_not_outlive_it(tmp_path: Path, runtime: Path) -> None:
    async with serving(tmp_path, runtime) as served:
        envoy = served.pod.envoy
        assert name_of(envoy) == str(find_envoy().path)
        assert memory(served.pod.process.pid) < 8 << 20
        served.pod.signal(signal.SIGKILL)
        await until(lambda: not is_running(envoy))


async def test_when_envoy_ends_by_itself_so_does_the_pod(tmp_path: Path, runtime: Path) -> None:
    async with serving(tmp_path, runtime) as served:
        os.kill(served.pod.envoy, signal.SIGKILL)
        assert await served.pod.ended() == 128 + signal.SIGKILL


async def test_no_file_it_writes_holds_a_secret(tmp_path: Path, runtime: Path) -> None:
    async with serving(tmp_path, runtime) as served:
        key = (served.pod.secret.path / "tls.key").read_bytes().splitlines()[1]
        written = written_in(runtime)
        assert written.keys() == {"bootstrap.json", "identity.json", "trust.json"}
        assert not any(key in content for content in written.values())
        assert key.decode() not in served.pod.output


def written_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def test_without_an_identity_it_says_what_is_missing(tmp_path: Path, runtime: Path) -> None:
    place = ("--xds", "localhost:1", "--run", runtime, "--identity", tmp_path)
    answer = await trilithon("proxy", "--gateway", "infra/edge", *place, "--identity-wait", "0.3")
    assert answer.code == 3
    assert "has no tls.crt, tls.key, ca.crt after 0.3 s" in answer.output
    assert "Gateway infra/edge" in answer.output


async def test_with_the_identity_of_another_gateway_it_does_not_start(tmp_path: Path, runtime: Path) -> None:
    pod = Pod(tmp_path, runtime, free_port())
    pod.secret.put(await Identities(authority()).issue(Key("Gateway", "infra", "other"), None))
    async with pod:
        assert await pod.ended() == 3
        assert "trilithon://gateway/infra/other, not for Gateway infra/edge" in pod.output


async def test_a_late_identity_is_waited_for(tmp_path: Path, runtime: Path) -> None:
    of, xds, port = authority(), free_port(), free_port()
    async with backends("one") as servers:
        replica = Replica(xds, of, resources(port, servers["one"].port))
        async with replica.serving(), Pod(tmp_path, runtime, xds) as pod:
            with pytest.raises(TimeoutError):
                await pod.ended(0.5)
            pod.secret.put(await issued(of))
            await serves(port)


# --- readiness ---


async def test_it_is_ready_when_its_listeners_are_live_and_not_before(tmp_path: Path, runtime: Path) -> None:
    of, xds, port = authority(), free_port(), free_port()
    pod = Pod(tmp_path, runtime, xds)
    pod.secret.put(await issued(of))
    async with pod, backends("one") as servers:
        await until((runtime / "admin.sock").exists)
        for _ in range(20):
            assert await _ready(pod) != 200
            await asyncio.sleep(0.02)
        async with Replica(xds, of, resources(port, servers["one"].port)).serving():
            await serves(pod.ready, "/ready")
            # Whoever saw it ready may send a request.
            assert await status_of(port) == 200


async def _ready(pod: Pod) -> int:
    """The status of the readiness port, 0 for no answer; before Envoy is live it takes no request."""
    try:
        return (await fetch(pod.ready, "/ready", seconds=0.3)).status
    except Unanswered:
        return 0


HOLES = [
    "/",
    "/ready/",
    "//ready",
    "/ready?",
    "/ready?x",
    "/ready#x",
    "/ready;x",
    "/READY",
    "/%72eady",
    "/./ready",
    "/x/../ready",
    "/ready/..",
    "/ready/../config_dump",
    "/ready/../../config_dump",
    "/ready%2f..%2fconfig_dump",
    "/ready/%2e%2e/config_dump",
    "/ready\\..\\config_dump",
    "/ready..;/config_dump",
    "/config_dump",
    "/config_dump?include_eds",
    "/clusters",
    "/stats",
    "/stats/prometheus",
    "/server_info",
    "/certs",
    "/logging",
    "/quitquitquit",
    "/healthcheck/fail",
    "/drain_listeners",
    "http://envoy/config_dump",
    "http://envoy/ready/../config_dump",
    "*",
]


async def test_the_readiness_port_answers_one_request_and_no_other(tmp_path: Path, runtime: Path) -> None:
    async with serving(tmp_path, runtime) as served:
        ready = served.pod.ready
        answer = await fetch(ready, "/ready")
        assert (answer.status, answer.body) == (200, b"LIVE\n")
        for target in HOLES:
            for method in ("GET", "POST"):
                try:
                    answer = await fetch(ready, target, method=method)
                except Unanswered:
                    continue
                assert answer.status in {400, 404}, (method, target)
                assert answer.body == b"" or b"LIVE" not in answer.body, (method, target)
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT"):
            assert await _status(ready, method) in {400, 404, 0}
        async with connected(ready) as connection:
            smuggled = (
                b"GET /ready HTTP/1.1\r\nhost: a\r\nx-envoy-original-path: /config_dump\r\n:path: /config_dump\r\n\r\n"
            )
            assert await _sent(connection, smuggled) in {200, 400, 0}
        # Nothing of all that changed anything.
        assert await status_of(ready, "/ready") == 200
        assert await status_of(served.port) == 200


async def _status(port: int, method: str) -> int:
    try:
        return (await fetch(port, "/ready", method=method)).status
    except Unanswered:
        return 0


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Connection]:
    connection = await Connection.open(port)
    try:
        yield connection
    finally:
        connection.close()


async def _sent(connection: Connection, raw: bytes) -> int:
    try:
        answer = await connection.send(raw)
    except Unanswered:
        return 0
    assert b"bootstrap" not in answer.body
    return answer.status


async def test_silent_connections_do_not_keep_the_kubelet_out(tmp_path: Path, runtime: Path) -> None:
    async with serving(tmp_path, runtime) as served:
        ready = served.pod.ready
        silent = [await asyncio.open_connection("127.0.0.1", ready) for _ in range(400)]
        await serves(ready, "/ready")
        assert await status_of(served.port) == 200
        for _, writer in silent:
            writer.close()


# --- its end ---


async def test_sigterm_finishes_what_is_in_flight_and_takes_late_comers_for_a_while(
    tmp_path: Path, runtime: Path
) -> None:
    async with serving(tmp_path, runtime, "--drain-lag", "5") as served:
        slow = asyncio.create_task(fetch(served.port, "/held", seconds=60))
        await served.backend.holds()
        async with SteadyLoad(served.port, rate=100) as load:
            await load.answered(5)
            served.pod.signal(signal.SIGTERM)
            await served.pod.said("no longer ready")
            assert await status_of(served.pod.ready, "/ready") == 503
            # Kube-proxies that have not heard yet still send connections here, and get answers.
            await load.answered(20)
            assert load.closes > 0
        assert not load.bad
        # Then it takes no more.
        await serves(served.port, status=0)
        assert not slow.done()
        served.backend.let_go()
        assert (await slow).status == 200
        assert await served.pod.ended() == 0


async def test_what_never_finishes_is_left_after_the_time_it_has(tmp_path: Path, runtime: Path) -> None:
    async with serving(tmp_path, runtime, "--drain-lag", "0", "--drain-seconds", "1") as served:
        slow = asyncio.create_task(fetch(served.port, "/held", seconds=60))
        await served.backend.holds()
        served.pod.signal(signal.SIGTERM)
        assert await served.pod.ended(20) == 0
        assert "1 requests in flight" in served.pod.output
        with pytest.raises(Unanswered):
            await slow


async def test_a_second_signal_ends_at_once(tmp_path: Path, runtime: Path) -> None:
    async with serving(tmp_path, runtime, "--drain-lag", "30") as served:
        served.pod.signal(signal.SIGTERM)
        await served.pod.said("draining")
        served.pod.signal(signal.SIGTERM)
        assert await served.pod.ended(20) == 0


async def test_a_pod_that_never_was_ready_ends_at_once(tmp_path: Path, runtime: Path) -> None:
    pod = Pod(tmp_path, runtime, free_port(), "--drain-lag", "30")
    pod.secret.put(await issued(authority()))
    async with pod:
        await until((runtime / "admin.sock").exists)
        pod.signal(signal.SIGTERM)
        assert await pod.ended(20) == 0
