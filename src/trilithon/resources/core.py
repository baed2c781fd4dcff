"""The core kinds a Gateway needs, reduced to what is used, and Trilithon's own Backend kind."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from trilithon.resources.meta import MAX_INT32, Key, Part, PortNumber, Spec

Protocol = Literal["TCP", "UDP", "SCTP"]


class ServicePort(Part, kw_only=True):
    """A port of a Service."""

    name: str = ""
    port: PortNumber
    protocol: Protocol = "TCP"
    app_protocol: str | None = None


class ServiceSpec(Part, kw_only=True):
    """The parts of a Service that matter for routing; endpoints come from EndpointSlices."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"] = "ClusterIP"
    ports: tuple[ServicePort, ...] = ()
    external_name: str | None = None
    cluster_ip: str = field(name="clusterIP", default="")


class IngressPoint(Part, kw_only=True):
    """An address that a load balancer has given a Service: one of the two."""

    ip: str = ""
    hostname: str = ""


class LoadBalancerStatus(Part, kw_only=True):
    """What a load balancer says of a Service."""

    ingress: tuple[IngressPoint, ...] = ()


class ServiceStatus(Part, kw_only=True):
    """The status of a Service."""

    load_balancer: LoadBalancerStatus = LoadBalancerStatus()


class Service(Struct, frozen=True, gc=False):
    """A Service.

    ``gateway`` is the name of the Gateway that controls it, and ``installation`` which one of Trilithon says that it
    has made it; each "" for none. ``on_nodes`` says of such a one that its pods have their nodes' addresses.
    """

    key: Key
    generation: int
    created: str
    spec: ServiceSpec
    load_balancer: tuple[IngressPoint, ...] = ()
    gateway: str = ""
    installation: str = ""
    on_nodes: bool = False


class EndpointConditions(Part, kw_only=True):
    """Unknown (None) readiness counts as ready, as the API says."""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class SliceEndpoint(Part, kw_only=True):
    """One endpoint; only the first address counts, as for kube-proxy."""

    addresses: Annotated[tuple[str, ...], Meta(min_length=1, max_length=100)]
    conditions: EndpointConditions = EndpointConditions()
    zone: str | None = None


class SlicePort(Part, kw_only=True):
    """A port of every endpoint of the slice; the name links it to the Service's port."""

    name: str | None = None
    port: Annotated[int, Meta(ge=-MAX_INT32 - 1, le=MAX_INT32)] | None = None
    protocol: Protocol = "TCP"
    app_protocol: str | None = None


class EndpointSlice(Struct, frozen=True, gc=False):
    """An EndpointSlice; ``service`` is the value of its label kubernetes.io/service-name, or ""."""

    key: Key
    generation: int
    created: str
    service: str
    address_type: str
    endpoints: tuple[SliceEndpoint, ...] = ()
    ports: tuple[SlicePort, ...] = ()


class Bytes(Struct, frozen=True, gc=False):
    """Secret bytes that never show in a repr, a log or a dump."""

    value: bytes

    def __repr__(self) -> str:
        return f"<{len(self.value)} bytes>"


class Secret(Struct, frozen=True, gc=False):
    """A Secret; the values are decoded.

    One that is not ``is_known`` could not be read yet: nothing is known of it, not even whether it exists. ``former``
    is what it held when it could be used as a certificate last, if it cannot be now; its source remembers that. ``uid``
    tells it apart from an earlier Secret of that name, where an API server gave it one, else "".
    """

    key: Key
    generation: int
    created: str
    type: str
    data: tuple[tuple[str, Bytes], ...] = ()
    is_known: bool = True
    former: tuple[tuple[str, Bytes], ...] = ()
    uid: str = ""

    def get(self, name: str) -> bytes | None:
        """The bytes under this name, or None."""
        for entry, value in self.data:
            if entry == name:
                return value.value
        return None


class ConfigMap(Struct, frozen=True, gc=False):
    """A ConfigMap; binary values are not kept. ``is_known`` as of a Secret."""

    key: Key
    generation: int
    created: str
    data: tuple[tuple[str, str], ...] = ()
    is_known: bool = True


class Namespace(Struct, frozen=True, gc=False):
    """A Namespace; only its labels matter."""

    key: Key
    generation: int
    created: str
    labels: tuple[tuple[str, str], ...] = ()


class IPEndpoint(Spec, kw_only=True):
    """An address and a port."""

    address: Annotated[str, Meta(min_length=1, max_length=64)]
    port: PortNumber


class HostnameEndpoint(Spec, kw_only=True):
    """A DNS name and a port."""

    hostname: Annotated[str, Meta(min_length=1, max_length=253)]
    port: PortNumber


class UnixEndpoint(Spec, kw_only=True):
    """A unix socket; an abstract socket starts with "@"."""

    # 107 is what the kernel's sockaddr_un holds besides the closing zero.
    path: Annotated[str, Meta(min_length=1, max_length=107, pattern=r"^[/@]", description="an absolute path or @name")]


class BackendEndpoint(Spec, kw_only=True):
    """Exactly one of the three."""

    ip: IPEndpoint | None = None
    hostname: HostnameEndpoint | None = None
    unix: UnixEndpoint | None = None


class BackendSpec(Spec, kw_only=True):
    """Where a backend that has no Service lives, and what it speaks."""

    endpoints: Annotated[tuple[BackendEndpoint, ...], Meta(min_length=1, max_length=64)]
    app_protocol: Literal["kubernetes.io/h2c", "kubernetes.io/ws"] | None = None


class BackendResource(Struct, frozen=True, gc=False):
    """A Backend (trilithon.dev/v1alpha1). The name leaves "Backend" to the model's word for what a ref resolved to."""

    key: Key
    generation: int
    created: str
    spec: BackendSpec


Resource = Service | EndpointSlice | Secret | ConfigMap | Namespace | BackendResource
