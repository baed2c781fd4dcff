"""The xDS port answers an Envoy about its own Gateway, and nobody else about anything.

Every method of every discovery service is called with every kind of wrong credential; a planted key must not appear.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest, DiscoveryRequest

from tests.sinks.xds_client import NAME, authority, channel, identity, security
from trilithon.sinks.delivery.grpc_server import XdsServer
from trilithon.sinks.identity.authority import Authority, utc_now
from trilithon.sinks.identity.certification import Pair, Usage, issue
from trilithon.sinks.identity.trust import new_trust
from trilithon.xds.identity import CONTROLLER, gateway_of_uri, uri_of_gateway
from trilithon.xds.node import node_id
from trilithon.xds.resource import CLUSTER, SECRET, XdsResource

CANARY = b"-----planted private key-----"
V3 = "/envoy.service"
DELTA = f"{V3}.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
SERVICES = {
    "discovery": ("Aggregated", ("StreamAggregatedResources",)),
    "cluster": ("Cluster", ("StreamClusters", "DeltaClusters", "FetchClusters")),
    "endpoint": ("Endpoint", ("StreamEndpoints", "DeltaEndpoints", "FetchEndpoints")),
    "listener": ("Listener", ("StreamListeners", "DeltaListeners", "FetchListeners")),
    "route": ("Route", ("StreamRoutes", "DeltaRoutes", "FetchRoutes")),
    "secret": ("Secret", ("StreamSecrets", "DeltaSecrets", "FetchSecrets")),
    "runtime": ("Runtime", ("StreamRuntime", "DeltaRuntime", "FetchRuntime")),
}
OTHER_METHODS = [
    *(
        f"{V3}.{part}.v3.{name}DiscoveryService/{method}"
        for part, (name, methods) in SERVICES.items()
        for method in methods
    ),
    f"{V3}.status.v3.ClientStatusDiscoveryService/FetchClientStatus",
    f"{V3}.health.v3.HealthDiscoveryService/StreamHealthCheck",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    "/grpc.health.v1.Health/Check",
    "/grpc.channelz.v1.Channelz/GetServers",
]
# What a client calls a call that it left itself.
STILL_OPEN = grpc.StatusCode.CANCELLED
MINE, THEIRS = "infra/edge", "infra/other"


def planted(name: str) -> XdsResource:
    return XdsResource.of(SECRET, name, (CANARY + name.encode(),))


@asynccontextmanager
async def serving(of: Authority) -> AsyncIterator[XdsServer]:
    server = XdsServer(
        "127.0.0.1:0", on_proxy=lambda _: None, on_applied=lambda *_: None, security=security(of), grace=0.05
    )
    for gateway in (MINE, THEIRS):
        server.publish(gateway, [planted(gateway), XdsResource.of(CLUSTER, gateway, ())], [], 1)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


class Heard:
    """All that came back on one call."""

    def __init__(self, code: grpc.StatusCode, messages: list[bytes]) -> None:
        self.code = code
        self.messages = messages


def begun(opened: grpc.aio.Channel, method: str) -> grpc.aio.StreamStreamCall[Any, bytes]:
    """A call whose answers stay bytes."""
    call: grpc.aio.StreamStreamCall[Any, bytes] = opened.stream_stream(
        method, request_serializer=lambda request: request.SerializeToString()
    )()
    return call


async def heard(opened: grpc.aio.Channel, method: str, *requests: Any, wanted: int = 0, seconds: float = 30.0) -> Heard:
    """Send the requests and read all that comes back, until the call ends or is left after some seconds.

    The seconds count from the message that makes the number `wanted`; those have longer to come.
    """
    call = begun(opened, method)
    messages: list[bytes] = []
    try:
        async with asyncio.timeout(30 if wanted else seconds) as limit:
            for request in requests:
                await call.write(request)
            while (message := await call.read()) is not grpc.aio.EOF:
                messages.append(message)  # type: ignore[arg-type]  # not the end
                if len(messages) == wanted:
                    limit.reschedule(asyncio.get_running_loop().time() + seconds)
            return Heard(await call.code(), messages)
    except grpc.aio.AioRpcError as error:
        return Heard(error.code(), messages)
    except asyncio.InvalidStateError:
        # It ended before everything was said.
        return Heard(await call.code(), messages)
    except TimeoutError:
        return Heard(STILL_OPEN, messages)


def asks(node: str = "", type_url: str = SECRET, *names: str) -> DeltaDiscoveryRequest:
    request = DeltaDiscoveryRequest(type_url=type_url, resource_names_subscribe=names)
    request.node.id = node
    return request


Showing = Callable[[Authority], Pair | None]


def expired(of: Authority) -> Pair:
    return identity(of.trust, MINE, now=utc_now() - timedelta(days=3))


def not_yet(of: Authority) -> Pair:
    return identity(of.trust, MINE, now=utc_now() + timedelta(days=3))


def self_signed(_: Authority) -> Pair:
    return new_trust(utc_now()).signer


def names_more(of: Authority) -> Pair:
    return issue(of.trust.signer, uri_of_gateway(f"{MINE}/x"), (), Usage.CLIENT, utc_now(), timedelta(days=1))


WRONG: dict[str, Showing] = {
    "none": lambda _: None,
    "expired": expired,
    "not valid yet": not_yet,
    "of another authority": lambda _: identity(new_trust(utc_now()), MINE),
    "self-signed": self_signed,
    "the server's own": lambda of: issue(
        of.trust.signer, CONTROLLER, (NAME,), Usage.SERVER, utc_now(), timedelta(days=1)
    ),
    "the authority's own": lambda of: of.trust.signer,
    "for a longer path": names_more,
}


@pytest.mark.parametrize("shown", WRONG.values(), ids=WRONG)
async def test_who_is_no_gateways_envoy_is_told_nothing_by_any_method(shown: Showing) -> None:
    of = authority()
    async with serving(of) as server, channel(server.port, of.trust.bundle, shown(of)) as opened:
        for method in (DELTA, *OTHER_METHODS):
            answer = await heard(opened, method, asks(node_id("infra", "edge", "a"), SECRET, MINE))
            assert answer.messages == [], method
            assert answer.code not in {grpc.StatusCode.OK, STILL_OPEN}, method
            assert method != DELTA or answer.code != grpc.StatusCode.UNIMPLEMENTED


async def test_no_method_but_the_one_exists(tmp_path: Path) -> None:
    of = authority()
    async with serving(of) as server, channel(server.port, of.trust.bundle, identity(of.trust, MINE)) as opened:
        for method in OTHER_METHODS:
            answer = await heard(opened, method, DiscoveryRequest(type_url=SECRET, resource_names=[MINE]))
            assert answer.messages == [], method
            # The refusal may come while the request is still being written.
            assert answer.code in {grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.INTERNAL}, method


async def test_an_envoy_gets_what_is_its_gateways() -> None:
    of = authority()
    async with serving(of) as server, channel(server.port, of.trust.bundle, identity(of.trust, MINE)) as opened:
        node = node_id("infra", "edge", "a")
        answer = await heard(opened, DELTA, asks(node, CLUSTER), asks("", SECRET, MINE, THEIRS), wanted=2, seconds=1)
        assert any(CANARY + MINE.encode() in message for message in answer.messages)
        assert not any(CANARY + THEIRS.encode() in message for message in answer.messages)
        assert [each.gateway for each in server.sessions()] == [MINE]


@pytest.mark.parametrize(
    "node",
    [
        node_id("infra", "other", "a"),
        "infra/other",
        "infra/edge/x~a",
        "infra/edge2~a",
        "infra/edg~a",
        "INFRA/EDGE~a",
        " infra/edge~a",
        "infra/edge\x00~a",
        "~infra/edge",
    ],
)
async def test_the_certificate_decides_and_not_the_node(node: str) -> None:
    of = authority()
    async with serving(of) as server, channel(server.port, of.trust.bundle, identity(of.trust, MINE)) as opened:
        answer = await heard(opened, DELTA, asks(node, SECRET, MINE, THEIRS))
        assert (answer.code, answer.messages) == (grpc.StatusCode.PERMISSION_DENIED, [])
        assert server.sessions() == ()


async def test_a_stream_cannot_change_its_node_later() -> None:
    of = authority()
    async with serving(of) as server, channel(server.port, of.trust.bundle, identity(of.trust, MINE)) as opened:
        first = asks(node_id("infra", "edge", "a"), CLUSTER)
        then = [asks(node_id("infra", "other", "a"), SECRET, THEIRS), asks(node_id("infra", "other", "b"), CLUSTER)]
        answer = await heard(opened, DELTA, first, *then, seconds=1)
        assert not any(CANARY in message for message in answer.messages)
        assert [each.gateway for each in server.sessions()] in ([], [MINE])


async def test_what_is_not_published_is_waited_for() -> None:
    of = authority()
    async with serving(of) as server, channel(server.port, of.trust.bundle, identity(of.trust, "infra/new")) as opened:
        answer = await heard(opened, DELTA, asks(node_id("infra", "new", "a"), CLUSTER), seconds=0.5)
        assert (answer.code, answer.messages) == (STILL_OPEN, [])


async def test_a_stream_ends_with_the_certificate_that_opened_it() -> None:
    of = authority()
    short = identity(of.trust, MINE, days=6 / 86_400)
    async with serving(of) as server, channel(server.port, of.trust.bundle, short) as opened:
        answer = await heard(opened, DELTA, asks(node_id("infra", "edge", "a"), CLUSTER))
        assert len(answer.messages) == 1
        assert answer.code == grpc.StatusCode.OK
        assert server.sessions() == ()


async def test_credentials_follow_the_authority_while_streams_stay() -> None:
    old, new = new_trust(utc_now()), new_trust(utc_now())
    of = Authority(old)
    node = node_id("infra", "edge", "a")
    async with serving(of) as server, channel(server.port, old.bundle, identity(old, MINE)) as opened:
        call = begun(opened, DELTA)
        await call.write(asks(node, CLUSTER))
        assert await asyncio.wait_for(call.read(), 30)
        of.change(new)
        for trusts, shown, count in ((new, new, 1), (new, old, 0), (old, new, 0)):
            async with channel(server.port, trusts.bundle, identity(shown, MINE)) as other:
                answer = await heard(other, DELTA, asks(node, CLUSTER), wanted=count, seconds=1)
                assert len(answer.messages) == count
        assert not call.done()


def test_a_network_address_without_security_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs security"):
        XdsServer("0.0.0.0:0", on_proxy=lambda _: None, on_applied=lambda *_: None)
    with pytest.raises(ValueError, match="needs security"):
        XdsServer(
            tmp_path / "x.sock", on_proxy=lambda _: None, on_applied=lambda *_: None, security=security(authority())
        )


OLD_TLS = """
import asyncio, sys
from trilithon.sinks.delivery.grpc_environment import prepare
prepare()
from tests.sinks.test_security_port import authority, handshakes, serving

