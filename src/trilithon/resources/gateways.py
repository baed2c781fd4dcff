"""GatewayClass and Gateway (gateway.networking.k8s.io v1 and v1beta1, one shape)."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from trilithon.resources.flaw import Flaw
from trilithon.resources.meta import (
    FromNamespaces,
    Hostname,
    Key,
    LabelSelector,
    LocalObjectReference,
    ObjectReference,
    PortNumber,
    RouteGroupKind,
    SecretObjectReference,
    SectionName,
    Spec,
)

MOST_LISTENERS = 64
DomainPrefixedPath = (
    r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/[A-Za-z0-9\/\-._~%!$&'()*+,;=:]+"
)


ControllerName = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=253,
        pattern=rf"^{DomainPrefixedPath}\Z",
        description="a domain and a path, such as example.com/controller",
    ),
]


class GatewayClassSpec(Spec, kw_only=True):
    """Which controller serves the Gateways of this class."""

    controller_name: ControllerName
    parameters_ref: ObjectReference | None = None
    description: Annotated[str, Meta(max_length=64)] | None = None


class GatewayClass(Struct, frozen=True, gc=False):
    """A class of Gateways. ``created`` is an RFC 3339 time, or "" for objects from files."""

    key: Key
    generation: int
    created: str
    spec: GatewayClassSpec
    flaws: tuple[Flaw, ...] = ()


class RouteNamespaces(Spec, kw_only=True):
    """From which namespaces routes may attach."""

    from_: FromNamespaces = field(name="from", default="Same")
    selector: LabelSelector | None = None


class AllowedRoutes(Spec, kw_only=True):
    """Which routes a listener takes; no kinds means every kind that fits the protocol."""

    namespaces: RouteNamespaces = RouteNamespaces()
    kinds: Annotated[tuple[RouteGroupKind, ...], Meta(max_length=8)] | None = None


class ListenerTLS(Spec, kw_only=True):
    """TLS settings of one listener."""

    mode: Literal["Terminate", "Passthrough"] = "Terminate"
    certificate_refs: Annotated[tuple[SecretObjectReference, ...], Meta(max_length=64)] = ()
    options: Annotated[dict[str, Annotated[str, Meta(max_length=4096)]], Meta(max_length=16)] | None = None


class GatewayListener(Spec, kw_only=True):
    """A listener as written."""

    name: SectionName
    hostname: Hostname | None = None
    port: PortNumber
    protocol: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=255,
            pattern=r"^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?\Z"
            r"|[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/[A-Za-z0-9]+\Z",
            description="a protocol: HTTP, HTTPS, TLS, TCP, UDP or one with a domain, such as example.com/proto",
        ),
    ]
    tls: ListenerTLS | None = None
    allowed_routes: AllowedRoutes = AllowedRoutes()


class GatewayAddress(Spec, kw_only=True):
    """An address the Gateway asks for; an empty value means any of that type."""

    # The CRD's pattern is not grouped, so that it lets nearly everything through; this is the same pattern.
    type: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=253,
            pattern=rf"^Hostname|IPAddress|NamedAddress|{DomainPrefixedPath}\Z",
            description="IPAddress, Hostname, NamedAddress or a type with a domain, such as example.com/type",
        ),
    ] = "IPAddress"
    value: Annotated[str, Meta(max_length=253)] | None = None


LabelValue = Annotated[
    str,
    Meta(
        max_length=63,
        pattern=r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?\Z",
        description="a label value: letters, digits and inner - _ .",
    ),
]


class GatewayInfrastructure(Spec, kw_only=True):
    """Labels, annotations and parameters for what runs the Gateway."""

    labels: (
        Annotated[
            dict[str, LabelValue],
            Meta(max_length=8),
        ]
        | None
    ) = None
    annotations: Annotated[dict[str, Annotated[str, Meta(max_length=4096)]], Meta(max_length=16)] | None = None
    parameters_ref: LocalObjectReference | None = None


class ListenerNamespaces(Spec, kw_only=True):
    """From which namespaces ListenerSets may attach."""

    from_: Literal["All", "Selector", "Same", "None"] = field(name="from", default="None")
    selector: LabelSelector | None = None


class AllowedListeners(Spec, kw_only=True):
    """Which ListenerSets may add listeners to a Gateway."""

    namespaces: ListenerNamespaces = ListenerNamespaces()


class FrontendTLSValidation(Spec, kw_only=True):
    """How client certificates are checked."""

    ca_certificate_refs: Annotated[tuple[ObjectReference, ...], Meta(min_length=1, max_length=16)] = field(
        name="caCertificateRefs"
    )
    mode: Literal["AllowValidOnly", "AllowInsecureFallback"] = "AllowValidOnly"


class FrontendTLSConfig(Spec, kw_only=True):
    """TLS towards clients."""

    validation: FrontendTLSValidation | None = None


class PortTLSConfig(Spec, kw_only=True):
    """TLS towards clients on one port."""

    port: PortNumber
    tls: FrontendTLSConfig


class GatewayFrontendTLS(Spec, kw_only=True):
    """TLS towards clients: a default and exceptions by port."""

    default: FrontendTLSConfig
    per_port: Annotated[tuple[PortTLSConfig, ...], Meta(max_length=64)] = ()


class GatewayBackendTLS(Spec, kw_only=True):
    """TLS towards backends."""

    client_certificate_ref: SecretObjectReference | None = None


class GatewayTLS(Spec, kw_only=True):
    """TLS settings of the whole Gateway."""

    backend: GatewayBackendTLS | None = None
    frontend: GatewayFrontendTLS | None = None


class GatewaySpec(Spec, kw_only=True):
    """A Gateway as written."""

    gateway_class_name: Annotated[str, Meta(min_length=1, max_length=253)]
    listeners: Annotated[tuple[GatewayListener, ...], Meta(min_length=1, max_length=MOST_LISTENERS)]
    addresses: Annotated[tuple[GatewayAddress, ...], Meta(max_length=16)] = ()
    infrastructure: GatewayInfrastructure | None = None
    allowed_listeners: AllowedListeners | None = None
    tls: GatewayTLS | None = None
    default_scope: Literal["All", "None"] | None = None


class Gateway(Struct, frozen=True, gc=False):
    """A Gateway. ``created`` is an RFC 3339 time, or "" for objects from files."""

    key: Key
    generation: int
    created: str
    spec: GatewaySpec
    flaws: tuple[Flaw, ...] = ()
