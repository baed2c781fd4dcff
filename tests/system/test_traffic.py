"""What a request meets on its way: protocols, filters, mirrors, retries, timeouts, weights, and where no backend is."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
from websockets.asyncio.client import connect

from tests.system.client import Answer, Headers, Unanswered, fetch, fetch_h2
from tests.system.harness import Backend, Command, backends, free_port, serves, until
from tests.system.manifests import (
    Folder,
    Json,
    backend,
    gateway,
    listener,
    prefix,
    route,
    rule,
    service,
    to,
    to_service,
)
from tests.system.program import Program, serving
from trilithon.sinks.envoy.envoy_binary import find_envoy

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="module")]
EXTENSIONS = "type.googleapis.com/envoy.extensions.filters."
OFFSET = 1000
PORT = free_port()
LISTENED = PORT - OFFSET
REDIRECTS: dict[str, tuple[Json, str]] = {
    "https": ({"scheme": "https"}, "https://redirect.test/x?q=1"),
    "host": ({"hostname": "b.test", "statusCode": 302}, f"http://b.test:{PORT}/x?q=1"),
    "port": ({"port": 8443, "scheme": "https"}, "https://redirect.test:8443/x?q=1"),
    "path": ({"path": {"type": "ReplaceFullPath", "replaceFullPath": "/y"}}, f"http://redirect.test:{PORT}/y?q=1"),
    "prefix": (
        {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/z"}, "statusCode": 308},
        f"http://redirect.test:{PORT}/z?q=1",
    ),
}
CORS: Json = {
    "allowOrigins": ["https://app.test"],
    "allowMethods": ["GET", "PUT"],
    "allowHeaders": ["x-token"],
    "exposeHeaders": ["x-backend"],
    "allowCredentials": True,
    "maxAge": 600,
}


def filtered(kind: str, **settings: object) -> Json:
    """A filter, whose settings stand in a field called like its type."""
    field = kind.lower() if kind == "CORS" else kind.replace("URL", "url")
    return {"type": kind, field[0].lower() + field[1:]: settings}


def routes() -> list[Json]:
    """One hostname for each thing to see."""
    a = to("a")
    edits = [
        filtered(
            "RequestHeaderModifier",
            set=[{"name": "x-set", "value": "new"}],
            add=[{"name": "x-add", "value": "more"}],
            remove=["x-gone"],
        ),
        filtered(
            "ResponseHeaderModifier",
            set=[{"name": "x-backend", "value": "hidden"}],
            add=[{"name": "x-more", "value": "1"}],
        ),
    ]
    rewrite = filtered(
        "URLRewrite",
        hostname="inside.test",
        path={"type": "ReplacePrefixMatch", "replacePrefixMatch": "/new"},
    )
    mirror = {"backendRef": {"group": "trilithon.dev", "kind": "Backend", "name": "mirror"}}
    down = {"backendRef": {"group": "trilithon.dev", "kind": "Backend", "name": "down"}}
    absent = rule(to("gone", 1), a)
    rules = {
        "plain": [rule(a)],
        "edits": [rule(a, filters=edits)],
        "rewrite": [rule(a, matches=[prefix("/old")], filters=[rewrite])],
        "mirror": [rule(a, filters=[filtered("RequestMirror", **mirror), filtered("RequestMirror", **down)])],
        "retry": [rule(a, retry={"codes": [503], "attempts": 3, "backoff": "10ms"})],
        "timeout": [rule(a, timeouts={"request": "2s"})],
        "attempt": [
            rule(a, timeouts={"request": "20s", "backendRequest": "2s"}, retry={"codes": [503], "attempts": 1})
        ],
        "cors": [rule(a, filters=[filtered("CORS", **CORS)])],
        "redirect": [rule(matches=[_case(name)], filters=[_redirect(name)]) for name in REDIRECTS],
        "weights": [rule(to("a", 6), to("b", 3), to("gone", 1))],
        "zero": [rule(to("a", 0), to("b", 0))],
        "absent": [absent | {"backendRefs": absent["backendRefs"][:1]}],
        "empty": [rule(to_service("empty"))],
        "down": [rule(to("down"))],
        "h2c": [rule(to("h2c"))],
    }
    return [route(name, *each, hosts=[f"{name}.test"]) for name, each in rules.items()]


def _case(name: str) -> Json:
    return {**prefix("/x"), "headers": [{"name": "case", "value": name}]}


def _redirect(name: str) -> Json:
    return filtered("RequestRedirect", **REDIRECTS[name][0])


@asynccontextmanager
async def h2c_server(folder: Path) -> AsyncIterator[int]:
    """A backend that speaks HTTP/2 alone: an Envoy that answers by itself, and says what it was spoken to in."""
    port = free_port()
    manager = {
        "@type": f"{EXTENSIONS}network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "h2c",
        "codec_type": "HTTP2",
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [
                        {
                            "match": {"prefix": "/"},
                            "direct_response": {"status": 200, "body": {"inline_string": "hello"}},
                            "response_headers_to_add": [{"header": {"key": "x-spoken", "value": "%PROTOCOL%"}}],
                        }
                    ],
                }
            ]
        },
        "http_filters": [
            {
                "name": "router",
                "typed_config": {"@type": f"{EXTENSIONS}http.router.v3.Router"},
            }
        ],
    }
    chain = {"filters": [{"name": "http", "typed_config": manager}]}
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    config = {"static_resources": {"listeners": [{"address": address, "filter_chains": [chain]}]}}
    file = folder / "h2c.json"
    file.write_bytes(msgspec.json.encode(config))
    arguments = ("--config-path", file, "--concurrency", "1", "--disable-hot-restart", "--log-level", "error")
    async with Command(find_envoy().path, *arguments):
        await _speaks_h2(port)
        yield port


async def _speaks_h2(port: int) -> None:
    async def does() -> bool:
        try:
            return (await fetch_h2(port)).status == 200
        except Unanswered:
            return False

    await until(does)


class World(msgspec.Struct, frozen=True):
    """What runs."""

    program: Program
    servers: dict[str, Backend]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(shared_folder: Folder, shared_runtime: Path) -> AsyncIterator[World]:
    """The program with all the routes, at shifted ports."""
    async with backends("a", "b", "mirror") as servers, h2c_server(shared_runtime) as h2c:
        shared_folder.write("gateway.yaml", gateway(listener(LISTENED)), service("empty"))
        shared_folder.write("backends.yaml", *(backend(name, server.port) for name, server in servers.items()))
        shared_folder.write(
            "more.yaml", backend("down", free_port()), backend("h2c", h2c, protocol="kubernetes.io/h2c")
        )
        shared_folder.write("routes.yaml", *routes())
        async with serving(shared_folder, shared_runtime, "--port-offset", str(OFFSET)) as program:
            await serves(PORT, host="plain.test")
            yield World(program, servers)


async def ask(name: str, target: str = "/", *, method: str = "GET", headers: Headers = ()) -> Answer:
    """One request for the route of this name."""
    return await fetch(PORT, target, host=f"{name}.test", method=method, headers=headers)


async def test_http2_with_prior_knowledge_on_the_port_of_http(world: World) -> None:
    answer = await fetch_h2(PORT, "/over?h2", host="plain.test")
    assert (answer.status, answer.backend, answer.echo["path"]) == (200, "a", "/over?h2")


async def test_a_backend_of_h2c_is_spoken_to_in_http2(world: World) -> None:
    for answer in (await ask("h2c"), await fetch_h2(PORT, host="h2c.test")):
        assert (answer.status, answer.header("x-spoken"), answer.body) == (200, "HTTP/2", b"hello")


async def test_a_websocket_end_to_end(world: World) -> None:
    async with connect(f"ws://plain.test:{PORT}/ws", host="127.0.0.1", port=PORT) as socket:
        for message in ("hello", b"\x00\xff", "x" * 200_000):
            await socket.send(message)
            assert await socket.recv() == message


async def test_what_the_backend_sees_of_the_client(world: World) -> None:
    forged = [("x-forwarded-for", "6.6.6.6"), ("x-forwarded-proto", "https"), ("x-envoy-retry-on", "5xx")]
    answer = await ask("plain", "/a%20b?c=%2f", headers=[*forged, ("x-request-id", "mine")])
    assert answer.echo["path"] == "/a%20b?c=%2f"
    assert answer.echo["host"] == "plain.test"
    assert answer.seen_header("x-forwarded-proto") == "http"
    # What the client says stands before what the proxy knows (of a client on the same machine: the machine's address).
    assert (answer.seen_header("x-forwarded-for") or "").startswith("6.6.6.6,")
    assert answer.seen_header("x-request-id") not in {None, "mine"}
    assert answer.seen_header("x-envoy-retry-on") is None
    assert not [name for name, _ in answer.headers if name.startswith("x-envoy")]


async def test_headers_are_edited_on_the_way_there_and_back(world: World) -> None:
    answer = await ask("edits", headers=[("x-set", "old"), ("x-add", "some"), ("x-gone", "1")])
    assert answer.seen_header("x-set") == "new"
    assert answer.seen_header("x-add") in {"some, more", "some,more"}
    assert answer.seen_header("x-gone") is None
    assert (answer.header("x-backend"), answer.header("x-more")) == ("hidden", "1")


async def test_path_and_host_are_rewritten(world: World) -> None:
    answer = await ask("rewrite", "/old/x?y=1")
    assert (answer.echo["path"], answer.echo["host"]) == ("/new/x?y=1", "inside.test")
    assert (await ask("rewrite", "/older")).status == 404


async def test_a_mirror_gets_a_copy_and_its_answer_is_ignored(world: World) -> None:
    before = world.servers["mirror"].seen["/copied"]
    for _ in range(5):
        # The other mirror is down, and the first one fails: nobody notices.
        answer = await ask("mirror", "/copied?header=x-from:a", headers=[("x-echo", "delay=0ms")])
        assert (answer.status, answer.backend) == (200, "a")
    await until(lambda: world.servers["mirror"].seen["/copied"] == before + 5)


async def test_retries_hide_what_fails_often_enough_only(world: World) -> None:
    assert (await ask("retry", "/r1?fail=3&id=three")).status == 200
    assert world.servers["a"].seen["/r1"] == 4
    assert (await ask("retry", "/r2?fail=9&id=nine")).status == 503
    assert world.servers["a"].seen["/r2"] == 4
    # Only what was named is tried again, and only where it was asked for.
    assert (await ask("retry", "/r3?status=500")).status == 500
    assert world.servers["a"].seen["/r3"] == 1
    assert (await ask("plain", "/r4?fail=1&id=once")).status == 503
    assert world.servers["a"].seen["/r4"] == 1


async def test_a_request_takes_no_longer_than_its_timeout(world: World) -> None:
    assert 1.9 < await _seconds_until_given_up("timeout", "/?delay=20s") < 15
    assert (await ask("timeout", "/?delay=10ms")).status == 200


async def test_an_attempt_takes_no_longer_than_its_timeout(world: World) -> None:
    assert 1.9 < await _seconds_until_given_up("attempt", "/slow-attempt?delay=20s") < 15
    assert world.servers["a"].seen["/slow-attempt"] >= 1


async def _seconds_until_given_up(name: str, target: str) -> float:
    started = time.monotonic()
    assert (await fetch(PORT, target, host=f"{name}.test", seconds=30)).status == 504
    return time.monotonic() - started


async def test_cors_answers_a_preflight_itself_and_marks_answers(world: World) -> None:
    asked = [("origin", "https://app.test"), ("access-control-request-method", "PUT")]
    preflight = await ask("cors", "/preflight", method="OPTIONS", headers=asked)
    assert preflight.status in {200, 204}
    assert preflight.header("access-control-allow-origin") == "https://app.test"
    assert "PUT" in (preflight.header("access-control-allow-methods") or "")
    assert (preflight.header("access-control-max-age"), preflight.header("access-control-allow-credentials")) == (
        "600",
        "true",
    )
    assert world.servers["a"].seen["/preflight"] == 0
    answer = await ask("cors", headers=asked[:1])
    assert (answer.status, answer.header("access-control-allow-origin")) == (200, "https://app.test")
    stranger = await ask("cors", headers=[("origin", "https://evil.test")])
    assert stranger.header("access-control-allow-origin") is None


@pytest.mark.parametrize("name", REDIRECTS)
async def test_a_redirect_names_the_port_that_clients_use(world: World, name: str) -> None:
    settings, location = REDIRECTS[name]
    host = f"redirect.test:{PORT}"
    answer = await fetch(PORT, "/x?q=1", host=host, headers=[("case", name)])
    assert (answer.status, answer.header("location")) == (settings.get("statusCode", 302), location)


async def test_weights_and_the_share_of_what_is_missing(world: World) -> None:
    async def asks(count: int) -> list[str]:
        found = []
        for _ in range(count):
            answer = await ask("weights")
            assert answer.status in {200, 500}
            found.append(answer.backend or answer.body.decode().strip())
        return found

    counts = Counter(name for names in await asyncio.gather(*(asks(150) for _ in range(4))) for name in names)
    # 600 draws: five standard deviations around the expected share.
    for name, share in {"a": 0.6, "b": 0.3, "BackendNotFound": 0.1}.items():
        assert abs(counts[name] - 600 * share) < 5 * (600 * share * (1 - share)) ** 0.5, counts


async def test_without_an_endpoint_it_is_503_and_without_a_backend_500(world: World) -> None:
    assert (await ask("empty")).status == 503
    assert (await ask("down")).status == 503
    absent = await ask("absent")
    assert (absent.status, absent.body) == (500, b"BackendNotFound\n")
    assert (await ask("zero")).status == 500
    assert (await fetch(PORT, host="nobody.example")).status == 404
