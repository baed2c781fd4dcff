"""What a real Envoy does with encoded resources.

The tables are those of the API: https://gateway-api.sigs.k8s.io/reference/spec/ (HTTPPathModifier, HTTPCORSFilter,
HTTPRequestRedirectFilter) and the listener isolation and misdirected request rules of Gateway.spec.listeners.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial
from pathlib import Path

import jh2.config  # type: ignore[import-untyped]
import jh2.connection  # type: ignore[import-untyped]
import jh2.events  # type: ignore[import-untyped]
import pytest
import trustme
from websockets.asyncio.client import connect

from tests.system.client import Answer, Headers, Unanswered, fetch, fetch_h2, trusting
from tests.system.harness import backends, until
from tests.xds.static_envoy import envoy
from tests.xds.world import World, backend, invalid, listener, prefix, rule, tls_listener, to
from trilithon.cli.echo import EchoServer
from trilithon.model.rule import (
    Cors,
    Filters,
    Forward,
    HeaderEdit,
    Match,
    Mirror,
    PathEdit,
    PathMatch,
    Redirect,
    Retry,
    Rewrite,
    Share,
    ValueMatch,
)
from trilithon.model.settings import Settings
from trilithon.resources.core import BackendEndpoint, HostnameEndpoint, IPEndpoint, UnixEndpoint

pytestmark = pytest.mark.system

PREFIX_TABLE = [
    ("/foo/bar", "/foo", "/xyz", "/xyz/bar"),
    ("/foo/bar", "/foo", "/xyz/", "/xyz/bar"),
    ("/foo", "/foo", "/xyz", "/xyz"),
    ("/foo/", "/foo", "/xyz", "/xyz/"),
    ("/foo/bar", "/foo", "", "/bar"),
    ("/foo/bar", "/foo", "/", "/bar"),
    ("/foo", "/foo", "", "/"),
    ("/foo/", "/foo", "", "/"),
    ("/foo", "/foo", "/", "/"),
    ("/foo/", "/foo", "/", "/"),
    ("/a.b/foo/x", "/a.b", "/", "/foo/x"),
    ("/foo/bar", "/", "/xyz", "/xyz/foo/bar"),
    ("/", "/", "/xyz", "/xyz/"),
    ("/foo", "/", "/", "/foo"),
]


async def test_a_prefix_is_replaced_in_whole_elements(tmp_path: Path) -> None:
    async with backends("a") as servers:
        world = World()
        world.backend("a", servers["a"].port)
        for index, (_, matched, replacement, _) in enumerate(PREFIX_TABLE):
            edit = PathEdit("prefix", replacement)
            forward = rule(to("a"), prefix(matched), filters=Filters(rewrite=Rewrite(path=edit)))
            world.route(f"f{index}", forward, hosts=[f"f{index}.test"])
            world.route(f"r{index}", rule(Redirect(302, path=edit), prefix(matched)), hosts=[f"r{index}.test"])
        async with envoy(world, tmp_path) as ports:
            for index, (asked, matched, replacement, expected) in enumerate(PREFIX_TABLE):
                case = f"{asked} with {matched} replaced by {replacement!r}"
                answer = await fetch(ports[80], f"{asked}?q=/foo", host=f"f{index}.test")
                assert answer.echo["path"] == f"{expected}?q=/foo", case
                answer = await fetch(ports[80], f"{asked}?q=/foo", host=f"r{index}.test")
                assert answer.header("location") == f"http://r{index}.test{expected}?q=/foo", case


async def test_a_full_path_and_the_host_are_replaced(tmp_path: Path) -> None:
    async with backends("a") as servers:
        world = World()
        world.backend("a", servers["a"].port)
        rewrite = Rewrite("in.test", PathEdit("full", "/a%2Fb\\1"))
        world.route("web", rule(to("a"), prefix("/x"), filters=Filters(rewrite=rewrite)))
        async with envoy(world, tmp_path) as ports:
            answer = await fetch(ports[80], "/x/y?z=1", host="out.test")
            assert answer.echo["path"] == "/a%2Fb\\1?z=1"
            assert answer.echo["host"] == "in.test"


REDIRECTS = [
    (80, Redirect(302, hostname="b.test"), "a.test", "http://b.test/x?q=1"),
    (80, Redirect(302, hostname="b.test"), "a.test:80", "http://b.test/x?q=1"),
    (8080, Redirect(302, hostname="b.test"), "a.test:8080", "http://b.test:8080/x?q=1"),
    (8080, Redirect(301, scheme="https"), "a.test:8080", "https://a.test/x?q=1"),
    (80, Redirect(301, scheme="https"), "a.test", "https://a.test/x?q=1"),
    (8080, Redirect(301, scheme="https", port=8443), "a.test:8080", "https://a.test:8443/x?q=1"),
    (8080, Redirect(301, scheme="https", port=443), "a.test:8080", "https://a.test/x?q=1"),
    (8080, Redirect(301, scheme="http"), "a.test:8080", "http://a.test/x?q=1"),
    (8080, Redirect(302, port=80), "a.test:8080", "http://a.test/x?q=1"),
    (8080, Redirect(302, port=9000), "a.test", "http://a.test:9000/x?q=1"),
    (80, Redirect(302, port=443), "a.test", "http://a.test:443/x?q=1"),
    (8080, Redirect(303, path=PathEdit("full", "/y")), "a.test", "http://a.test:8080/y?q=1"),
    (80, Redirect(307, path=PathEdit("full", "/y")), "a.test:80", "http://a.test/y?q=1"),
    (
        80,
        Redirect(308, scheme="https", hostname="b.test", path=PathEdit("full", "/y")),
        "a.test",
        "https://b.test/y?q=1",
    ),
    (8080, Redirect(301, scheme="https"), "[::1]:8080", "https://[::1]/x?q=1"),
]


async def test_a_redirect_names_the_port_that_the_client_must_use(tmp_path: Path) -> None:
    world = World(listener("http", 80), listener("alt", 8080))
    for index, (port, redirect, _, _) in enumerate(REDIRECTS):
        match = prefix("/x", headers=(ValueMatch("case", "exact", str(index)),))
        world.route(f"r{index}", rule(redirect, match), at="http" if port == 80 else "alt")
    async with envoy(world, tmp_path) as ports:
        for index, (port, redirect, host, expected) in enumerate(REDIRECTS):
            answer = await fetch(ports[port], "/x?q=1", host=host, headers=[("case", str(index))])
            assert (answer.status, answer.header("location")) == (redirect.status, expected), (port, redirect)


async def test_a_port_offset_is_what_clients_see(tmp_path: Path) -> None:
    world = World(settings=Settings(port_offset=8000))
    world.route("web", rule(Redirect(302, hostname="b.test")))
    async with envoy(world, tmp_path) as ports:
        assert (await fetch(ports[8080])).header("location") == "http://b.test:8080/"


async def test_an_invalid_share_gets_500_with_its_reason(tmp_path: Path) -> None:
    async with backends("a") as servers:
        world = World()
        world.backend("a", servers["a"].port)
        shares = (Share(0, 1, backend("a")), invalid(1, 1), Share(2, 0, backend("zero")))
        world.route("web", rule(Forward(shares)))
        async with envoy(world, tmp_path) as ports:
            answers = await asyncio.gather(*(fetch(ports[80]) for _ in range(400)))
    statuses = Counter(answer.status for answer in answers)
    assert set(statuses) == {200, 500}
    assert 120 < statuses[500] < 280
    refused = next(answer for answer in answers if answer.status == 500)
    assert refused.body == b"BackendNotFound\n"


async def test_no_endpoints_get_503_and_no_rule_gets_404(tmp_path: Path) -> None:
    world = World()
    world.route("web", rule(to("missing"), prefix("/x")))
    async with envoy(world, tmp_path) as ports:
        assert (await fetch(ports[80], "/x")).status == 503
        assert (await fetch(ports[80], "/")).status == 404


async def test_headers_are_edited_by_the_rule_and_then_by_the_backend(tmp_path: Path) -> None:
    filters = Filters(
        request_headers=HeaderEdit(
            set=(("x-set", "100%REQ(host)%"), ("x-both", "rule")), add=(("x-add", "rule"),), remove=("x-gone",)
        ),
        response_headers=HeaderEdit(set=(("x-answer", "rule"),), add=(("x-more", "rule"),), remove=("content-type",)),
    )
    own = Filters(
        request_headers=HeaderEdit(set=(("x-both", "backend"),), add=(("x-add", "backend"),)),
        response_headers=HeaderEdit(set=(("x-answer", "backend"),), add=(("x-more", "backend"),)),
    )
    async with backends("a") as servers:
        world = World()
        world.backend("a", servers["a"].port)
        one = Forward((Share(0, 1, backend("a"), filters=own),))
        two = Forward((Share(0, 1, backend("a"), filters=own), Share(1, 1, backend("a"), filters=own)))
        world.route(
            "web", rule(one, prefix("/one"), filters=filters), rule(two, prefix("/two"), filters=filters, index=1)
        )
        world.route("plain", rule(to("a"), prefix("/plain"), filters=filters))
        async with envoy(world, tmp_path) as ports:
            sent = [("X-Set", "client"), ("x-add", "client"), ("x-gone", "client"), ("x-both", "client")]
            for path, added, last in (
                ("/one", "rule, backend", "backend"),
                ("/two", "rule, backend", "backend"),
                ("/plain", "rule", "rule"),
            ):
                answer = await fetch(ports[80], path, headers=sent)
                assert answer.seen_header("x-set") == "100%REQ(host)%", path
                assert answer.seen_header("x-add") == f"client, {added}", path
                assert answer.seen_header("x-gone") is None, path
                assert answer.seen_header("x-both") == last, path
                assert answer.header("x-answer") == last, path
                assert answer.header("x-more") == added, path
                assert answer.header("content-type") is None, path


async def test_response_headers_are_edited_on_redirects_and_errors(tmp_path: Path) -> None:
    filters = Filters(response_headers=HeaderEdit(set=(("x-answer", "rule"),)))
    world = World()
    world.route(
        "web",
        rule(Redirect(302, hostname="b.test"), prefix("/redirect"), filters=filters),
        rule(to("missing"), prefix("/missing"), filters=filters, index=1),
        rule(
            Forward((Share(0, 1, backend("missing")), invalid(1, 10**6))), prefix("/invalid"), filters=filters, index=2
        ),
    )
    async with envoy(world, tmp_path) as ports:
        for path, status in (("/redirect", 302), ("/missing", 503), ("/invalid", 500)):
            answer = await fetch(ports[80], path)
            assert (answer.status, answer.header("x-answer")) == (status, "rule")


LISTED = Cors(
    allow_origins=("https://www.foo.com", "https://*.bar.com", "http://port.test:8080"),
    allow_methods=("GET", "OPTIONS"),
    allow_headers=("x-header-1", "x-header-2"),
    expose_headers=("x-header-3", "x-header-4"),
    allow_credentials=True,
    max_age=3600,
)
WILD = Cors(("*",), ("*",), ("*",), ("*",), allow_credentials=False, max_age=5)
WILD_WITH_CREDENTIALS = Cors(("*",), ("*",), ("*",), ("*",), allow_credentials=True, max_age=5)


def preflight(origin: str, method: str = "PUT", headers: str | None = None) -> Headers:
    asked = [("access-control-request-headers", headers)] if headers else []
    return [("origin", origin), ("access-control-request-method", method), *asked]


def allowed(answer: Answer) -> dict[str, str]:
    """The CORS headers of an answer, without their common beginning."""
    start = "access-control-"
    return {name.removeprefix(start): value for name, value in answer.headers if name.startswith(start)}


async def test_preflights_are_answered_and_allowed_origins_told(tmp_path: Path) -> None:
    async with backends("a") as servers:
        world = World()
        world.backend("a", servers["a"].port)
        for name, cors in (("listed", LISTED), ("wild", WILD), ("credentials", WILD_WITH_CREDENTIALS)):
            world.route(name, rule(to("a"), prefix(f"/{name}"), filters=Filters(cors=cors)))
        world.route("moved", rule(Redirect(302, hostname="b.test"), prefix("/moved"), filters=Filters(cors=LISTED)))
        async with envoy(world, tmp_path) as ports:

            async def ask(path: str, headers: Headers, method: str = "OPTIONS") -> Answer:
                return await fetch(ports[80], path, headers=headers, method=method)

            for path in ("/listed", "/moved"):
                for origin in (
                    "https://www.foo.com",
                    "https://www.bar.com",
                    "https://a.b.bar.com",
                    "https://www.foo.com:443",
                ):
                    answer = await ask(path, preflight(origin, headers="x-header-1, x-header-2"))
                    assert answer.status == 200
                    assert answer.body == b""
                    assert allowed(answer) == {
                        "allow-origin": origin,
                        "allow-methods": "GET, OPTIONS",
                        "allow-headers": "x-header-1, x-header-2",
                        "expose-headers": "x-header-3, x-header-4",
                        "allow-credentials": "true",
                        "max-age": "3600",
                    }
                    answer = await ask(path, [("origin", origin)], "GET")
                    assert answer.status == (200 if path == "/listed" else 302)
                    assert allowed(answer) == {
                        "allow-origin": origin,
                        "expose-headers": "x-header-3, x-header-4",
                        "allow-credentials": "true",
                    }
                    assert answer.header("vary") == "Origin"
                for origin in (
                    "https://foobar.com",
                    "https://bar.com",
                    "http://www.foo.com",
                    "https://www.foo.com:8443",
                ):
                    answer = await ask(path, preflight(origin))
                    assert (answer.status, allowed(answer), answer.body) == (200, {}, b"")
                    answer = await ask(path, [("origin", origin)], "GET")
                    assert (allowed(answer), answer.header("vary")) == ({}, "Origin")
            answer = await ask("/listed", preflight("http://port.test:8080"))
            assert allowed(answer)["allow-origin"] == "http://port.test:8080"

            answer = await ask("/wild", preflight("https://x.test:12345", headers="x-1, x-2"))
            assert allowed(answer) == {
                "allow-origin": "https://x.test:12345",
                "allow-methods": "PUT",
                "allow-headers": "x-1, x-2",
                "expose-headers": "*",
                "max-age": "5",
            }
            answer = await ask("/credentials", preflight("https://x.test"))
            assert allowed(answer) == {
                "allow-origin": "https://x.test",
                "allow-methods": "PUT",
                "allow-credentials": "true",
                "max-age": "5",
            }
            # OPTIONS without the headers of a preflight is a request like others.
            answer = await ask("/listed", [("origin", "https://www.foo.com")])
            assert answer.echo["method"] == "OPTIONS"


async def test_cors_of_one_backend_is_its_own(tmp_path: Path) -> None:
    async with backends("a") as servers:
        world = World()
        world.backend("a", servers["a"].port)
        own = Filters(cors=LISTED)
        one = Forward((Share(0, 1, backend("a"), filters=own),))
        two = Forward((Share(0, 1, backend("a"), filters=own), Share(1, 1, backend("a"), filters=own)))
        world.route("web", rule(one, prefix("/one")), rule(two, prefix("/two"), index=1))
        async with envoy(world, tmp_path) as ports:
            for path in ("/one", "/two"):
                answer = await fetch(ports[80], path, headers=preflight("https://www.foo.com"), method="OPTIONS")
                assert answer.status == 200
                assert allowed(answer)["allow-origin"] == "https://www.foo.com"
                assert allowed(answer)["expose-headers"] == "x-header-3, x-header-4"
                answer = await fetch(ports[80], path, headers=[("origin", "https://www.foo.com")])
                assert allowed(answer)["allow-origin"] == "https://www.foo.com"
                answer = await fetch(ports[80], path, headers=[("origin", "https://no.test")])
                assert allowed(answer) == {}


async def test_mirrors_get_their_share_and_the_same_host(tmp_path: Path) -> None:
    async with backends("a", "b", "c", "d") as servers:
        world = World()
        for name, server in servers.items():
            world.backend(name, server.port)
        mirrors = (Mirror(backend("b")), Mirror(backend("c"), 1, 4), Mirror(backend("d"), 0, 100))
        world.route("web", rule(to("a"), filters=Filters(mirrors=mirrors)))
        async with envoy(world, tmp_path) as ports:
            await asyncio.gather(*(fetch(ports[80], "/m") for _ in range(200)))
            await until(lambda: servers["b"].seen["/m"] == 200)
            assert servers["a"].seen["/m"] == 200
            assert 20 < servers["c"].seen["/m"] < 85
            assert servers["d"].seen["/m"] == 0


async def test_timeouts_answer_504_and_are_not_tried_again(tmp_path: Path) -> None:
    async with backends("a") as servers:
        world = World()
        world.backend("a", servers["a"].port)
        world.route(
            "web",
            rule(to("a"), prefix("/request"), request_timeout=1000),
            rule(to("a"), prefix("/attempt"), index=1, request_timeout=20000, attempt_timeout=1000),
            rule(to("a"), prefix("/none"), index=2, request_timeout=0, attempt_timeout=0),
        )
        async with envoy(world, tmp_path) as ports:
            slow = (("/request", "20s"), ("/attempt", "20s"), ("/none", "1500ms"))
            answers = await asyncio.gather(
                *(fetch(ports[80], f"{path}?delay={delay}", seconds=30) for path, delay in slow)
            )
            assert [answer.status for answer in answers] == [504, 504, 200]
            for path, _ in slow:
                await until(partial(servers["a"].seen.get, path))
                assert servers["a"].seen[path] == 1, path


async def test_retries_count_beside_the_first_try(tmp_path: Path) -> None:
    async with backends("a") as servers:
        world = World()
        world.backend("a", servers["a"].port)
        world.route(
            "web",
            rule(to("a"), prefix("/three"), retry=Retry((503,), 3, 10)),
            rule(to("a"), prefix("/other"), index=1, retry=Retry((500,), 3)),
            rule(to("a"), prefix("/plain"), index=2),
        )
        async with envoy(world, tmp_path) as ports:
            assert (await fetch(ports[80], "/three?fail=3&id=1")).status == 200
            assert servers["a"].seen["/three"] == 4
            assert (await fetch(ports[80], "/three?fail=9&id=2")).status == 503
            assert servers["a"].seen["/three"] == 8
            assert (await fetch(ports[80], "/other?fail=1&id=3")).status == 503
            assert (await fetch(ports[80], "/plain?fail=1&id=4")).status == 503
            assert servers["a"].seen["/plain"] == 1


async def test_a_dead_endpoint_is_passed_over(tmp_path: Path) -> None:
    async with backends("a", "dead") as servers:
        world = World()
        ends = (BackendEndpoint(ip=IPEndpoint(address="127.0.0.1", port=server.port)) for server in servers.values())
        world.backend_object("both", *ends)
        world.route("web", rule(to("both")))
        await servers["dead"].stop()
        async with envoy(world, tmp_path) as ports:
            answers = [await fetch(ports[80]) for _ in range(20)]
    assert {answer.status for answer in answers} == {200}


async def test_endpoints_of_every_sort_are_reached(tmp_path: Path) -> None:
    socket = tmp_path / "echo.sock"
    async with backends("a") as servers, EchoServer("unix", socket=socket):
        world = World()
        at = servers["a"].port
        world.backend_object("unix", BackendEndpoint(unix=UnixEndpoint(path=str(socket))))
        world.backend_object("name", BackendEndpoint(hostname=HostnameEndpoint(hostname="localhost", port=at)))
        world.backend_object(
            "mixed",
            BackendEndpoint(hostname=HostnameEndpoint(hostname="localhost", port=at)),
            BackendEndpoint(ip=IPEndpoint(address="127.0.0.1", port=at)),
        )
        for name in ("unix", "name", "mixed"):
            world.route(name, rule(to(name), prefix(f"/{name}")))
        async with envoy(world, tmp_path) as ports:
            assert (await fetch(ports[80], "/unix")).backend == "unix"
            assert (await fetch(ports[80], "/name")).backend == "a"
            assert (await fetch(ports[80], "/mixed")).backend == "a"


async def test_matches_see_the_path_as_it_is_after_normalising(tmp_path: Path) -> None:
    async with backends("a") as servers:
        world = World()
        world.backend("a", servers["a"].port)
        world.route(
            "web",
            rule(to("a"), Match(0, PathMatch("exact", "/a/b~c"))),
            rule(to("a"), Match(0, PathMatch("exact", "/a%20b")), index=1),
            rule(to("a"), Match(0, PathMatch("regex", "/[0-9]+")), index=2),
            rule(to("a"), prefix("/q", query=(ValueMatch("a", "exact", "1%2B"),)), index=3),
            rule(to("a"), prefix("/h", headers=(ValueMatch("x-one", "regex", "a+"),)), index=4),
            rule(to("a"), prefix("/m", method="PUT"), index=5),
        )
        async with envoy(world, tmp_path) as ports:

            async def status(target: str, headers: Headers = (), method: str = "GET") -> int:
                return (await fetch(ports[80], target, headers=headers, method=method)).status

            assert await status("/a//x/../b%7Ec?x") == 200
            assert await status("/a%20b") == 200
            assert await status("/a%2fb") == 307
            assert await status("/12") == 200
            assert await status("/12/") == 404
            assert await status("/q?a=1%2B&a=2") == 200
            assert await status("/q?a=2&a=1%2B") == 404
            assert await status("/q?a=1+") == 404
            assert await status("/h", [("x-one", "aa")]) == 200
            assert await status("/h", [("x-one", "aab")]) == 404
            # Several headers of one name are one value, joined by commas: one that matches is not enough.
            assert await status("/h", [("x-one", "b"), ("x-one", "a")]) == 404
            assert await status("/h", [("x-one", "b, a")]) == 404
            assert await status("/m", method="PUT") == 200
            assert await status("/m") == 404
            assert await status("/12", [("x_under", "1")]) == 400


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def https_world(authority: trustme.CA, *listeners: tuple[str, str]) -> World:
    """HTTPS listeners by name and hostname, one certificate for all, and a route on each that tells its name."""
    world = World(*(tls_listener(name, hostname) for name, hostname in listeners))
    leaf = authority.issue_cert("*.test", "*.wildcard.test")
    chain = b"".join(blob.bytes() for blob in leaf.cert_chain_pems)
    world.secret("tls", chain, leaf.private_key_pem.bytes())
    for name, _ in listeners:
        edit = HeaderEdit(set=(("x-listener", name),))
        world.route(f"on-{name}", rule(to("a"), filters=Filters(response_headers=edit)), at=name)
    return world


MISDIRECTED = [
    ("first.test", "first.test", "any"),
    ("first.test", "second.test", 421),
    ("first.test", "unknown.test", "any"),
    ("second.test", "second.test", "second"),
    ("second.test", "SECOND.test:443", "second"),
    ("second.test", "first.test", 421),
    ("third.wildcard.test", "third.wildcard.test", "wildcard"),
    ("third.wildcard.test", "fifth.wildcard.test", "wildcard"),
    ("third.wildcard.test", "fourth.wildcard.test", 421),
    ("third.wildcard.test", "second.test", 421),
    ("third.wildcard.test", "unknown.test", 421),
    ("fourth.wildcard.test", "fourth.wildcard.test", "exact"),
    ("fourth.wildcard.test", "fifth.wildcard.test", 421),
]


async def test_a_request_for_another_listener_is_misdirected(tmp_path: Path, authority: trustme.CA) -> None:
    async with backends("a") as servers:
        world = https_world(
            authority,
            ("any", "*"),
            ("second", "second.test"),
            ("wildcard", "*.wildcard.test"),
            ("exact", "fourth.wildcard.test"),
        )
        world.backend("a", servers["a"].port)
        async with envoy(world, tmp_path) as ports:
            for sni, host, expected in MISDIRECTED:
                for answer in (
                    await fetch(ports[443], host=host, tls=trusting(), sni=sni),
                    await fetch_h2(ports[443], host=host, tls=trusting(alpn=["h2"]), sni=sni),
                ):
                    assert (answer.header("x-listener") or answer.status) == expected, (sni, host)


async def test_without_a_listener_for_it_a_host_is_not_found_and_an_sni_refused(
    tmp_path: Path, authority: trustme.CA
) -> None:
    async with backends("a") as servers:
        world = https_world(authority, ("one", "one.test"), ("two", "two.test"))
        world.backend("a", servers["a"].port)
        async with envoy(world, tmp_path) as ports:
            answer = await fetch(ports[443], host="unknown.test", tls=trusting(), sni="one.test")
            assert answer.status == 404
            with pytest.raises(Unanswered):
                await fetch(ports[443], host="unknown.test", tls=trusting(), sni="unknown.test")


async def test_the_most_specific_listener_owns_a_host(tmp_path: Path) -> None:
    async with backends("any", "wild", "exact") as servers:
        world = World(listener("any"), listener("wild", hostname="*.x.test"), listener("exact", hostname="a.x.test"))
        for name, server in servers.items():
            world.backend(name, server.port)
        world.route("on-any", rule(to("any")), at="any")
        world.route("on-wild", rule(to("wild"), prefix("/wild")), at="wild")
        world.route("on-exact", rule(to("exact"), prefix("/exact")), at="exact")
        async with envoy(world, tmp_path) as ports:

            async def served(path: str, host: str) -> str | int:
                answer = await fetch(ports[80], path, host=host)
                return answer.backend or answer.status

            assert await served("/", "b.test") == "any"
            assert await served("/", "x.test") == "any"
            assert await served("/wild", "b.x.test:80") == "wild"
            assert await served("/", "b.x.test") == 404
            assert await served("/exact", "A.X.test") == "exact"
            assert await served("/wild", "a.x.test") == 404


async def test_http2_in_the_clear_and_websockets(tmp_path: Path) -> None:
    async with backends("a") as servers:
        world = World()
        world.backend("a", servers["a"].port)
        world.route("web", rule(to("a")))
        async with envoy(world, tmp_path) as ports:
            assert (await fetch_h2(ports[80])).backend == "a"
            async with connect(f"ws://127.0.0.1:{ports[80]}/ws", proxy=None) as socket:
                await socket.send("hello")
                assert await socket.recv() == "hello"


async def _answer_h2(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A backend that speaks HTTP/2 and nothing else: 200 with the method as a header."""
    connection = jh2.connection.H2Connection(jh2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
    connection.initiate_connection()
    while data := await reader.read(65536):
        for event in connection.receive_data(data):
            if isinstance(event, jh2.events.RequestReceived):
                method = str(dict(event.headers)[":method"])
                connection.send_headers(event.stream_id, [(":status", "200"), ("x-method", method)], end_stream=True)
        writer.write(connection.data_to_send())
    writer.close()


async def test_an_h2c_backend_is_spoken_to_in_http2(tmp_path: Path) -> None:
    server = await asyncio.start_server(_answer_h2, "127.0.0.1", 0)
    async with server:
        world = World()
        world.backend("a", server.sockets[0].getsockname()[1])
        world.route("web", rule(Forward((Share(0, 1, backend("a", "h2c")),))))
        async with envoy(world, tmp_path) as ports:
            assert (await fetch(ports[80])).header("x-method") == "GET"
