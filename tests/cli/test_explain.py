"""``explain`` answers for one request, with the keys that programs rely on and the places that people look at."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.cli.invoking import json_of, refusal, trilithon
from trilithon.cli.answer_text import resulting_headers
from trilithon.inspect.decision import Forwarded

KEYS = [
    "outcome",
    "status",
    "gateway",
    "listener",
    "route",
    "rule",
    "match",
    "backends",
    "location",
    "request",
    "lost",
]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        pytest.param(
            "http://shop.test:8080/",
            {
                "outcome": "forward",
                "status": None,
                "gateway": "infra/gw",
                "listener": "http",
                "route": "HTTPRoute shop/web",
                "rule": 0,
                "match": 0,
                "backends": [
                    {"ref": "Backend shop/web", "weight": 3},
                    {"ref": "Backend shop/next", "weight": 1},
                ],
                "location": None,
            },
            id="forward",
        ),
        pytest.param(
            "http://shop.test:8080/old/x?a=1",
            {"outcome": "redirect", "status": 301, "location": "http://new.test:8080/old/x?a=1", "backends": []},
            id="redirect",
        ),
        pytest.param("http://shop.test:8080/cart", {"outcome": "direct", "status": 500, "rule": 1}, id="direct"),
        pytest.param("http://other.test:8080/", {"outcome": "no-route", "status": 404, "route": None}, id="no route"),
        pytest.param(
            "http://shop.test/", {"outcome": "no-listener", "gateway": None, "listener": None}, id="no listener"
        ),
    ],
)
def test_json(shop: Path, url: str, expected: dict[str, object]) -> None:
    answer = json_of("explain", shop, "GET", url)
    assert list(answer) == KEYS
    assert {key: answer[key] for key in expected} == expected
    for lost in answer["lost"]:
        assert set(lost) == {"route", "rule", "match", "reason"}


def test_text_names_everything_on_the_way_with_its_place(shop: Path) -> None:
    result = trilithon("explain", shop, "GET", "http://127.0.0.1:8080/cart", "-H", "Host: shop.test")
    lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert lines[0] == "-> 500  BackendNotFound: Service shop/cart not found"
    labels = {line[3:13].strip(): line for line in lines[1:] if line[3:13].strip()}
    assert list(labels) == ["Gateway", "Host", "Rule", "Backend", "Lost"]
    for label, line in (("Gateway", 7), ("Rule", 24), ("Backend", 27), ("Lost", 20)):
        assert labels[label].endswith(f"{shop}/shop.yaml:{line}"), labels[label]
    assert '"cart"' in labels["Rule"]
    assert any("hint: a Service" in line for line in lines)


def test_shares_are_told_in_percent(shop: Path) -> None:
    result = trilithon("explain", shop, "GET", "http://shop.test:8080/")
    assert result.stdout.splitlines()[0] == "-> 75% Backend shop/web, 25% Backend shop/next"


def test_a_misspelt_host_shows_the_route_that_was_meant(shop: Path) -> None:
    result = trilithon("explain", shop, "GET", "http://shp.test:8080/")
    assert "Lost      HTTPRoute shop/web" in result.stdout
    assert "hostnames do not match: shop.test" in result.stdout


def test_the_port_offset_moves_the_port(shop: Path) -> None:
    answer = json_of("explain", shop, "GET", "http://shop.test:9080/", "--port-offset", 1000)
    assert answer["outcome"] == "forward"


def test_a_service_without_endpoints_is_told_what_it_lacks(shop: Path) -> None:
    route = (shop / "shop.yaml").read_text().replace("{name: cart, port: 80}", "{name: till, port: 80}")
    service = (
        "---\napiVersion: v1\nkind: Service\nmetadata: {name: till, namespace: shop}\nspec: {ports: [{port: 80}]}\n"
    )
    (shop / "shop.yaml").write_text(route + service)
    result = trilithon("explain", shop, "GET", "http://shop.test:8080/cart")
    assert result.stdout.startswith("-> 503  ")
    assert "hint: no EndpointSlice has the label kubernetes.io/service-name: till" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("GET", "shop.test/"), "write http://host:port/path"),
        (("GET", "wss://shop.test/"), "write https://shop.test/"),
        (("G ET", "http://shop.test/"), "is not a method"),
        (("GET", "http://shop.test:8080/", "-H", "Host"), "write 'name: value'"),
        (("GET", "http://shop.test:8080/", "--listener", "x"), "the listeners: infra/gw/http"),
        (("http://shop.test:8080/",), "trilithon explain examples/hello GET"),
    ],
)
def test_wrong_use(shop: Path, arguments: tuple[str, ...], said: str) -> None:
    assert said in refusal("explain", shop, *arguments)


def test_headers_are_set_added_and_removed() -> None:
    way = Forwarded("GET", "/", "h", set=(("X-A", "2"),), add=(("x-b", "3"),), remove=("X-C",))
    before = (("x-a", "1"), ("x-b", "1"), ("x-c", "1"))
    assert resulting_headers(before, way) == [("x-b", "1"), ("x-a", "2"), ("x-b", "3")]


def test_a_folder_of_100_routes_takes_well_under_a_second(shop: Path) -> None:
    template = (shop / "shop.yaml").read_text().split("---\n")[1]
    for number in range(100):
        text = template.replace("name: web, namespace: shop", f"name: web-{number}, namespace: shop")
        (shop / f"route-{number}.yaml").write_text(text.replace("shop.test", f"shop-{number}.test"))
    started = time.process_time()
    answer = json_of("explain", shop, "GET", "http://shop-42.test:8080/")
    assert answer["route"] == "HTTPRoute shop/web-42"
    assert time.process_time() - started < 1


def test_connect_has_no_path_to_match(shop: Path) -> None:
    answer = json_of("explain", shop, "CONNECT", "http://shop.test:8080/a%2fb")
    assert (answer["outcome"], answer["status"], answer["listener"], answer["backends"]) == (
        "no-route",
        404,
        "http",
        [],
    )
    assert "-> 404  CONNECT asks for a tunnel" in trilithon("explain", shop, "CONNECT", "http://shop.test:8080").stdout
    assert json_of("explain", shop, "CONNECT", "http://shop.test:8080", "-H", "a_b: 1")["status"] == 400


LIMITS = """\
    - name: home
      timeouts: {request: 5s, backendRequest: 500ms}
      retry: {attempts: 2, codes: [503]}
