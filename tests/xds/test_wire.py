"""Spliced bytes are what protobuf itself would have written."""

from __future__ import annotations

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.route.v3.route_components_pb2 import VirtualHost
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryResponse
from hypothesis import given
from hypothesis import strategies as st

from trilithon.xds.node import gateway_of, node_id
from trilithon.xds.resource import CLUSTER, SECRET, XdsResource
from trilithon.xds.wire import delimited, delta_resource, delta_response, digest, varint

NAMES = st.text(max_size=200)
CHUNKS = st.lists(st.binary(max_size=300), max_size=4).map(tuple)


@given(
    type_url=NAMES,
    nonce=NAMES,
    resources=st.lists(st.tuples(NAMES, NAMES, CHUNKS), max_size=4),
    removed=st.lists(NAMES, max_size=3),
)
def test_a_response_is_byte_for_byte_what_protobuf_writes(
    type_url: str, nonce: str, resources: list[tuple[str, str, tuple[bytes, ...]]], removed: list[str]
) -> None:
    spliced = delta_response(
        type_url,
        nonce,
        (delta_resource(type_url, name, version, chunks) for name, version, chunks in resources),
        removed,
    )
    ours = DeltaDiscoveryResponse.FromString(spliced)
    theirs = DeltaDiscoveryResponse(type_url=type_url, nonce=nonce, removed_resources=removed)
    for name, version, chunks in resources:
        entry = theirs.resources.add(name=name, version=version)
        entry.resource.type_url, entry.resource.value = type_url, b"".join(chunks)
    assert ours == theirs
    singular = [type_url, nonce, *(part for name, ver, chunks in resources for part in (name, ver, b"".join(chunks)))]
    if all(singular):
        # Protobuf leaves an empty string out, we do not: the same message, other bytes.
        assert spliced == theirs.SerializeToString(deterministic=True)


def test_joined_virtual_hosts_are_a_route_table() -> None:
    hosts = [VirtualHost(name=f"host-{index}", domains=[f"{index}.test"] * index) for index in range(40)]
    joined = b"".join(
        [
            RouteConfiguration(name="table").SerializeToString(),
            *(delimited(2, host.SerializeToString()) for host in hosts),
        ]
    )
    assert RouteConfiguration.FromString(joined) == RouteConfiguration(name="table", virtual_hosts=hosts)


@given(st.integers(min_value=0, max_value=2**63))
def test_a_varint_reads_back(number: int) -> None:
    encoded = varint(number)
    assert sum((byte & 0x7F) << 7 * place for place, byte in enumerate(encoded)) == number
    assert all(byte & 0x80 for byte in encoded[:-1])
    assert not encoded[-1] & 0x80


@given(CHUNKS)
def test_a_version_does_not_depend_on_how_the_bytes_are_cut(chunks: tuple[bytes, ...]) -> None:
    assert digest(chunks) == digest((b"".join(chunks),))


def test_equal_messages_are_equal_resources() -> None:
    one, other = (XdsResource.of(CLUSTER, "a", Cluster(name="a")) for _ in range(2))
    assert one == other
    assert one.version != XdsResource.of(CLUSTER, "a", Cluster(name="b")).version


def test_a_resource_never_shows_its_bytes() -> None:
    shown = repr(XdsResource.of(SECRET, "key", (b"-----BEGIN PRIVATE KEY-----",)))
    assert "PRIVATE" not in shown
    assert "key" in shown


def test_a_node_id_names_its_gateway() -> None:
    assert gateway_of(node_id("infra", "edge", "pod-1")) == "infra/edge"
    assert gateway_of("infra/edge") == "infra/edge"
