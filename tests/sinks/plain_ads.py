"""A control plane of a few lines for tests of Envoy as a process: fixed resources, sent once per subscription."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc.aio
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2  # noqa: F401  # ParseDict must know the type
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2,  # noqa: F401  # ParseDict must know the type
)
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import json_format
from google.protobuf.message import Message

TYPE = "type.googleapis.com/"
CLUSTER = f"{TYPE}envoy.config.cluster.v3.Cluster"
LISTENER = f"{TYPE}envoy.config.listener.v3.Listener"

Resources = Mapping[str, Sequence[tuple[str, Message]]]


def cluster(name: str, port: int) -> tuple[str, Message]:
    """A cluster of one endpoint on this machine."""
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": address}}]}]
    value = {"name": name, "type": "STATIC", "load_assignment": {"cluster_name": name, "endpoints": endpoints}}
    return name, json_format.ParseDict(value, cluster_pb2.Cluster())


def listener(port: int, target: str) -> tuple[str, Message]:
    """An HTTP listener that sends everything to one cluster."""
    route = {"match": {"prefix": "/"}, "route": {"cluster": target, "timeout": "0s"}}
    connection_manager = {
        "@type": f"{TYPE}envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "test",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "http_filters": [
            {"name": "router", "typed_config": {"@type": f"{TYPE}envoy.extensions.filters.http.router.v3.Router"}}
        ],
    }
    value = {
        "name": "test",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": [{"name": "hcm", "typed_config": connection_manager}]}],
    }
    return "test", json_format.ParseDict(value, listener_pb2.Listener())


@asynccontextmanager
async def serving(socket: Path, resources: Resources) -> AsyncIterator[set[str]]:
    """Serve delta ADS on a unix socket; gives the node ids that connected so far."""
    nodes: set[str] = set()

    async def stream(requests: AsyncIterator[Any], _: object) -> AsyncIterator[Any]:
        answered: set[str] = set()
        async for request in requests:
            if request.node.id:
                nodes.add(request.node.id)
            if request.type_url not in answered:
                answered.add(request.type_url)
                yield _response(request.type_url, resources.get(request.type_url, ()))

    server = grpc.aio.server()
    handler = grpc.stream_stream_rpc_method_handler(
        stream,
        request_deserializer=discovery_pb2.DeltaDiscoveryRequest.FromString,
        response_serializer=discovery_pb2.DeltaDiscoveryResponse.SerializeToString,
    )
    service = "envoy.service.discovery.v3.AggregatedDiscoveryService"
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(service, {"DeltaAggregatedResources": handler}),)
    )
    server.add_insecure_port(f"unix:{socket}")
    await server.start()
    try:
        yield nodes
    finally:
        await server.stop(0)


def _response(type_url: str, resources: Sequence[tuple[str, Message]]) -> Message:
    response = discovery_pb2.DeltaDiscoveryResponse(type_url=type_url, nonce="1", system_version_info="1")
    for name, value in resources:
        item = response.resources.add(name=name, version="1")
        item.resource.Pack(value)
    return response
