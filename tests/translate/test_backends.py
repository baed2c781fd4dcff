"""Backend references (BackendRef, BackendObjectReference): what they resolve to, or why not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.translate.world import World, backend, codes, http_route, key, service
from trilithon.model.backend import Backend
from trilithon.model.rule import Forward, Refuse, Share
from trilithon.resources.meta import Key

WEB = Key("Service", "shop", "web")
REF = {"name": "web", "port": 80}


def share_of(world: World) -> Share:
    """The only share of the only rule, beside a sound one that keeps the rule alive."""
    action = world.rule().action
    assert isinstance(action, Forward)
    return action.shares[0]


def world_of(ref: dict[str, Any], *resources: Any) -> World:
    refs = [ref, {"name": "sound", "port": 80}]
    return World(*resources, service("shop/sound", 80), http_route(rules=[{"backendRefs": refs}]))


@pytest.mark.parametrize(
    ("ref", "resources", "expected"),
    [
        pytest.param(REF, [service("shop/web", 80)], Backend(WEB, 80), id="a Service of the route's namespace"),
        pytest.param(REF, [service("shop/web", 81, 80)], Backend(WEB, 80), id="one of several ports"),
        pytest.param(
            {"group": "trilithon.dev", "kind": "Backend", "name": "ext"}, [backend("shop/ext")],
            Backend(Key("Backend", "shop", "ext"), None), id="a Backend has the ports of its endpoints",
        ),
        pytest.param(
            {"group": "trilithon.dev", "kind": "Backend", "name": "ext"},
            [backend("shop/ext", appProtocol="kubernetes.io/h2c")],
            Backend(Key("Backend", "shop", "ext"), None, "h2c"), id="a Backend's protocol",
        ),
        pytest.param(
            REF,
            [service("shop/web", {"port": 80, "protocol": "UDP"}, {"port": 80, "appProtocol": "kubernetes.io/h2c"})],
            Backend(WEB, 80, "h2c"), id="the TCP port of two with one number",
        ),
    ],
)  # fmt: skip
def test_resolved(ref: dict[str, Any], resources: list[Any], expected: Backend) -> None:
    share = share_of(world_of(ref, *resources))
    assert (share.backend, share.problem) == (expected, None)


@pytest.mark.parametrize(
    ("ref", "resources", "code", "path"),
    [
        pytest.param(REF, [], "BackendNotFound", "spec.rules[0].backendRefs[0]", id="no such Service"),
        pytest.param(
            {"kind": "Backend", "group": "trilithon.dev", "name": "ext"}, [], "BackendNotFound",
            "spec.rules[0].backendRefs[0]", id="no such Backend",
        ),
        pytest.param(
            REF, [service("shop/web", 81)], "BackendPortNotFound", "spec.rules[0].backendRefs[0].port",
            id="no such port",
        ),
        pytest.param(
            REF, [service("shop/web", {"port": 80, "protocol": "UDP"})], "BackendPortNotFound",
            "spec.rules[0].backendRefs[0].port", id="a UDP port",
        ),
        pytest.param(
            {"name": "web"}, [service("shop/web", 80)], "BackendPortNotFound", "spec.rules[0].backendRefs[0].port",
            id="no port given",
        ),
        pytest.param(
            REF, [service("shop/web", 80, type="ExternalName", externalName="a.test")], "BackendExternalName",
            "spec.rules[0].backendRefs[0]", id="ExternalName is refused",
        ),
        pytest.param(
            {**REF, "kind": "ServiceImport", "group": "multicluster.x-k8s.io"}, [], "BackendKindUnknown",
            "spec.rules[0].backendRefs[0]", id="unknown kind",
        ),
        pytest.param(
            {**REF, "group": "example.com"}, [service("shop/web", 80)], "BackendKindUnknown",
            "spec.rules[0].backendRefs[0]", id="unknown group",
        ),
        pytest.param(
            {**REF, "namespace": "store"}, [service("store/web", 80)], "RefNotPermitted",
            "spec.rules[0].backendRefs[0]", id="another namespace without a grant",
        ),
        pytest.param(
            {"kind": "Backend", "group": "trilithon.dev", "name": "ext", "namespace": "store"}, [backend("store/ext")],
            "RefNotPermitted", "spec.rules[0].backendRefs[0]", id="a Backend needs a grant like any other",
        ),
    ],
)  # fmt: skip
def test_refused(ref: dict[str, Any], resources: list[Any], code: str, path: str) -> None:
    share = share_of(world_of(ref, *resources))
    assert share.backend is None
    assert share.problem is not None
    assert (share.problem.code, share.problem.path) == (code, path)


def test_a_missing_port_names_those_there_are() -> None:
    web = service("shop/web", 81, {"port": 53, "protocol": "UDP"})
    problem = share_of(world_of(REF, web)).problem
    assert problem is not None
    assert problem.message == "Service shop/web has no TCP port 80"
    assert problem.hint == "its ports are: 81/TCP, 53/UDP"


@pytest.mark.parametrize(
    ("app_protocol", "spoken"),
    [
        pytest.param(None, "http", id="none is HTTP/1.1"),
        pytest.param("", "http", id="empty is none"),
        pytest.param("http", "http", id="http"),
        pytest.param("HTTP", "http", id="upper case"),
        pytest.param("kubernetes.io/ws", "http", id="WebSocket starts as HTTP/1.1"),
        pytest.param("kubernetes.io/h2c", "h2c", id="HTTP/2 with prior knowledge"),
        pytest.param("grpc", "h2c", id="gRPC is HTTP/2"),
        pytest.param("example.com/own", "http", id="an unknown name is taken for HTTP/1.1"),
        pytest.param("kubernetes.io/wss", None, id="WebSocket over TLS"),
        pytest.param("https", None, id="HTTPS"),
        pytest.param("TLS", None, id="TLS"),
    ],
)
def test_app_protocol(app_protocol: str | None, spoken: str | None) -> None:
    share = share_of(world_of(REF, service("shop/web", {"port": 80, "appProtocol": app_protocol})))
    assert (share.backend.protocol if share.backend else None) == spoken
    assert (share.problem.code if share.problem else None) == (None if spoken else "BackendProtocolUnsupported")


def test_a_service_that_appears_heals_the_rule() -> None:
    world = World(http_route(rules=[{"backendRefs": [REF]}]))
    assert isinstance(world.rule().action, Refuse)
    world.add(service("shop/web", 80))
    assert (codes(world.rule().problems), share_of(world).backend) == ([], Backend(WEB, 80))
    world.remove(key("Service", "shop/web"))
    assert codes(world.rule().problems) == ["BackendNotFound"]
