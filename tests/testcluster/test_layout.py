"""Clusters of different names never meet."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testcluster.components import components, kubeconfig
from testcluster.layout import BALANCER_NETWORK, NAME, POD_NETWORK, SERVICE_NETWORK, KubeletConfig, Layout

NAMES = st.from_regex(NAME, fullmatch=True)


@given(NAMES, NAMES)
def test_no_namespace_is_of_two_clusters(one: str, other: str) -> None:
    """Neither the hub nor a pod's."""
    mine, theirs = Layout(one), Layout(other)
    for namespace in (mine.hub, f"{mine.pod_prefix}0123456789ab"):
        assert mine.owns(namespace)
        assert theirs.owns(namespace) == (one == other)
    assert not mine.owns(one)
    assert not mine.owns(f"{one}.x")


@pytest.mark.parametrize("name", ["", "A", "-a", "a.b", "a/b", "..", "a b"])
def test_a_name_is_plain(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It becomes part of paths."""
    monkeypatch.setenv("TESTCLUSTER", name or "x.y")
    with pytest.raises(ValueError, match="no name for a cluster"):
        Layout.of()


def test_networks_are_apart() -> None:
    """Or an address would mean two things."""
    networks: list[IPv4Network] = [POD_NETWORK, SERVICE_NETWORK, BALANCER_NETWORK]
    assert not [(a, b) for a in networks for b in networks if a is not b and a.overlaps(b)]


def test_the_kubelets_configuration_is_read_as_written(tmp_path: Path) -> None:
    """Paths included."""
    config = KubeletConfig(
        server="https://x",
        token="t",
        ca=tmp_path / "ca",
        certificate=tmp_path / "crt",
        key=tmp_path / "key",
        node="node",
        node_address="10.254.0.1",
        pod_network="10.254.0.0/16",
        dns="10.96.0.10",
        domain="cluster.local",
        hub="a.hub",
        pod_prefix="a.",
        pods=tmp_path,
        images=tmp_path / "images.toml",
        variables={"bin": "/b"},
        backend_port=1,
        version="v1",
    )
    config.write(tmp_path / "config")
    assert KubeletConfig.read(tmp_path / "config") == config


def test_what_a_cluster_runs_stays_in_its_own_folder(tmp_path: Path) -> None:
    """Programs, files and certificates; and every process enters its hub first."""
    layout = Layout("a", tmp_path)
    for component in components(layout):
        assert component.parents(layout)[1].endswith("/a.hub")
        assert not [word for word in component.argv if "/.made/cluster/" in word and str(layout.state) not in word]
    assert kubeconfig(layout, "token")["current-context"] == "a"
