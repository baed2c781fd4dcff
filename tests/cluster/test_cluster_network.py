"""The cluster's own network: pods, Services, names and the addresses of load balancers are as in a real cluster."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable
from functools import partial
from ipaddress import ip_address

import pytest

from testcluster import Cluster
from testcluster.layout import BALANCER_NETWORK, NODE_ADDRESS, SERVICE_NETWORK
from tests.cluster.pods import ask, ask_from, client_pod, server_pod, service, wait_ready


@pytest.fixture
def addresses(cluster: Cluster, namespace: str) -> dict[str, str]:
    """Two servers behind a Service named web, and a client; the pods' addresses by name."""
    cluster.apply(
        server_pod("one"), server_pod("two"), client_pod(), service("web", type="LoadBalancer"), namespace=namespace
    )
    found = wait_ready(cluster, namespace, "one", "two", "client")
    until(cluster, lambda: ask(cluster_ip(cluster, namespace)))
    until(cluster, lambda: ask(balancer_address(cluster, namespace)))
    return found


def cluster_ip(cluster: Cluster, namespace: str, name: str = "web") -> str:
    address: str = cluster.get(f"/api/v1/namespaces/{namespace}/services/{name}")["spec"]["clusterIP"]
    return address


def until(cluster: Cluster, look: Callable[[], dict[str, str]]) -> dict[str, str]:
    """The first answer: rules and names of a new Service take a moment to be in force."""

    def attempt() -> dict[str, str] | None:
        try:
            return look()
        except (OSError, AssertionError, subprocess.CalledProcessError):
            return None

    return cluster.wait_for("an answer", attempt)


def balancer_address(cluster: Cluster, namespace: str, name: str = "web") -> str:
    path = f"/api/v1/namespaces/{namespace}/services/{name}"

    def held() -> str | None:
        ingress = cluster.get(path)["status"]["loadBalancer"].get("ingress")
        return ingress[0]["ip"] if ingress else None

    return cluster.wait_for(f"{name}'s address", held)


@pytest.mark.usefixtures("addresses")
def test_a_service_is_reached_from_the_node_and_spreads_over_its_pods(cluster: Cluster, namespace: str) -> None:
    """The node reaches a ClusterIP, and every pod behind it gets requests."""
    address = cluster_ip(cluster, namespace)
    assert ip_address(address) in SERVICE_NETWORK
    seen: set[str] = set()

    def both() -> bool:
        seen.add(until(cluster, lambda: ask(address))["pod"])
        return seen == {"one", "two"}

    cluster.wait_for("both pods to answer", both)


def test_pods_see_each_others_addresses(cluster: Cluster, namespace: str, addresses: dict[str, str]) -> None:
    """Neither directly nor through a Service does a pod appear as somebody else."""
    direct = ask_from(cluster, namespace, "client", f"http://{addresses['one']}:8080/")
    assert direct == {"pod": "one", "client": addresses["client"]}
    address = cluster_ip(cluster, namespace)
    assert ask_from(cluster, namespace, "client", f"http://{address}/")["client"] == addresses["client"]


@pytest.mark.usefixtures("addresses")
def test_names_of_services_resolve_in_pods(cluster: Cluster, namespace: str) -> None:
    """The short name, the one with the namespace, and the full one."""
    for name in ("web", f"web.{namespace}", f"web.{namespace}.svc.cluster.local"):
        answer = until(cluster, partial(ask_from, cluster, namespace, "client", f"http://{name}/"))
        assert answer["pod"] in {"one", "two"}


@pytest.mark.usefixtures("addresses")
def test_names_of_services_resolve_on_the_node(cluster: Cluster, namespace: str) -> None:
    """What is tested on the node finds Services by name, and is told at once of a name that nobody has."""
    assert until(cluster, lambda: ask(f"web.{namespace}"))["pod"] in {"one", "two"}
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("nobody.example", 80)


def test_a_pod_reaches_itself_through_its_service(cluster: Cluster, namespace: str) -> None:
    """A connection that comes back to where it began."""
    cluster.apply(server_pod("alone", "alone"), service("alone", "alone"), namespace=namespace)
    wait_ready(cluster, namespace, "alone")
    address = cluster_ip(cluster, namespace, "alone")
    until(cluster, lambda: ask(address))
    assert ask_from(cluster, namespace, "alone", f"http://{address}/")["pod"] == "alone"


@pytest.mark.usefixtures("addresses")
def test_a_load_balancers_address_is_reached_from_the_node_and_from_pods(cluster: Cluster, namespace: str) -> None:
    """It is of the pool, and kube-proxy routes it."""
    address = balancer_address(cluster, namespace)
    assert ip_address(address) in BALANCER_NETWORK
    assert until(cluster, lambda: ask(address))["pod"] in {"one", "two"}
    assert ask_from(cluster, namespace, "client", f"http://{address}/")["pod"] in {"one", "two"}


def test_a_local_traffic_policy_works_from_pods(cluster: Cluster, namespace: str, addresses: dict[str, str]) -> None:
    """Answers find their way back without every connection being masqueraded."""
    cluster.apply(service("local", type="LoadBalancer", externalTrafficPolicy="Local"), namespace=namespace)
    address = balancer_address(cluster, namespace, "local")
    until(cluster, lambda: ask(address))
    assert ask_from(cluster, namespace, "client", f"http://{address}/")["client"] == addresses["client"]


@pytest.mark.usefixtures("addresses")
def test_a_node_port_is_reached_from_a_pod(cluster: Cluster, namespace: str) -> None:
    """On the node's address, which is every pod's way out."""
    port = cluster.get(f"/api/v1/namespaces/{namespace}/services/web")["spec"]["ports"][0]["nodePort"]
    until(cluster, lambda: ask(str(NODE_ADDRESS), port))
    assert ask_from(cluster, namespace, "client", f"http://{NODE_ADDRESS}:{port}/")["pod"] in {"one", "two"}
