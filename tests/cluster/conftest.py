"""What every test of this folder gets: the cluster that it runs in, and a namespace of its own.

These tests run on the cluster's node: ``make test-cluster`` brings the cluster up and runs them there.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from testcluster import ApiError, Cluster, Failure, hub
from testcluster.api import conditions
from trilithon.resources.schema import definitions

NAMESPACES = "/api/v1/namespaces"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
API_SERVER = "kube-apiserver"
TEST_SECONDS = 300.0
"""What a test may take that does not say it: several of its waits, and at the end that of the tests' namespaces."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests of this folder their time."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TEST_SECONDS))


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
    cluster.wait_for("the tests' namespaces to go", lambda: not any(_is_there(cluster, name) for name in made), 150)


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


@pytest.fixture(scope="module")
def own_kinds(cluster: Cluster) -> None:
    """The definitions of our own kinds are there, and the kinds are served."""
    for definition in definitions():
        cluster.apply(definition)
        path = f"{DEFINITIONS}/{definition['metadata']['name']}"
        cluster.wait_for("the definition", partial(_is_established, cluster, path))
        assert conditions(cluster.get(path)).get("NonStructuralSchema") != "True"
        plural = definition["spec"]["names"]["plural"]
        cluster.wait_for("the kind", partial(_is_served, cluster, f"/apis/trilithon.dev/v1alpha1/{plural}"))


def _is_established(cluster: Cluster, path: str) -> bool:
    return conditions(cluster.get(path)).get("Established") == "True"


def _is_served(cluster: Cluster, path: str) -> bool:
    try:
        return cluster.find(path) is not None
    except ApiError as error:
        # "storage is (re)initializing", for a moment after the definition is there.
        if error.status == 429:
            return False
        raise


@pytest.fixture
def disturbed(cluster: Cluster, namespace: str) -> Iterator[None]:
    """For a test that takes the API server away: after it the server is there, and all parts have recovered."""
    yield
    _restore(cluster)
    cluster.settle()


@pytest.fixture
def restored(cluster: Cluster) -> Iterator[None]:
    """The same for one of those that share a world, in which parts may take their time: the server is there."""
    yield
    _restore(cluster)


def _restore(cluster: Cluster) -> None:
    cluster.resume(API_SERVER)
    if not cluster.processes[API_SERVER].alive:
        cluster.start(API_SERVER)
    cluster.wait_ready()


def _is_there(cluster: Cluster, name: str) -> bool:
    return cluster.find(f"{NAMESPACES}/{name}") is not None
