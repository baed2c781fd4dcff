"""What came closest to a request stands first."""

from __future__ import annotations

from tests.inspect.manifests import gateway, route, service, translated
from trilithon.inspect.closeness import closest_first
from trilithon.inspect.explain import explain
from trilithon.inspect.request import parse

RULES = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: paths, namespace: shop}
spec:
  parentRefs: [{name: gw, namespace: infra}]
  rules:
  - {matches: [{path: {value: /zebra}}], backendRefs: [{name: web, port: 80}]}
  - {matches: [{path: {value: /cart/items}}, {path: {value: /carton}}], backendRefs: [{name: web, port: 80}]}
  - {matches: [{path: {value: /cart}, method: POST}], backendRefs: [{name: web, port: 80}]}
"""


def test_fitting_paths_come_before_alike_ones_and_other_hostnames_last() -> None:
    translation = translated(
        gateway(),
        service("web"),
        RULES,
        route("name: web, port: 80", path="far", hostnames="[other.example]"),
        route("name: web, port: 80", path="near", hostnames="[shop.test]"),
    )
    request = parse("GET", "http://shp.test:8080/cart")
    decision = explain(translation, request)
    ordered = closest_first(translation.engine, request, decision.lost)
    assert decision.outcome == "no-route"
    assert [(each.route.name, each.rule) for each in ordered] == [
        ("paths", 2),
        ("paths", 1),
        ("paths", 0),
        ("near", None),
        ("far", None),
    ]