async def main():
    of = authority()
    async with serving(of) as server:
        print(await asyncio.to_thread(handshakes, server.port))

asyncio.run(main())
"""


def handshakes(port: int) -> list[str]:
    """Which versions of TLS get as far as HTTP/2, without a certificate and so with nothing else."""
    spoken = []
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.minimum_version = context.maximum_version = version
        context.set_alpn_protocols(["h2"])
        try:
            with socket.create_connection(("127.0.0.1", port)) as plain, context.wrap_socket(plain) as wrapped:
                spoken.append(str(wrapped.version()))
        except (OSError, ssl.SSLError):
            continue
    return spoken


def test_a_prepared_process_speaks_no_older_tls() -> None:
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": f"{root / 'src'}:{root}"}
    command = [sys.executable, "-c", OLD_TLS]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, env=environment)
    assert answer.stdout.strip() == "['TLSv1.3']"


async def test_older_tls_is_refused_also_where_the_handshake_allows_it() -> None:
    of = authority()
    context = {"ssl_tls_version": [b"TLSv1.2"], "x509_pem_cert": [identity(of.trust, MINE).certificate_pem]}
    with pytest.raises(Exception, match=r"TLS 1\.3 is needed"):
        security(of).peer(context)
    assert security(of).peer({**context, "ssl_tls_version": [b"TLSv1.3"]}).gateway == MINE


async def test_garbage_and_floods_leave_the_port_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trilithon.sinks.delivery.allowance.REFUSED_SECONDS", 0.1)
    of = authority()
    dice = random.Random(7)
    async with serving(of) as server:
        port = server.port

        async def knock(index: int) -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            kinds = (
                dice.randbytes(300),
                b"GET / HTTP/1.1\r\n\r\n",
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                b"\x16\x03\x01\xff\xff",
                b"",
            )
            try:
                writer.write(kinds[index % len(kinds)])
                await writer.drain()
            except ConnectionError:
                pass
            finally:
                writer.close()
            del reader

        for _ in range(10):
            await asyncio.gather(*(knock(index) for index in range(50)))
        node = node_id("infra", "edge", "a")
        async with channel(server.port, of.trust.bundle, identity(of.trust, MINE)) as opened:
            garbage: Any = opened.stream_stream(DELTA)
            for _ in range(20):
                call = garbage()
                try:
                    await call.write(b"\xff" + dice.randbytes(200))
                    await asyncio.wait_for(call.read(), 2)
                except (grpc.aio.AioRpcError, TimeoutError):
                    pass
                finally:
                    call.cancel()
            answer = await heard(opened, DELTA, asks(node, CLUSTER), wanted=1, seconds=1)
            assert len(answer.messages) == 1


@pytest.mark.parametrize(
    ("uri", "gateway"),
    [
        (uri_of_gateway("a/b"), "a/b"),
        (uri_of_gateway("a/b/c"), None),
        (uri_of_gateway("a"), None),
        (uri_of_gateway("/b"), None),
        (uri_of_gateway("a/"), None),
        (CONTROLLER, None),
        ("spiffe://gateway/a/b", None),
        ("a/b", None),
    ],
)
def test_a_uri_names_one_gateway_or_none(uri: str, gateway: str | None) -> None:
    assert gateway_of_uri(uri) == gateway
