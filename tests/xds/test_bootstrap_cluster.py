"""The bootstrap of a pod's Envoy is accepted by the real one, and keeps its promises about TLS and open ports."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.sinks.xds_client import authority, identity
from tests.xds.test_bootstrap import validate
from trilithon.xds.bootstrap import EnvoyLimits
from trilithon.xds.bootstrap_cluster import Address, ClusterPlace, files
from trilithon.xds.identity import uri_of_gateway


def place(folder: Path = Path("/run/trilithon"), host: str = "trilithon.trilithon-system.svc") -> ClusterPlace:
    return ClusterPlace(
        node_id="infra/edge~pod",
        xds=Address(host, 18000),
        identity=str(folder / "identity"),
        run=str(folder),
        ready=Address("0.0.0.0", 19003),
    )


def bootstrap(host: str = "trilithon.trilithon-system.svc") -> dict[str, Any]:
    where = place(host=host)
    decoded: dict[str, Any] = msgspec.json.decode(files(where, EnvoyLimits())[where.bootstrap_file])
    return decoded


def xds_tls(host: str = "trilithon.trilithon-system.svc") -> dict[str, Any]:
    tls: dict[str, Any] = bootstrap(host)["static_resources"]["clusters"][0]["transport_socket"]["typed_config"]
    return tls


@pytest.mark.parametrize("host", ["trilithon.trilithon-system.svc", "10.0.0.1", "fd00::1"])
def test_envoy_accepts_it(tmp_path: Path, host: str) -> None:
    where = place(tmp_path, host)
    made = authority()
    shown = identity(made.trust, "infra/edge")
    (tmp_path / "identity").mkdir()
    entries = {"tls.crt": shown.certificate_pem, "tls.key": shown.key_pem, "ca.crt": made.trust.bundle}
    for name, content in entries.items():
        (tmp_path / "identity" / name).write_bytes(content)
    written = files(where, EnvoyLimits())
    for path, content in written.items():
        Path(path).write_bytes(content)
    result = validate(written[where.bootstrap_file], tmp_path)
    assert result.returncode == 0, result.stderr
    assert "deprecated" not in result.stderr.lower()


def test_configuration_comes_over_tls_1_3_and_from_the_controller_alone() -> None:
    common = xds_tls()["common_tls_context"]
    assert set(common["tls_params"].values()) == {"TLSv1_3"}
    where = place()
    (trust,) = msgspec.json.decode(files(where, EnvoyLimits())[where.trust_file])["resources"]
    (name,) = trust["validation_context"]["match_typed_subject_alt_names"]
    assert name == {"san_type": "URI", "matcher": {"exact": "trilithon://controller"}}


def test_a_name_is_sent_and_an_address_is_not() -> None:
    assert xds_tls()["sni"] == "trilithon.trilithon-system.svc"
    assert "sni" not in xds_tls("10.0.0.1")
    assert "sni" not in xds_tls("fd00::1")


def test_the_readiness_port_is_the_only_open_one() -> None:
    made = bootstrap()
    (listener,) = made["static_resources"]["listeners"]
    socket = {"address": "0.0.0.0", "port_value": 19003, "ipv4_compat": False}
    assert listener["address"]["socket_address"] == socket
    assert made["admin"]["address"]["pipe"]["path"] == "/run/trilithon/admin.sock"


def test_a_full_proxy_stays_ready() -> None:
    (listener,) = bootstrap()["static_resources"]["listeners"]
    assert listener["ignore_global_conn_limit"]
    assert listener["bypass_overload_manager"]


def test_what_is_the_same_in_every_mode_is_the_same_here() -> None:
    made = bootstrap()
    assert made["dynamic_resources"]["lds_config"]["initial_fetch_timeout"] == "0s"
    assert made["layered_runtime"]["layers"][0]["static_layer"]["re2.max_program_size.error_level"] == 5_000
    assert made["overload_manager"]["resource_monitors"]


def test_gateways_with_alike_names_have_different_identities() -> None:
    parts = ["a", "b", "a-b", "a.b", "ab", "a-", "-b"]
    pairs = list(itertools.product(parts, parts))
    assert len({uri_of_gateway(f"{namespace}/{name}") for namespace, name in pairs}) == len(pairs)
