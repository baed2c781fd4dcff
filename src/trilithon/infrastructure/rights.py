"""What the controller may do in a cluster: each right with what it is for, and none more."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from trilithon.resources.meta import GATEWAY_GROUP, TRILITHON_GROUP

Json = dict[str, object]

WATCH = ("list", "watch")


class Right(Struct, frozen=True):
    """Verbs on resources of one API group; with ``names`` only on the objects called so."""

    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    names: tuple[str, ...] = ()

    def rule(self) -> Json:
        """As a PolicyRule."""
        rule: Json = {
            "apiGroups": [self.group],
            "resources": list(self.resources),
            "verbs": list(self.verbs),
        }
        return {**rule, "resourceNames": list(self.names)} if self.names else rule


EVENTS = Right("events.k8s.io", ("events",), ("create", "patch"))

# Objects without a namespace: read wherever the controller serves.
CLUSTER = (
    Right(GATEWAY_GROUP, ("gatewayclasses",), ("get", *WATCH, "patch")),
    Right(GATEWAY_GROUP, ("gatewayclasses/status",), ("patch",)),
    Right("apiextensions.k8s.io", ("customresourcedefinitions",), WATCH),
    Right("", ("namespaces",), WATCH),
)

# In every namespace that is served.
SERVED = (
    # What is translated, and its status.
    Right(GATEWAY_GROUP, ("gateways", "httproutes"), ("get", *WATCH)),
    Right(GATEWAY_GROUP, ("gateways/status", "httproutes/status"), ("patch",)),
    Right(GATEWAY_GROUP, ("referencegrants",), WATCH),
    Right(TRILITHON_GROUP, ("backends", "gatewayparameters"), WATCH),
    Right("discovery.k8s.io", ("endpointslices",), WATCH),
    # Those that something names are read; all others are known by their metadata alone.
    Right("", ("configmaps",), ("get", *WATCH)),
    EVENTS,
    # What runs the Gateways.
    Right("", ("secrets", "services", "serviceaccounts"), ("get", *WATCH, "create", "patch", "delete")),
    Right("apps", ("deployments",), ("get", *WATCH, "create", "patch", "delete")),
    Right("policy", ("poddisruptionbudgets",), ("get", *WATCH, "create", "patch", "delete")),
    Right("autoscaling", ("horizontalpodautoscalers",), ("get", *WATCH, "create", "patch", "delete")),
)

# Events of GatewayClasses, which have no namespace, are in this one, whichever are served.
CLASS_EVENTS_NAMESPACE = "default"
CLASS_EVENTS = (EVENTS,)
# The parameters of GatewayClasses are in the controller's own namespace, whichever are served.
CLASS_PARAMETERS = (Right(TRILITHON_GROUP, ("gatewayparameters",), WATCH),)


def own(name: str, authority: str) -> tuple[Right, ...]:
    """In the controller's own namespace: its Lease, its certificate authority, and where its replicas are."""
    return (
        Right("coordination.k8s.io", ("leases",), ("create",)),
        Right("coordination.k8s.io", ("leases",), ("get", "patch"), (name,)),
        Right("", ("secrets",), ("create",)),
        Right("", ("secrets",), ("get", "update"), (authority,)),
        Right("discovery.k8s.io", ("endpointslices",), WATCH),
    )


def rules(rights: Iterable[Right]) -> list[Json]:
    """As a role has them."""
    return [right.rule() for right in rights]
