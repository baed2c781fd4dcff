"""Write the Services through which clients reach a Gateway."""

from __future__ import annotations

from collections.abc import Iterator

from trilithon.infrastructure.manifest import SERVICE, Json, Plan, generated
from trilithon.model.infrastructure import Generated
from trilithon.resources.parameters import ServiceParameters
from trilithon.translate.addresses import WantedService, wanted_services
from trilithon.translate.generated_names import HOST_NETWORK_ANNOTATION, selector
from trilithon.translate.infrastructure_keys import copied


def services(plan: Plan) -> Iterator[Generated]:
    """One Service, and one more for each further address that is asked for."""
    parameters = plan.parameters.service or ServiceParameters()
    on_nodes = {HOST_NETWORK_ANNOTATION: "true"} if plan.parameters.host_network else {}
    for place, wanted in enumerate(wanted_services(plan.gateway)):
        yield generated(
            plan,
            SERVICE,
            {"spec": _spec(plan, parameters, wanted, is_first=place == 0)},
            name=wanted.name,
            annotations={**copied(parameters.annotations), **on_nodes},
        )


def _spec(plan: Plan, parameters: ServiceParameters, wanted: WantedService, *, is_first: bool) -> Json:
    # Pods that have the nodes' own addresses are reached there.
    type_ = parameters.type or ("ClusterIP" if plan.parameters.host_network else "LoadBalancer")
    # A port of the nodes can lead to one Service only.
    node_ports = {each.port: each.node_port for each in parameters.node_ports} if is_first else {}
    spec: Json = {
        "type": type_,
        "selector": selector(plan.gateway),
        "ports": [_port(port, protocol, node_ports if type_ != "ClusterIP" else {}) for port, protocol in plan.ports],
    }
    if type_ != "ClusterIP" and parameters.external_traffic_policy:
        spec["externalTrafficPolicy"] = parameters.external_traffic_policy
    if type_ == "LoadBalancer":
        if parameters.load_balancer_class:
            spec["loadBalancerClass"] = parameters.load_balancer_class
        if wanted.address:
            # Deprecated without a successor that more than one load balancer knows. ``externalIPs`` is none: with them
            # whoever owns a Gateway could take any address's traffic.
            spec["loadBalancerIP"] = wanted.address
    return spec


def _port(port: int, protocol: str, node_ports: dict[int, int]) -> Json:
    found: Json = {"name": f"{protocol.lower()}-{port}", "port": port, "protocol": protocol, "targetPort": port}
    if port in node_ports:
        found["nodePort"] = node_ports[port]
    return found
