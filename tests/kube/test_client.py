"""Requests to an API server: what is sent, what is tried again, whom is trusted, and how refusals are told."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
import trustme
from aiohttp import web

from trilithon.kube.client import Client
from trilithon.kube.config import Config
from trilithon.kube.credentials import Credential, FileCredentials, FixedCredentials
from trilithon.kube.discovery import Discovery
from trilithon.kube.errors import ApiError, CredentialError, NotUnderstood, Unreachable
from trilithon.kube.objects import ApiKind, ObjectPath
from trilithon.kube.tls import Trust
from trilithon.kube.transport import Request, Transport

WIDGET = ApiKind("shop.test", "v1", "Widget", "widgets")
A = ObjectPath(WIDGET, "a", "shop")
SECRET = "s3cr3t-canary"

Handler = Callable[[web.Request], web.StreamResponse]


class Server:
    """Answers with a function and keeps what was asked."""

    def __init__(self, handler: Handler, tls: ssl.SSLContext | None) -> None:
        self._handler = handler
        self.tls = tls
        self.port = 0
        self.requests: list[web.Request] = []
        self.bodies: list[bytes] = []
        self.peers: set[object] = set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        self.peers.add(request.get_extra_info("peername"))
        self.bodies.append(await request.read())
        return self._handler(request)


@asynccontextmanager
async def serving(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    server = Server(handler, tls)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    server.port = runner.addresses[0][1]
    try:
        yield server
    finally:
        await runner.cleanup()


@asynccontextmanager
async def client_of(server: Server, config: Config | None = None, concurrency: int = 16) -> AsyncIterator[Client]:
    default = Config(server=f"http://127.0.0.1:{server.port}", credentials=FixedCredentials(Credential(SECRET)))
    async with Transport(config or default) as transport:
        yield Client(transport, concurrency)


def says(*answers: web.Response | tuple[int, dict[str, str]]) -> Handler:
    """These answers in turn, the last one for ever."""
    left = list(answers)

    def answer(_: web.Request) -> web.Response:
        chosen = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(chosen, web.Response):
            return chosen
        code, headers = chosen
        body = msgspec.json.encode({"kind": "Status", "code": code, "reason": "Because", "message": "not now"})
        return web.Response(status=code, headers=headers, body=body)

    return answer


def fine(body: bytes = b"{}") -> web.Response:
    return web.Response(body=body)


async def test_each_verb_is_sent_as_the_api_expects_it() -> None:
    async with serving(lambda _: fine()) as server, client_of(server) as client:
        await client.read(A)
        await client.create(WIDGET, "shop", {"kind": "Widget"}, {"dryRun": "All"})
        await client.replace(A, b'{"raw": true}', "status")
        await client.apply(A, {"spec": {}}, "trilithon", "status")
        await client.merge_patch(A, {"status": {}}, "trilithon", "status")
        await client.delete(A, {"preconditions": {"uid": "u"}})
    root = "/apis/shop.test/v1/namespaces/shop/widgets"
    assert [(request.method, request.path_qs) for request in server.requests] == [
        ("GET", f"{root}/a"),
        ("POST", f"{root}?dryRun=All"),
        ("PUT", f"{root}/a/status"),
        ("PATCH", f"{root}/a/status?fieldManager=trilithon&force=true"),
        ("PATCH", f"{root}/a/status?fieldManager=trilithon"),
        ("DELETE", f"{root}/a"),
    ]
    types = [request.headers.get("Content-Type") for request in server.requests]
    assert types[3:5] == ["application/apply-patch+yaml", "application/merge-patch+json"]
    assert server.bodies[2] == b'{"raw": true}'
    assert b'"preconditions":{"uid":"u"}' in server.bodies[5]
    assert len(server.peers) == 1, "all go over one connection"
    assert all(request.headers["User-Agent"].startswith("trilithon/") for request in server.requests)
    assert all(request.headers["Authorization"] == f"Bearer {SECRET}" for request in server.requests)


async def test_a_list_is_read_page_by_page() -> None:
    first = b'{"kind":"WidgetList","metadata":{"resourceVersion":"7","continue":"a b&c"},"items":[{"n":1}]}'
    last = b'{"kind":"WidgetList","metadata":{"resourceVersion":"7"},"items":null}'
    async with serving(says(fine(first), fine(last))) as server, client_of(server) as client:
        pages = [page async for page in client.pages(WIDGET, options={"labelSelector": "a in (b)"})]
    assert [len(page.items) for page in pages] == [1, 0]
    assert [request.query.get("continue") for request in server.requests] == [None, "a b&c"]
    assert server.requests[1].query["labelSelector"] == "a in (b)"


async def test_an_answer_that_is_no_list_is_not_an_empty_list() -> None:
    async with serving(lambda _: fine()) as server, client_of(server) as client:
        with pytest.raises(NotUnderstood):
            _ = [page async for page in client.pages(WIDGET)]


async def test_a_refusal_is_told_in_the_servers_words() -> None:
    async with serving(says((409, {}))) as server, client_of(server) as client:
        with pytest.raises(ApiError) as refused:
            await client.merge_patch(A, {}, "m")
    assert (refused.value.status, refused.value.reason, refused.value.message) == (409, "Because", "not now")
    assert len(server.requests) == 1


async def test_a_page_of_a_proxy_is_quoted_and_cut() -> None:
    page = web.Response(status=403, body=b"<html>\n" + b"x" * 5000)
    async with serving(lambda _: page) as server, client_of(server) as client:
        with pytest.raises(ApiError, match=r"^403: <html> x+$") as refused:
            await client.read(A)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("code", [429, 503])
async def test_every_request_is_tried_again_when_the_server_asks_for_patience(code: int) -> None:
    loop = asyncio.get_running_loop()
    async with serving(says((code, {"Retry-After": "1"}), fine())) as server, client_of(server) as client:
        began = loop.time()
        await client.create(WIDGET, "shop", {})
    assert len(server.requests) == 2
    assert loop.time() - began >= 1


async def test_only_what_may_be_done_twice_is_tried_again_after_an_unclear_failure() -> None:
    async with serving(says((500, {}), fine())) as server, client_of(server) as client:
        await client.apply(A, {}, "m")
        assert len(server.requests) == 2
    async with serving(says((500, {}), fine())) as server, client_of(server) as client:
        with pytest.raises(ApiError, match="500"):
            await client.create(WIDGET, "shop", {})


async def test_a_server_that_asks_for_too_much_patience_is_told_of() -> None:
    async with serving(says((429, {"Retry-After": "3600"}))) as server, client_of(server) as client:
        with pytest.raises(ApiError) as refused:
            await client.read(A)
    assert refused.value.retry_after == 3600


async def test_requests_are_bounded_and_other_clients_of_the_transport_do_not_wait() -> None:
    arrived, release, open_now, most = asyncio.Semaphore(0), asyncio.Event(), 0, 0

    class Slow(Server):
        async def handle(self, request: web.Request) -> web.StreamResponse:
            nonlocal open_now, most
            if request.path.endswith("/urgent"):
                return fine()
            open_now += 1
            most = max(most, open_now)
            arrived.release()
            await release.wait()
            open_now -= 1
            return fine()

    server = Slow(lambda _: fine(), None)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.port = runner.addresses[0][1]
    async with client_of(server, concurrency=3) as client:
        asking = [asyncio.create_task(client.get("/slow")) for _ in range(10)]
        for _ in range(3):
            await arrived.acquire()
        assert await Client(client.transport, 1).get("/urgent") == b"{}"
        release.set()
        await asyncio.gather(*asking)
    await runner.cleanup()
    assert most == 3


async def test_a_refused_token_is_read_again_at_once(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("old")

    def handler(request: web.Request) -> web.Response:
        return fine() if request.headers["Authorization"] == "Bearer new" else web.Response(status=401)

    async with serving(handler) as server:
        config = Config(server=f"http://127.0.0.1:{server.port}", credentials=FileCredentials(token=file))
        async with client_of(server, config) as client:
            with pytest.raises(ApiError, match="401"):
                await client.read(A)
            assert len(server.requests) == 1, "the same token is not sent twice"
            file.write_text("new")
            await client.read(A)
            assert len(server.requests) == 3


async def test_a_redirect_is_not_followed_with_our_token() -> None:
    away = web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"})
    async with serving(lambda _: away) as server, client_of(server) as client:
        with pytest.raises(ApiError, match="302"):
            await client.read(A)


async def test_a_token_that_no_header_can_carry_is_refused_without_quoting_it() -> None:
    async with serving(lambda _: fine()) as server:
        credentials = FixedCredentials(Credential(f"{SECRET}\r\nX: y"))
        config = Config(server=f"http://127.0.0.1:{server.port}", credentials=credentials)
        async with client_of(server, config) as client:
            with pytest.raises(CredentialError) as refused:
                await client.read(A)
    assert SECRET not in str(refused.value)


async def test_a_server_that_is_not_there_is_unreachable() -> None:
    config = Config(server="http://127.0.0.1:1", credentials=FixedCredentials(Credential(SECRET)))
    async with Transport(config) as transport:
        with pytest.raises(Unreachable, match="cannot connect to the API server") as failed:
            await transport.fetch(Request(path="/"))
    assert failed.value.is_unsent
    assert SECRET not in str(failed.value)


async def test_servers_and_clients_prove_who_they_are() -> None:
    ours, theirs = trustme.CA(), trustme.CA()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ours.issue_cert("api.test").configure_cert(tls)
    ours.configure_trust(tls)
    tls.verify_mode = ssl.CERT_REQUIRED
    identity = ours.issue_cert("trilithon.test")
    credential = Credential("", identity.cert_chain_pems[0].bytes(), identity.private_key_pem.bytes())
    ca = ours.cert_pem.bytes()

    async with serving(lambda _: fine(), tls) as server:

        async def fetched(trust: Trust, sent: Credential = credential) -> bytes:
            config = Config(server=f"https://127.0.0.1:{server.port}", credentials=FixedCredentials(sent), trust=trust)
            async with Transport(config) as transport:
                return await transport.fetch(Request(path="/"))

        assert await fetched(Trust(ca=ca, server_name="api.test")) == b"{}"
        assert await fetched(Trust(is_insecure=True)) == b"{}"
        with pytest.raises(Unreachable, match="not trusted"):
            await fetched(Trust(ca=ca))
        with pytest.raises(Unreachable, match="not trusted"):
            await fetched(Trust(ca=theirs.cert_pem.bytes(), server_name="api.test"))
        with pytest.raises(Unreachable):
            await fetched(Trust(ca=ca, server_name="api.test"), Credential())


async def test_discovery_names_versions_and_kinds() -> None:
    answers = {
        "/api": b'{"versions":["v1"]}',
        "/apis/shop.test": b'{"name":"shop.test","versions":[{"version":"v1"},{"version":"v1beta1"}]}',
        "/apis/shop.test/v1": b'{"resources":[{"name":"widgets","kind":"Widget","namespaced":true,"verbs":["list",'
        b'"watch"]},{"name":"widgets/status","kind":"Widget","namespaced":true,"verbs":["patch"]},'
        b'{"name":"reviews","kind":"Review","namespaced":false,"verbs":["create"]}]}',
    }

    def handler(request: web.Request) -> web.Response:
        return fine(answers[request.path]) if request.path in answers else web.Response(status=404)

    async with serving(handler) as server, client_of(server) as client:
        discovery = Discovery(client.transport)
        assert (await discovery.versions(""), await discovery.versions("shop.test")) == (("v1",), ("v1", "v1beta1"))
        assert await discovery.kinds("shop.test", "v1") == (
            ApiKind("shop.test", "v1", "Widget", "widgets", True, ("status",)),
        )
        assert await discovery.kinds("shop.test", "v9") == ()
        assert await discovery.versions("absent.test") == ()
