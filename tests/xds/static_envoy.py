"""A real Envoy with encoded resources as its static configuration: what they do, without any control plane."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from envoy.config.bootstrap.v3.bootstrap_pb2 import Bootstrap
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.listener.v3.listener_components_pb2 import FilterChain
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import DownstreamTlsContext
from google.protobuf import json_format

from tests.system.harness import Command, free_port
from tests.xds.world import World
from trilithon.sinks.envoy.envoy_binary import find_envoy
from trilithon.xds.bootstrap import EnvoyLimits, bootstrap
from trilithon.xds.tables import CLUSTERS, ENDPOINTS, ENVOY_LISTENERS, ROUTE_TABLES, TLS_SECRETS


def static_bootstrap(world: World, admin: Path, ports: dict[int, int]) -> Bootstrap:
    """The world's resources in one file: routes, endpoints and secrets stand where the dynamic ones are named.

    ``ports`` says at which port a listener's bound port really listens.
    """
    config = Bootstrap()
    written = msgspec.json.decode(bootstrap("infra/gw", "test", "/nowhere", str(admin), EnvoyLimits()))
    json_format.ParseDict({part: written[part] for part in ("node", "admin", "layered_runtime")}, config)
    tables = world.all(ROUTE_TABLES)
    for message in world.all(ENVOY_LISTENERS).values():
        listener: Listener = message
        socket = listener.address.socket_address
        socket.port_value = ports.get(socket.port_value, socket.port_value)
        for chain in listener.filter_chains:
            _make_static(chain, tables)
        if listener.HasField("default_filter_chain"):
            _make_static(listener.default_filter_chain, tables)
        config.static_resources.listeners.append(listener)
    endpoints = world.all(ENDPOINTS)
    for name, message in world.all(CLUSTERS).items():
        cluster: Cluster = message
        if cluster.type == Cluster.EDS:
            cluster.type = Cluster.STATIC
            cluster.ClearField("eds_cluster_config")
            cluster.load_assignment.CopyFrom(endpoints[name])
        config.static_resources.clusters.append(cluster)
    config.static_resources.secrets.extend(world.all(TLS_SECRETS).values())
    return config


def _make_static(chain: FilterChain, tables: dict[str, Any]) -> None:
    manager = HttpConnectionManager()
    for network_filter in chain.filters:
        network_filter.typed_config.Unpack(manager)
        table = tables[manager.rds.route_config_name]
        manager.route_config.CopyFrom(table)
        network_filter.typed_config.Pack(manager)
    if chain.HasField("transport_socket"):
        tls = DownstreamTlsContext()
        chain.transport_socket.typed_config.Unpack(tls)
        for secret in tls.common_tls_context.tls_certificate_sds_secret_configs:
            secret.ClearField("sds_config")
        chain.transport_socket.typed_config.Pack(tls)


def validate(world: World, folder: Path) -> str:
    """What Envoy has against the world's resources; "" for nothing."""
    file = folder / "static.pb"
    file.write_bytes(static_bootstrap(world, folder / "admin.sock", {}).SerializeToString())
    done = subprocess.run(
        [find_envoy().path, "-c", file, "--mode", "validate", "-l", "error", "--disable-hot-restart"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return "" if done.returncode == 0 else f"{done.stdout}{done.stderr}" or f"exit code {done.returncode}"


@asynccontextmanager
async def envoy(world: World, folder: Path) -> AsyncIterator[dict[int, int]]:
    """Run Envoy with the world's resources: the real port of each listener's bound port."""
    bound = [message.address.socket_address.port_value for message in world.all(ENVOY_LISTENERS).values()]
    ports = {port: free_port() for port in bound}
    file = folder / "static.pb"
    file.write_bytes(static_bootstrap(world, folder / "admin.sock", ports).SerializeToString())
    async with Command(
        find_envoy().path, "-c", file, "--concurrency", "1", "-l", "info", "--disable-hot-restart"
    ) as command:
        await command.said("starting main dispatch loop")
        yield ports
