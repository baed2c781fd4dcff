"""Which origins an allowed origin stands for (HTTPCORSFilter.allowOrigins)."""

from __future__ import annotations

import pytest
import re2

from tests.xds.world import World, prefix, rule, to
from trilithon.model.rule import Cors, Filters
from trilithon.xds.cors import origin_pattern


@pytest.mark.parametrize(
    ("allowed", "origin", "matches"),
    [
        pytest.param("*", "https://any.test:8443", True, id="a star alone is any origin"),
        pytest.param("https://a.test", "https://a.test", True, id="an exact origin"),
        pytest.param("https://a.test", "https://a.test:443", True, id="the port of the scheme may be written"),
        pytest.param("https://a.test:443", "https://a.test", True, id="or left out"),
        pytest.param("http://a.test:80", "http://a.test", True, id="for http, too"),
        pytest.param("http://a.test", "http://a.test:443", False, id="another port is another origin"),
        pytest.param("https://a.test:8443", "https://a.test", False, id="a port that is written is needed"),
        pytest.param("https://a.test", "http://a.test", False, id="another scheme is another origin"),
        pytest.param("https://a.test", "https://axtest", False, id="a dot is a dot"),
        pytest.param("https://a.test", "https://a.test.evil.test", False, id="nothing may follow"),
        pytest.param("https://*.a.test", "https://b.a.test", True, id="a wildcard is one label"),
        pytest.param("https://*.a.test", "https://c.b.a.test", True, id="or several"),
        pytest.param("https://*.a.test", "https://a.test", False, id="but not none"),
        pytest.param("https://*.a.test", "https://evil.test/.a.test", False, id="and stays in the host"),
        pytest.param("https://*.a.test", "https://b.a.test:8443", False, id="and leaves the port alone"),
        pytest.param("https://*", "https://b.test", True, id="a wildcard by itself is any host"),
        pytest.param("https://*", "https://[::1]", True, id="an IPv6 address included"),
        pytest.param("https://*:8443", "https://b.test:8443", True, id="at that port"),
        pytest.param("https://*", "http://b.test", False, id="of that scheme"),
        pytest.param("https://Shop.Test", "https://shop.test", True, id="browsers send lower case"),
    ],
)
def test_origins(allowed: str, origin: str, matches: bool) -> None:
    assert (re2.fullmatch(origin_pattern(allowed), origin) is not None) is matches


def test_many_long_origins_are_several_small_expressions() -> None:
    origins = tuple(f"https://{number}.{'a' * 60}.{'b' * 60}.{'c' * 60}.test" for number in range(64))
    world = World()
    cors = Cors(origins, (), (), (), allow_credentials=False, max_age=5)
    world.route("web", rule(to("x"), filters=Filters(cors=cors)))
    patterns = [
        condition.string_match.safe_regex.regex
        for route in world.routes()
        for condition in route.match.headers
        if condition.name == "origin" and condition.HasField("string_match")
    ]
    assert all(re2.compile(pattern).programsize < 5000 for pattern in patterns)
    for origin in origins:
        assert sum(re2.fullmatch(pattern, origin) is not None for pattern in patterns) == 2


def test_a_rule_for_another_method_answers_no_preflight() -> None:
    world = World()
    cors = Cors(("*",), (), (), (), allow_credentials=False, max_age=5)
    filters = Filters(cors=cors)
    put = rule(to("x"), prefix("/", method="PUT"), filters=filters)
    world.route("web", put, rule(to("x"), prefix("/o", method="OPTIONS"), filters=filters, index=1))
    answers = [route.match.path_separated_prefix for route in world.routes() if route.HasField("direct_response")]
    assert answers == ["/o", "/o"]
