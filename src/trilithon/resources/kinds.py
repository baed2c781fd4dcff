"""Which kinds there are: those read here, each with its versions and type, and those known by name only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from trilithon.resources import core, gateways, objects, parameters, parts, policies, routes, written
from trilithon.resources.meta import GATEWAY_GROUP, TRILITHON_GROUP, Key
from trilithon.resources.names import label_problem, service_name_problem, subdomain_problem
from trilithon.resources.wording import Finding

# (key, metadata, the typed part) -> the resource, and what is wrong with it all the same.
Maker = Callable[[Key, parts.ObjectMeta, Any], tuple[Any, Sequence[Finding]]]


class Kind(Struct, frozen=True, kw_only=True):
    """A kind that is read.

    ``part`` is the type of its spec where ``has_spec``, else of the fields beside metadata. ``written`` is the type of
    the same fields in documents, where more of them is checked than kept. ``secret`` keeps values out of messages.
    """

    group: str
    versions: tuple[str, ...] = ("v1",)
    name: str
    part: type[Struct]
    make: Maker
    has_spec: bool = True
    namespaced: bool = True
    valid_name: Callable[[str], str] = subdomain_problem
    written: type[Struct] | None = None
    secret: bool = False

    @property
    def is_custom(self) -> bool:
        """Whether a CRD defines the kind, and not Kubernetes itself."""
        return self.group not in FOREIGN

    @property
    def api_versions(self) -> tuple[str, ...]:
        """As documents write them, the best first."""
        return tuple(f"{self.group}/{version}" if self.group else version for version in self.versions)


def _with_spec(resource: Callable[..., Any]) -> Maker:
    def make(key: Key, metadata: parts.ObjectMeta, spec: Any) -> tuple[Any, Sequence[Finding]]:
        return resource(key, metadata.generation, metadata.created, spec), ()

    return make


def _gateway_kind(name: str, spec: type[Struct], resource: Callable[..., Any], *, namespaced: bool = True) -> Kind:
    return Kind(
        group=GATEWAY_GROUP,
        versions=("v1", "v1beta1"),
        name=name,
        part=spec,
        make=_with_spec(resource),
        namespaced=namespaced,
    )


KINDS: tuple[Kind, ...] = (
    _gateway_kind("GatewayClass", gateways.GatewayClassSpec, gateways.GatewayClass, namespaced=False),
    _gateway_kind("Gateway", gateways.GatewaySpec, gateways.Gateway),
    _gateway_kind("HTTPRoute", routes.HTTPRouteSpec, routes.HTTPRoute),
    _gateway_kind("ReferenceGrant", policies.ReferenceGrantSpec, policies.ReferenceGrant),
    Kind(
        group="",
        name="Service",
        part=parts.ServiceParts,
        make=objects.service,
        has_spec=False,
        valid_name=service_name_problem,
        written=written.WrittenServiceParts,
    ),
    Kind(group="", name="Secret", part=parts.SecretParts, make=objects.secret, has_spec=False, secret=True),
    Kind(group="", name="ConfigMap", part=parts.ConfigMapParts, make=objects.config_map, has_spec=False),
    Kind(
        group="",
        name="Namespace",
        part=parts.NamespaceParts,
        make=objects.namespace,
        has_spec=False,
        namespaced=False,
        valid_name=label_problem,
        written=written.WrittenNamespaceParts,
    ),
    Kind(
        group="discovery.k8s.io",
        name="EndpointSlice",
        part=parts.EndpointSliceParts,
        make=objects.endpoint_slice,
        has_spec=False,
        written=written.WrittenSliceParts,
    ),
    Kind(
        group=TRILITHON_GROUP,
        versions=("v1alpha1",),
        name="Backend",
        part=core.BackendSpec,
        make=_with_spec(core.BackendResource),
    ),
    Kind(
        group=TRILITHON_GROUP,
        versions=("v1alpha1",),
        name="GatewayParameters",
        part=parameters.GatewayParametersSpec,
        make=_with_spec(parameters.GatewayParameters),
    ),
)

# Kinds of groups that are ours to read, which are not read yet.
NOT_YET: Mapping[str, frozenset[str]] = {
    GATEWAY_GROUP: frozenset({"GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute", "ListenerSet", "BackendTLSPolicy"}),
    "gateway.networking.x-k8s.io": frozenset({"XBackendTrafficPolicy", "XMesh", "XBackend", "XListenerSet"}),
    "networking.x-k8s.io": frozenset(
        {"GatewayClass", "Gateway", "HTTPRoute", "TLSRoute", "TCPRoute", "UDPRoute", "BackendPolicy"}
    ),
}

# Kinds of the groups of Kubernetes itself that say nothing about routing here: any other name there is a misspelling.
FOREIGN: Mapping[str, frozenset[str]] = {
    "": frozenset(
        {
            "Binding",
            "ComponentStatus",
            "Endpoints",
            "Event",
            "LimitRange",
            "Node",
            "PersistentVolume",
            "PersistentVolumeClaim",
            "Pod",
            "PodTemplate",
            "ReplicationController",
            "ResourceQuota",
            "ServiceAccount",
        }
    ),
    "discovery.k8s.io": frozenset(),
    "networking.k8s.io": frozenset({"Ingress", "IngressClass", "IPAddress", "NetworkPolicy", "ServiceCIDR"}),
}
