"""The stand-in load balancer: which Service gets an address, which waits, and when it gives one back."""

from __future__ import annotations

import http.client
from typing import Any

import pytest

from testcluster import Cluster
from testcluster.layout import API_PORT, BALANCER_NETWORK
from tests.cluster.pods import service

ASKED = str(BALANCER_NETWORK[0xFE01])
OUTSIDE = "192.0.2.1"


def balanced(name: str, **spec: Any) -> dict[str, Any]:
    return service(name, type="LoadBalancer", **spec)


def held(cluster: Cluster, namespace: str, name: str) -> str | None:
    """The address in a Service's status."""
    ingress = cluster.get(f"/api/v1/namespaces/{namespace}/services/{name}")["status"]["loadBalancer"].get("ingress")
    return ingress[0]["ip"] if ingress else None


def gets(cluster: Cluster, namespace: str, name: str) -> str:
    """The address that a Service gets."""
    return cluster.wait_for(f"{name}'s address", lambda: held(cluster, namespace, name))


def settled(cluster: Cluster, namespace: str) -> None:
    """Wait until everything before was looked at: a Service that comes later has its address."""
    cluster.apply(balanced("probe"), namespace=namespace)
    gets(cluster, namespace, "probe")
    cluster.delete(balanced("probe"), namespace=namespace)


def test_an_asked_address_is_given_to_one_at_a_time(cluster: Cluster, namespace: str) -> None:
    """The second waits until the first gives it back; one outside of the pool waits for ever."""
    cluster.apply(balanced("first", loadBalancerIP=ASKED), namespace=namespace)
    assert gets(cluster, namespace, "first") == ASKED
    cluster.apply(
        balanced("second", loadBalancerIP=ASKED), balanced("outside", loadBalancerIP=OUTSIDE), namespace=namespace
    )
    settled(cluster, namespace)
    assert held(cluster, namespace, "second") is None
    assert held(cluster, namespace, "outside") is None
    cluster.delete(balanced("first"), namespace=namespace)
    assert gets(cluster, namespace, "second") == ASKED


def test_a_foreign_class_is_left_alone(cluster: Cluster, namespace: str) -> None:
    """Somebody else's load balancer would serve it."""
    cluster.apply(balanced("foreign", loadBalancerClass="example.com/other"), namespace=namespace)
    settled(cluster, namespace)
    assert held(cluster, namespace, "foreign") is None


def test_an_address_goes_with_the_type(cluster: Cluster, namespace: str) -> None:
    """A Service that is no load balancer any more has no address left in its status."""
    cluster.apply(balanced("web"), namespace=namespace)
    gets(cluster, namespace, "web")
    cluster.apply(service("web", type="ClusterIP"), namespace=namespace)
    cluster.wait_for("the address to go", lambda: held(cluster, namespace, "web") is None)


def test_a_restart_changes_no_address(cluster: Cluster, namespace: str) -> None:
    """What was given stays given, and what came meanwhile is seen."""
    cluster.apply(balanced("before"), namespace=namespace)
    address = gets(cluster, namespace, "before")
    cluster.kill("balancer")
    cluster.apply(balanced("meanwhile"), namespace=namespace)
    cluster.start("balancer")
    assert gets(cluster, namespace, "meanwhile") != address
    assert held(cluster, namespace, "before") == address


@pytest.mark.usefixtures("cluster")
def test_an_address_without_a_service_answers_nobody() -> None:
    """Nothing on the node is taken for it."""
    connection = http.client.HTTPConnection(str(BALANCER_NETWORK[0xFEFE]), API_PORT, timeout=0.5)
    try:
        connection.connect()
    except OSError:
        return
    finally:
        connection.close()
    raise AssertionError("something answered")
