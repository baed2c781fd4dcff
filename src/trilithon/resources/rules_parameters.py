"""The rules of GatewayParameters that span several fields; ``schema.py`` says the same to an API server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from trilithon.resources.parameters import (
    Autoscaling,
    GatewayParametersSpec,
    NodePort,
    Resources,
    ServiceParameters,
)
from trilithon.resources.quantity import amount
from trilithon.resources.rule import Rule, UniqueBy
from trilithon.resources.rules_gateway import annotation_keys_are_valid
from trilithon.resources.wording import Finding


def replicas_are_said_once(spec: GatewayParametersSpec) -> Sequence[Finding]:
    """A fixed number of pods and autoscaling exclude each other."""
    if spec.replicas is None or spec.autoscaling is None:
        return ()
    return (Finding("ConflictingFields", ".replicas", "replicas and autoscaling exclude each other", "remove one"),)


def scale_is_a_range(autoscaling: Autoscaling) -> Sequence[Finding]:
    """The fewest pods are not more than the most."""
    if autoscaling.min_replicas <= autoscaling.max_replicas:
        return ()
    return (Finding("InvalidValue", ".minReplicas", "minReplicas is greater than maxReplicas"),)


def requests_are_within_limits(resources: Resources) -> Sequence[Finding]:
    """No pod is promised more than it may use."""
    if resources.requests is None or resources.limits is None:
        return ()
    found = []
    for name in ("cpu", "memory"):
        request = amount(getattr(resources.requests, name) or "")
        limit = amount(getattr(resources.limits, name) or "")
        if request is not None and limit is not None and request > limit:
            found.append(Finding("InvalidValue", f".requests.{name}", f"the request of {name} is above its limit"))
    return found


def cluster_ip_has_no_outside(service: ServiceParameters) -> Sequence[Finding]:
    """What is about traffic from outside has no place in a Service of type ClusterIP."""
    if service.type != "ClusterIP":
        return ()
    given = {
        ".externalTrafficPolicy": service.external_traffic_policy,
        ".loadBalancerClass": service.load_balancer_class,
        ".nodePorts": service.node_ports,
    }
    return [
        Finding("ConflictingFields", path, "a Service of type ClusterIP cannot have this", "change type, or remove it")
        for path, value in given.items()
        if value
    ]


def node_ports_differ(entries: tuple[NodePort, ...]) -> Sequence[Finding]:
    """No port of the nodes leads to two ports."""
    return UniqueBy("node_port", "nodePort", "node port")(entries)


PART_RULES: Mapping[type[Struct], tuple[Rule, ...]] = {
    GatewayParametersSpec: (replicas_are_said_once,),
    Autoscaling: (scale_is_a_range,),
    Resources: (requests_are_within_limits,),
    ServiceParameters: (cluster_ip_has_no_outside,),
}
FIELD_RULES: Mapping[tuple[type[Struct], str], tuple[Rule, ...]] = {
    (ServiceParameters, "annotations"): (annotation_keys_are_valid,),
    (ServiceParameters, "nodePorts"): (UniqueBy("port", "port", "port"), node_ports_differ),
}
