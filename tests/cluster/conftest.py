"""What every test of this folder gets: the cluster that it runs in, and a namespace of its own.

These tests run on the cluster's node: ``make test-cluster`` brings the cluster up and runs them there.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from testcluster import Cluster, Failure, hub

NAMESPACES = "/api/v1/namespaces"


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    """The cluster on whose node we run."""
    try:
        attached = Cluster.attach()
    except Failure as error:
        pytest.exit(str(error), returncode=2)
    if not hub.is_inside(attached.layout):
        pytest.exit("These tests run on a test cluster's node: make test-cluster", returncode=2)
    return attached


@pytest.fixture(scope="session")
def _namespaces(cluster: Cluster) -> Iterator[list[str]]:
    made: list[str] = []
    yield made
    # Each was told to go after its test; the cluster is as it was when the last is gone.
    cluster.wait_for("the tests' namespaces to go", lambda: not any(_is_there(cluster, name) for name in made), 90)


@pytest.fixture
def namespace(cluster: Cluster, _namespaces: list[str]) -> Iterator[str]:
    """The name of a namespace that is new and empty, with its service account; it goes after the test."""
    name = f"test-{secrets.token_hex(4)}"
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    _namespaces.append(name)
    account = f"{NAMESPACES}/{name}/serviceaccounts/default"
    cluster.wait_for("the service account", lambda: cluster.find(account))
    yield name
    cluster.api.delete(f"{NAMESPACES}/{name}")


def _is_there(cluster: Cluster, name: str) -> bool:
    return cluster.find(f"{NAMESPACES}/{name}") is not None
