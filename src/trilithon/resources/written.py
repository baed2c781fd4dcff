"""Core kinds as documents write them: every field, though few are kept, so that mistakes in all of them are found.

An empty text is an absent field, as it is to the API server. What is kept is in ``parts`` and ``core``.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from trilithon.resources.core import ServiceStatus
from trilithon.resources.meta import MAX_INT32, Part, PortNumber, Spec

Int32 = Annotated[int, Meta(ge=-MAX_INT32 - 1, le=MAX_INT32)]


class WrittenServicePort(Spec, kw_only=True):
    """A port as written; ``target_port`` is a number, or the name of a port of the pods."""

    name: str = ""
    port: PortNumber
    protocol: Literal["", "TCP", "UDP", "SCTP"] = ""
    app_protocol: str | None = None
    target_port: Int32 | str | None = None
    node_port: Int32 = 0


class ClientIPConfig(Spec, kw_only=True):
    """For how long a client keeps its endpoint."""

    timeout_seconds: Int32 | None = None


class SessionAffinityConfig(Spec, kw_only=True):
    """Settings of session affinity."""

    client_ip: ClientIPConfig | None = field(name="clientIP", default=None)


class WrittenService(Spec, kw_only=True):
    """The spec of a Service."""

    type: Literal["", "ClusterIP", "NodePort", "LoadBalancer", "ExternalName"] = ""
    ports: tuple[WrittenServicePort, ...] = ()
    selector: dict[str, str] | None = None
    cluster_ip: str = field(name="clusterIP", default="")
    cluster_ips: tuple[str, ...] = field(name="clusterIPs", default=())
    external_ips: tuple[str, ...] = field(name="externalIPs", default=())
    external_name: str = ""
    session_affinity: Literal["", "None", "ClientIP"] = ""
    session_affinity_config: SessionAffinityConfig | None = None
    ip_families: tuple[Literal["IPv4", "IPv6"], ...] = field(name="ipFamilies", default=())
    ip_family_policy: Literal["SingleStack", "PreferDualStack", "RequireDualStack"] | None = field(
        name="ipFamilyPolicy", default=None
    )
    external_traffic_policy: Literal["", "Cluster", "Local"] = ""
    internal_traffic_policy: Literal["Cluster", "Local"] | None = None
    health_check_node_port: Int32 = 0
    allocate_load_balancer_node_ports: bool | None = None
    load_balancer_class: str | None = None
    load_balancer_ip: str = field(name="loadBalancerIP", default="")
    load_balancer_source_ranges: tuple[str, ...] = ()
    publish_not_ready_addresses: bool = False
    traffic_distribution: Literal["PreferClose", "PreferSameZone", "PreferSameNode"] | None = None

    @property
    def is_headless(self) -> bool:
        """Whether the Service has no address of its own."""
        return self.cluster_ip == "None"


class EndpointHint(Spec, kw_only=True):
    """A zone, or a node, whose clients an endpoint is for."""

    name: str = ""


class EndpointHints(Spec, kw_only=True):
    """Whose clients an endpoint is for."""

    for_zones: Annotated[tuple[EndpointHint, ...], Meta(max_length=8)] = ()
    for_nodes: Annotated[tuple[EndpointHint, ...], Meta(max_length=8)] = ()


class WrittenConditions(Spec, kw_only=True):
    """Conditions of an endpoint."""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class TargetReference(Spec, kw_only=True):
    """What an endpoint is."""

    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""
    api_version: str = ""
    resource_version: str = ""
    field_path: str = ""


class WrittenEndpoint(Spec, kw_only=True):
    """An endpoint."""

    addresses: Annotated[tuple[str, ...], Meta(min_length=1, max_length=100)]
    conditions: WrittenConditions | None = None
    hostname: str | None = None
    node_name: str | None = None
    zone: str | None = None
    hints: EndpointHints | None = None
    target_ref: TargetReference | None = None
    deprecated_topology: dict[str, str] | None = None


class WrittenSlicePort(Spec, kw_only=True):
    """A port of every endpoint of a slice; the API server does not look whether its number can be one."""

    name: str | None = None
    port: Int32 | None = None
    protocol: Literal["TCP", "UDP", "SCTP"] = "TCP"
    app_protocol: str | None = None


class WrittenServiceParts(Part, kw_only=True):
    """The top-level fields of a Service."""

    spec: WrittenService
    status: ServiceStatus | None = None


class WrittenSliceParts(Part, kw_only=True):
    """The top-level fields of an EndpointSlice."""

    address_type: Literal["IPv4", "IPv6", "FQDN"]
    endpoints: Annotated[tuple[WrittenEndpoint, ...], Meta(max_length=1000)] = ()
    ports: Annotated[tuple[WrittenSlicePort, ...], Meta(max_length=20_000)] = ()


class WrittenNamespaceSpec(Spec, kw_only=True):
    """The spec of a Namespace."""

    finalizers: tuple[str, ...] = ()


class WrittenNamespaceParts(Part, kw_only=True):
    """The top-level fields of a Namespace."""

    spec: WrittenNamespaceSpec | None = None
