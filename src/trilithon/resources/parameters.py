"""GatewayParameters (trilithon.dev/v1alpha1): how what runs a Gateway is to be made.

A GatewayClass names one as the defaults of its Gateways, a Gateway another for itself. No field has a default here:
what neither says is decided where the objects are made.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from trilithon.resources.meta import Key, PortNumber, Spec
from trilithon.resources.says import Says

Quantity = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=32,
        pattern=r"^[0-9]{1,12}(\.[0-9]{1,9})?([KMGTPE]i|[numkMGTPE])?\Z",
        description="a quantity such as 500m, 2, 128Mi or 1.5Gi",
    ),
]
MOST_REPLICAS = 1000
Replicas = Annotated[int, Meta(ge=1, le=MOST_REPLICAS)]


class Autoscaling(Spec, kw_only=True):
    """How many pods, by how much of the CPU that they request is used."""

    min_replicas: Annotated[Replicas, Says("The fewest pods.")] = 1
    max_replicas: Annotated[Replicas, Says("The most pods.")]
    target_cpu_percent: Annotated[
        int, Meta(ge=1, le=1000), Says("The use to aim at, on average over all pods, in percent of the request.")
    ] = field(name="targetCPUPercent", default=80)


class Amounts(Spec, kw_only=True):
    """How much of each resource."""

    cpu: Annotated[Quantity | None, Says("CPUs, such as 500m or 2.")] = None
    memory: Annotated[Quantity | None, Says("Bytes, such as 128Mi or 1Gi.")] = None


class Resources(Spec, kw_only=True):
    """What each pod gets."""

    requests: Annotated[Amounts | None, Says("What a pod is promised; 100m CPU and 128Mi of memory if unset.")] = None
    limits: Annotated[Amounts | None, Says("What a pod may use at most; no limit if unset.")] = None


class NodePort(Spec, kw_only=True):
    """The port of every node that leads to a port of the Gateway."""

    port: Annotated[PortNumber, Says("The port of a listener.")]
    node_port: Annotated[PortNumber, Says("The port of the nodes.")]


class ServiceParameters(Spec, kw_only=True):
    """The Service through which clients reach a Gateway."""

    type: Annotated[
        Literal["LoadBalancer", "NodePort", "ClusterIP"] | None,
        Says("LoadBalancer if unset, or ClusterIP with hostNetwork."),
    ] = None
    annotations: Annotated[
        Annotated[dict[str, Annotated[str, Meta(max_length=4096)]], Meta(max_length=16)] | None,
        Says("Annotations of the Service alone, such as those that a cloud's load balancer reads."),
    ] = None
    external_traffic_policy: Annotated[
        Literal["Cluster", "Local"] | None,
        Says("Local keeps the clients' addresses, and needs a pod on every node that gets traffic."),
    ] = None
    load_balancer_class: Annotated[
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=253,
                pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/)?"
                r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?\Z",
                description="a name of a load balancer class, such as example.com/internal",
            ),
        ]
        | None,
        Says("Which load balancer gives the address; the cluster's own if unset. It cannot be changed later."),
    ] = None
    node_ports: Annotated[
        tuple[NodePort, ...], Meta(max_length=64), Says("Fixed ports of the nodes; others are assigned.")
    ] = ()


class EnvoyParameters(Spec, kw_only=True):
    """How Envoy is started. A change replaces the pods."""

    concurrency: Annotated[
        Annotated[int, Meta(ge=1, le=256)] | None, Says("Worker threads; one for each CPU of the node if unset.")
    ] = None
    log_level: Annotated[
        Literal["trace", "debug", "info", "warning", "error", "critical"] | None, Says("Warning if unset.")
    ] = None


class GatewayParametersSpec(Spec, kw_only=True):
    """What runs a Gateway. A Gateway's own parameters go before those of its class, field by field."""

    replicas: Annotated[Replicas | None, Says("How many pods; 1 if neither this nor autoscaling is set.")] = None
    autoscaling: Annotated[Autoscaling | None, Says("Has the number of pods follow their load.")] = None
    resources: Annotated[Resources | None, Says("What each pod gets.")] = None
    service: Annotated[ServiceParameters | None, Says("The Service through which clients reach the Gateway.")] = None
    envoy: Annotated[EnvoyParameters | None, Says("How Envoy is started.")] = None
    host_network: Annotated[
        bool | None,
        Says(
            "Pods have the addresses of their nodes. Counts only where a GatewayClass names this object. Listeners on "
            "ports below 1024 then need net.ipv4.ip_unprivileged_port_start=0 on the nodes."
        ),
    ] = None


class GatewayParameters(Struct, frozen=True, gc=False):
    """Parameters of a Gateway, or of all Gateways of a class."""

    key: Key
    generation: int
    created: str
    spec: GatewayParametersSpec
