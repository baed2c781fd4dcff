"""One resource of each Envoy type, written out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import trustme
from google.protobuf.message import Message

from tests.xds.static_envoy import validate
from tests.xds.world import World, backend, invalid, listener, prefix, rule, service, tls_listener, to
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
    Refuse,
    Retry,
    Rewrite,
    Share,
    ValueMatch,
)
from trilithon.model.tables import SERVICES, SLICES
from trilithon.resources.core import (
    BackendEndpoint,
    EndpointSlice,
    HostnameEndpoint,
    Service,
    ServicePort,
    ServiceSpec,
    SliceEndpoint,
    SlicePort,
)
from trilithon.resources.meta import Key
from trilithon.xds.tables import CLUSTERS, ENDPOINTS, ENVOY_LISTENERS, TLS_SECRETS

Golden = Callable[[str, Message], None]


def whole_world() -> World:
    """A little of everything."""
    world = World(
        listener("http"),
        listener("shop", hostname="*.shop.test"),
        tls_listener("https", "*.shop.test"),
        tls_listener("any"),
    )
    authority = trustme.CA()
    leaf = authority.issue_cert("shop.test")
    world.secret("tls", b"".join(blob.bytes() for blob in leaf.cert_chain_pems), leaf.private_key_pem.bytes())
    key = service("web").object
    world.put(SERVICES, key, Service(key, 1, "", ServiceSpec(ports=(ServicePort(name="http", port=80),))))
    at = Key("EndpointSlice", "shop", "web-1")
    endpoints = tuple(SliceEndpoint(addresses=(f"10.0.0.{number}",)) for number in (2, 1))
    world.put(SLICES, at, EndpointSlice(at, 1, "", "web", "IPv4", endpoints, (SlicePort(name="http", port=8080),)))
    world.backend_object("name", BackendEndpoint(hostname=HostnameEndpoint(hostname="db.test", port=5000)))
    conditions = Match(
        0,
        PathMatch("regex", "/v[0-9]+/.*"),
        "GET",
        (ValueMatch("x-env", "exact", "prod"), ValueMatch("x-tenant", "regex", "a|b")),
        (ValueMatch("page", "exact", "1"),),
    )
    edits = Filters(
        request_headers=HeaderEdit(set=(("x-a", "50%"),), remove=("x-b",)),
        response_headers=HeaderEdit(add=(("x-c", "1"),)),
        rewrite=Rewrite("in.test", PathEdit("prefix", "/")),
        mirrors=(Mirror(service("web", protocol="h2c"), 1, 3),),
    )
    cors = Cors(("https://*.shop.test",), ("*",), (), (), allow_credentials=True, max_age=5)
    world.route(
        "web",
        rule(Forward((Share(0, 3, service("web")), invalid(1, 1))), conditions, retry=Retry((503,), 2, 50)),
        rule(Forward((Share(0, 1, service("web")),)), prefix("/edit"), index=1, filters=edits, request_timeout=600_000),
        rule(Redirect(301, scheme="https"), prefix("/moved"), index=2),
        rule(Forward((Share(0, 1, backend("name")),)), prefix("/cors"), index=3, filters=Filters(cors=cors)),
        rule(Refuse(500, None), Match(0, PathMatch("exact", "/refused")), index=4),
        hosts=["www.shop.test"],
    )
    world.route("fallback", rule(to("name")), hosts=["*.shop.test"])
    return world


@pytest.fixture(scope="module")
def world() -> World:
    return whole_world()


def test_a_route_table(world: World, golden: Golden) -> None:
    golden("route_table_http", world.table("port-80"))


def test_the_route_table_of_an_https_listener(world: World, golden: Golden) -> None:
    golden("route_table_https", world.table("port-443/any"))


def test_an_envoy_listener(world: World, golden: Golden) -> None:
    golden("listener_http", world.all(ENVOY_LISTENERS)["port-80"])


def test_an_envoy_listener_with_tls(world: World, golden: Golden) -> None:
    golden("listener_https", world.all(ENVOY_LISTENERS)["port-443"])


def test_a_cluster(world: World, golden: Golden) -> None:
    golden("cluster", world.all(CLUSTERS)["Service/shop/web:80+h2c"])


def test_a_cluster_that_resolves_names(world: World, golden: Golden) -> None:
    golden("cluster_dns", world.all(CLUSTERS)["Backend/shop/name"])


def test_endpoints(world: World, golden: Golden) -> None:
    golden("endpoints", world.all(ENDPOINTS)["Service/shop/web:80"])


def test_a_tls_secret(world: World, golden: Golden) -> None:
    secret = world.all(TLS_SECRETS)["Secret/infra/tls"]
    # The certificate is another in each run.
    secret.tls_certificate.certificate_chain.inline_bytes = b"chain"
    secret.tls_certificate.private_key.inline_bytes = b"key"
    golden("secret", secret)


@pytest.mark.system
def test_envoy_takes_all_of_it(world: World, tmp_path: Path) -> None:
    assert validate(world, tmp_path) == ""
