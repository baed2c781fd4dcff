"""A hint says what would help, from everything that is there."""

from __future__ import annotations

import pytest

from tests.inspect.manifests import gateway, grant, route, service, translated
from trilithon.inspect.check import problems_of
from trilithon.inspect.hints import field_at, no_endpoints, resource_of
from trilithon.resources.meta import Key


def hint(code: str, *texts: str) -> str:
    """The hint of the one problem of this code."""
    found = [problem for problem in problems_of(translated(*texts).engine) if problem.code == code]
    assert len(found) == 1, found
    return found[0].hint


CART = "name: cart, port: 80"


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        pytest.param(
            (service("cart", "store"),),
            'a Service "cart" exists in namespace store; a ReferenceGrant there would let this route use it, '
            "with namespace: store",
            id="the name exists in another namespace",
        ),
        pytest.param(
            (service("cart", "store"), grant("store", 'group: "", kind: Service')),
            'a Service "cart" exists in namespace store, and a ReferenceGrant there lets this route use it: '
            "add namespace: store",
            id="the name exists in another namespace, which consents",
        ),
        pytest.param(
            (service("cart", "store"), grant("store", 'group: "", kind: Service, name: other')),
            'a Service "cart" exists in namespace store; a ReferenceGrant there would let this route use it, '
            "with namespace: store",
            id="a grant for another name is no consent",
        ),
        pytest.param((service("carts"),), 'did you mean "carts"?', id="a letter differs"),
        pytest.param((service("crat"),), 'did you mean "crat"?', id="letters are in another order"),
        pytest.param((service("web"),), "the Services of namespace shop are: web", id="nothing is alike"),
        pytest.param((), "namespace shop has no Service", id="there is nothing"),
    ],
)
def test_missing_backend(others: tuple[str, ...], expected: str) -> None:
    assert hint("BackendNotFound", gateway(), route(CART), *others) == expected


def test_a_backend_of_that_name_where_a_service_is_named() -> None:
    backend = """
apiVersion: trilithon.dev/v1alpha1
kind: Backend
metadata: {name: cart, namespace: shop}
spec: {endpoints: [{ip: {address: 127.0.0.1, port: 1}}]}
"""
    found = hint("BackendNotFound", gateway(), route(CART), backend)
    assert found == 'a Backend has that name: write group: "trilithon.dev" and kind: Backend'


def test_a_reference_without_consent_names_the_grant_to_write() -> None:
    found = hint(
        "RefNotPermitted", gateway(), route("name: cart, namespace: store, port: 80"), service("cart", "store")
    )
    assert found == (
        "create a ReferenceGrant in namespace store with from: HTTPRoute of namespace shop, to: Service cart"
    )


def test_a_grant_that_does_not_cover_a_reference_is_named() -> None:
    texts = (service("cart", "store"), grant("store", 'group: "", kind: Service, name: other'))
    found = hint("RefNotPermitted", gateway(), route("name: cart, namespace: store, port: 80"), *texts)
    assert found.endswith("(ReferenceGrant consent is there, and does not cover it)")


@pytest.mark.parametrize(
    ("parent", "expected"),
    [
        pytest.param("name: far, namespace: infra", "the Gateways are: infra/gw", id="unlike any"),
        pytest.param(
            "name: gw", "a Gateway of that name is in namespace infra: add namespace: infra", id="another namespace"
        ),
        pytest.param("name: gww, namespace: infra", 'did you mean "gw"?', id="a letter too many"),
    ],
)
def test_missing_parent(parent: str, expected: str) -> None:
    assert hint("ParentNotFound", gateway(), service("web"), route("name: web, port: 80", parent=parent)) == expected


def test_a_misspelt_section() -> None:
    parent = "name: gw, namespace: infra, sectionName: htpp"
    found = hint("SectionNotFound", gateway(), service("web"), route("name: web, port: 80", parent=parent))
    assert found == 'did you mean "http"?'


def test_a_misspelt_class() -> None:
    assert hint("ClassNotFound", gateway().replace("gatewayClassName: trilithon", "gatewayClassName: trilithno")) == (
        'did you mean "trilithon"?'
    )


def test_a_missing_class_is_not_answered_with_one_of_another_controller() -> None:
    theirs = (
        "apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {name: theirs}\n"
        "spec: {controllerName: example.com/another}\n"
    )
    named = gateway().replace("gatewayClassName: trilithon", "gatewayClassName: thiers")
    assert hint("ClassNotFound", named, theirs) == "the classes are: trilithon"


def test_a_namespace_that_is_not_allowed_is_told_where_to_allow_it() -> None:
    texts = (gateway(listener="allowedRoutes: {namespaces: {from: Same}}"), service("web"))
    found = hint("NamespaceNotAllowed", *texts, route("name: web, port: 80"))
    assert found == (
        "write from: All, or from: Selector with a selector, in "
        "spec.listeners[0].allowedRoutes.namespaces of Gateway infra/gw"
    )


def test_a_hostname_that_nearly_fits() -> None:
    texts = (gateway(listener="hostname: shop.test, allowedRoutes: {namespaces: {from: All}}"), service("web"))
    found = hint("NoCommonHostname", *texts, route("name: web, port: 80", hostnames="[shp.test]"))
    assert found == 'did you mean "shop.test"?'


def test_a_problem_without_a_better_hint_keeps_its_own() -> None:
    assert hint("NoBackends", gateway(), route()) == "add backendRefs"


def test_no_endpoints() -> None:
    engine = translated(gateway(), service("web"), route("name: web, port: 80")).engine
    found = no_endpoints(engine, Key("Service", "shop", "web"))
    assert found.startswith("no EndpointSlice has the label kubernetes.io/service-name: web in namespace shop")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("spec.rules[0].backendRefs[0].name", "cart"),
        ("spec.parentRefs[0].namespace", "infra"),
        ("spec.rules[1]", None),
        ("spec.nothing.here", None),
        ("spec.parentRefs[0].name.deeper", None),
    ],
)
def test_field_at(path: str, expected: str | None) -> None:
    engine = translated(gateway(), route(CART)).engine
    assert field_at(resource_of(engine, Key("HTTPRoute", "shop", "web")), path) == expected