"""


def test_limits_and_attempts_are_told(shop: Path) -> None:
    (shop / "shop.yaml").write_text((shop / "shop.yaml").read_text().replace("    - name: home\n", LIMITS))
    lines = trilithon("explain", shop, "GET", "http://shop.test:8080/").stdout.splitlines()
    assert "   Timeout   5 s for the whole answer, 500 ms for each attempt" in lines
    assert "   Retry     2 times, on 503 and where no backend can be reached" in lines


CORS = """\
    - name: home
      filters: [{type: CORS, cors: {allowOrigins: ["https://*.ok.test"], allowMethods: [PUT], allowHeaders: [x-a]}}]
"""


@pytest.mark.parametrize(
    ("origin", "said"),
    [
        ("https://a.ok.test", "origin https://a.ok.test is allowed"),
        (
            "https://no.test",
            "origin https://no.test is not allowed (allowed: https://*.ok.test): no Access-Control-Allow-Origin",
        ),
    ],
)
def test_an_origin_is_told_whether_it_is_allowed(shop: Path, origin: str, said: str) -> None:
    (shop / "shop.yaml").write_text((shop / "shop.yaml").read_text().replace("    - name: home\n", CORS))
    asked = ("http://shop.test:8080/", "-H", f"origin: {origin}")
    assert f"   CORS      {said}" in trilithon("explain", shop, "GET", *asked).stdout.splitlines()
    preflight = trilithon("explain", shop, "OPTIONS", *asked, "-H", "access-control-request-method: PUT").stdout
    assert f"-> 200  CORS preflight, answered by the Gateway: {said}" in preflight
    assert ("with methods PUT, headers x-a" in preflight) == ("not" not in said)


def test_no_origin_no_cors(shop: Path) -> None:
    (shop / "shop.yaml").write_text((shop / "shop.yaml").read_text().replace("    - name: home\n", CORS))
    assert "CORS" not in trilithon("explain", shop, "GET", "http://shop.test:8080/").stdout
