"""Clusters and their endpoints: which there are, what is in them, and in what order."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from hypothesis import given
from hypothesis import strategies as st

from tests.xds.world import World, backend, invalid, names, rule, service, to
from trilithon.model.backend import Backend
from trilithon.model.rule import Filters, Forward, Mirror, Retry, Share
from trilithon.model.settings import Settings
from trilithon.model.tables import SERVICES, SLICES
from trilithon.resources.core import (
    BackendEndpoint,
    EndpointConditions,
    EndpointSlice,
    HostnameEndpoint,
    IPEndpoint,
    Service,
    ServicePort,
    ServiceSpec,
    SliceEndpoint,
    SlicePort,
    UnixEndpoint,
)
from trilithon.resources.meta import Key
from trilithon.xds.names import cluster_name
from trilithon.xds.tables import CLUSTERS, ENDPOINTS, VIRTUAL_HOSTS

READY = EndpointConditions(ready=True)
UNKNOWN = EndpointConditions()
ENDING = EndpointConditions(ready=False, serving=True, terminating=True)
DEAD = EndpointConditions(ready=False, serving=False, terminating=True)
STARTING = EndpointConditions(ready=False, serving=False)


def service_world(settings: Settings | None = None) -> World:
    """A route to port 80 of the Service web, which is called http; port 81 is called admin."""
    world = World(settings=settings)
    key = service("web").object
    ports = (ServicePort(name="http", port=80), ServicePort(name="admin", port=81))
    world.put(SERVICES, key, Service(key, 1, "", ServiceSpec(ports=ports)))
    world.route("web", rule(Forward((Share(0, 1, service("web")),))))
    return world


def put_slice(
    world: World,
    name: str,
    *endpoints: tuple[str, EndpointConditions],
    ports: Iterable[tuple[str | None, int | None]] = (("http", 8080), ("admin", 8081)),
    family: str = "IPv4",
) -> None:
    key = Key("EndpointSlice", "shop", name)
    row = EndpointSlice(
        key=key,
        generation=1,
        created="",
        service="web",
        address_type=family,
        endpoints=tuple(SliceEndpoint(addresses=(address,), conditions=found) for address, found in endpoints),
        ports=tuple(SlicePort(name=name, port=port) for name, port in ports),
    )
    world.put(SLICES, key, row)


def addresses(world: World, cluster: str = "Service/shop/web:80") -> list[str]:
    """The endpoints of a cluster, in order."""
    found = []
    for locality in world.all(ENDPOINTS)[cluster].endpoints:
        for entry in locality.lb_endpoints:
            address = entry.endpoint.address
            socket = address.socket_address
            found.append(address.pipe.path or f"{socket.address}:{socket.port_value}")
    return found


def test_a_cluster_for_each_backend_in_use_and_no_other() -> None:
    world = World()
    shares = (Share(0, 1, backend("a")), Share(1, 0, backend("idle")), invalid(2))
    mirrors = Filters(mirrors=(Mirror(backend("copy")),))
    world.route("one", rule(Forward(shares), filters=mirrors))
    world.route("two", rule(to("a")), rule(Forward((Share(0, 1, backend("a", "h2c")),)), index=1))
    assert names(world.all(CLUSTERS)) == ["Backend/shop/a", "Backend/shop/a+h2c", "Backend/shop/copy"]
    assert names(world.all(ENDPOINTS)) == names(world.all(CLUSTERS))


def test_rules_with_retries_of_their_own_share_a_cluster_without_the_default() -> None:
    world = World()
    world.route("plain", rule(to("a")))
    world.route("own", rule(to("a"), retry=Retry((503,), 2)), rule(to("a"), index=1, attempt_timeout=100))
    assert names(world.all(CLUSTERS)) == ["Backend/shop/a", "Backend/shop/a+retries"]
    options = {name: cluster.typed_extension_protocol_options for name, cluster in world.all(CLUSTERS).items()}
    assert options["Backend/shop/a"]
    assert not options["Backend/shop/a+retries"], "it would outrank what the routes say"
    assert not any(host.HasField("retry_policy") for host in world.hosts().values())


def test_a_cluster_outlives_all_routes_but_the_last() -> None:
    world = World()
    world.route("one", rule(to("a")))
    world.route("two", rule(to("a")))
    world.route("one", rule(to("b")))
    assert names(world.all(CLUSTERS)) == ["Backend/shop/a", "Backend/shop/b"]
    world.route("two", rule(to("b")))
    assert names(world.all(CLUSTERS)) == ["Backend/shop/b"]


def test_endpoints_come_from_the_slices_of_the_port_by_name() -> None:
    world = service_world()
    put_slice(world, "web-2", ("10.0.0.3", UNKNOWN), ("10.0.0.1", READY))
    put_slice(world, "web-1", ("10.0.0.2", READY), ("10.0.0.1", READY))
    assert addresses(world) == ["10.0.0.1:8080", "10.0.0.2:8080", "10.0.0.3:8080"]


def test_both_families_are_taken_and_names_are_not() -> None:
    world = service_world()
    put_slice(world, "web-4", ("10.0.0.1", READY))
    put_slice(world, "web-6", ("fd00::1", READY), family="IPv6")
    put_slice(world, "web-name", ("evil.test", READY), family="FQDN")
    assert addresses(world) == ["10.0.0.1:8080", "fd00::1:8080"]


def test_a_slice_port_without_a_number_serves_nothing() -> None:
    world = service_world()
    put_slice(world, "web", ("10.0.0.1", READY), ports=[("http", None), (None, 8080)])
    assert addresses(world) == []


@pytest.mark.parametrize(
    ("conditions", "served"),
    [
        pytest.param([READY, ENDING, DEAD], [0], id="ready ones alone where there are any"),
        pytest.param([UNKNOWN, STARTING], [0], id="unknown is ready"),
        pytest.param([ENDING, DEAD, STARTING], [0], id="else those that end but still serve"),
        pytest.param([DEAD, STARTING], [], id="else none"),
    ],
)
def test_readiness(conditions: list[EndpointConditions], served: list[int]) -> None:
    world = service_world()
    put_slice(world, "web", *((f"10.0.0.{number}", found) for number, found in enumerate(conditions)))
    assert addresses(world) == [f"10.0.0.{number}:8080" for number in served]


def test_a_pod_touches_the_endpoints_alone() -> None:
    world = service_world()
    before = dict(world.engine.rows(CLUSTERS)), dict(world.engine.rows(VIRTUAL_HOSTS))
    put_slice(world, "web", ("10.0.0.1", READY))
    assert (dict(world.engine.rows(CLUSTERS)), dict(world.engine.rows(VIRTUAL_HOSTS))) == before
    assert addresses(world) == ["10.0.0.1:8080"]


def test_a_backend_has_addresses_and_sockets() -> None:
    world = World()
    world.backend_object(
        "a",
        BackendEndpoint(unix=UnixEndpoint(path="/run/a.sock")),
        BackendEndpoint(ip=IPEndpoint(address="10.0.0.1", port=80)),
        BackendEndpoint(ip=IPEndpoint(address="10.0.0.1", port=80)),
    )
    world.route("web", rule(to("a")))
    assert addresses(world, "Backend/shop/a") == ["/run/a.sock", "10.0.0.1:80"]


def test_a_backend_with_a_name_is_resolved_by_envoy() -> None:
    world = World()
    world.backend_object("a", BackendEndpoint(hostname=HostnameEndpoint(hostname="db.test", port=80)))
    world.route("web", rule(to("a")))
    cluster = world.all(CLUSTERS)["Backend/shop/a"]
    assert cluster.type == Cluster.STRICT_DNS
    assert cluster.load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address.address == "db.test"
    assert names(world.all(ENDPOINTS)) == []


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "127.9.9.9", "::1", "169.254.169.254", "fe80::1", "0.0.0.0", "::", "::ffff:127.0.0.1"]
)
def test_addresses_of_the_proxy_itself_are_refused_to_tenants(address: str) -> None:
    for private, expected in ((False, 0), (True, 1)):
        world = service_world(Settings(private_backends=private))
        put_slice(world, "web", (address, READY), family="IPv6" if ":" in address else "IPv4")
        assert len(addresses(world)) == expected


NAMES = st.from_regex(r"[a-z0-9-]{1,3}", fullmatch=True)
BACKENDS_DRAWN = st.builds(
    Backend,
    st.builds(Key, st.sampled_from(["Service", "Backend"]), NAMES, NAMES),
    st.none() | st.integers(1, 99),
    st.sampled_from(["http", "h2c"]),
)


@given(BACKENDS_DRAWN, BACKENDS_DRAWN)
def test_different_backends_have_different_clusters(one: Backend, other: Backend) -> None:
    assert (cluster_name(one) == cluster_name(other)) == (one == other)
