"""Addresses and names of pods."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

from testcluster.kubelet.network import Addresses, namespace_of
from testcluster.layout import Layout
from tests.testcluster.kubelet.pods import pod

NETWORK = IPv4Network("10.1.0.0/22")


def test_an_address_comes_back_as_late_as_can_be(tmp_path: Path) -> None:
    """After all others; never the node's, the first or the last of 256."""
    addresses = Addresses(NETWORK, tmp_path / "last")
    taken = [addresses.take() for _ in range(254 * 3)]
    assert (taken[0], taken[254], taken[-1]) == ("10.1.1.1", "10.1.2.1", "10.1.3.254")
    assert len(set(taken)) == len(taken)
    assert addresses.take() == taken[0]


def test_a_restart_goes_on_where_it_was(tmp_path: Path) -> None:
    """An address just used by a pod that is gone is not the next pod's."""
    before = Addresses(NETWORK, tmp_path / "last").take()
    assert Addresses(NETWORK, tmp_path / "last").take() != before


def test_a_pods_namespace_is_the_clusters() -> None:
    """So that whoever takes the cluster down finds it."""
    layout = Layout.of("a-2")
    name = namespace_of(layout.pod_prefix, pod(metadata={"uid": "01234567-89ab-4cde-8f01-23456789abcd"}))
    assert name == "a-2.01234567abcd"
    assert layout.owns(name)
