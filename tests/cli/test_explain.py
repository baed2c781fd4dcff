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
