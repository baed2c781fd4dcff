"""GatewayParameters (trilithon.dev/v1alpha1): how what runs a Gateway is to be made.

A GatewayClass names one as the defaults of its Gateways, a Gateway another for itself. No field has a default here:
what neither says is decided where the objects are made.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from trilithon.resources.meta import Key, PortNumber, Spec

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
    """Between how many pods, and at which average use of the requested CPU, in percent (80 if unset)."""

    min_replicas: Replicas = 1
    max_replicas: Replicas
    target_cpu_percent: Annotated[int, Meta(ge=1, le=1000)] = 80


class Amounts(Spec, kw_only=True):
    """How much of each resource."""

    cpu: Quantity | None = None
    memory: Quantity | None = None


class Resources(Spec, kw_only=True):
    """What each pod is promised, and what it may use at most."""

    requests: Amounts | None = None
    limits: Amounts | None = None


class NodePort(Spec, kw_only=True):
    """The port of every node that leads to a listener's port."""

    port: PortNumber
    node_port: PortNumber


class ServiceParameters(Spec, kw_only=True):
    """The Service through which clients reach the Gateway; LoadBalancer unless a type is given."""

    type: Literal["LoadBalancer", "NodePort", "ClusterIP"] | None = None
    annotations: Annotated[dict[str, Annotated[str, Meta(max_length=4096)]], Meta(max_length=32)] | None = None
    external_traffic_policy: Literal["Cluster", "Local"] | None = None
    load_balancer_class: (
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
        | None
    ) = None
    node_ports: Annotated[tuple[NodePort, ...], Meta(max_length=64)] = ()


class EnvoyParameters(Spec, kw_only=True):
    """How Envoy is started."""

    concurrency: Annotated[int, Meta(ge=1, le=256)] | None = None
    log_level: Literal["trace", "debug", "info", "warning", "error", "critical"] | None = None


class GatewayParametersSpec(Spec, kw_only=True):
    """Parameters as written. ``host_network`` counts only where a GatewayClass names the object."""

    replicas: Replicas | None = None
    autoscaling: Autoscaling | None = None
    resources: Resources | None = None
    service: ServiceParameters | None = None
    envoy: EnvoyParameters | None = None
    host_network: bool | None = None


class GatewayParameters(Struct, frozen=True, gc=False):
    """Parameters of a Gateway, or of all Gateways of a class."""

    key: Key
    generation: int
    created: str
    spec: GatewayParametersSpec
