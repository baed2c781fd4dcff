"""The rules of Service that span several fields, or that no pattern can say: those of the API server."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping, Sequence

from msgspec import Struct

from trilithon.resources.addresses import is_network, is_strict_ip, where_it_leads
from trilithon.resources.names import is_dns_label, is_domain, label_value_problem, qualified_name_problem
from trilithon.resources.rule import Rule
from trilithon.resources.wording import Finding, quoted
from trilithon.resources.written import SessionAffinityConfig, WrittenService, WrittenServicePort

_PORT_NAME = re.compile(r"[a-z0-9-]{1,15}")
_TOPOLOGY_HINTS = "service.kubernetes.io/topology-aware-hints"
_TOPOLOGY_MODE = "service.kubernetes.io/topology-mode"
_SOURCE_RANGES = "service.beta.kubernetes.io/load-balancer-source-ranges"
# A day.
MAX_AFFINITY_SECONDS = 86_400


# --- Ports ------------------------------------------------------------------------------------------------------------
def service_has_ports(spec: WrittenService) -> Sequence[Finding]:
    """Only a headless Service, and one of type ExternalName, can do without ports."""
    if spec.ports or spec.is_headless or spec.type == "ExternalName":
        return ()
    return (Finding("MissingField", ".ports", "is required"),)


def only_nodes_have_node_ports(spec: WrittenService) -> Sequence[Finding]:
    """A port of the nodes is not for type ClusterIP."""
    if spec.type not in ("", "ClusterIP"):
        return ()
    message = "a Service of type ClusterIP cannot have nodePort"
    return [
        Finding("ConflictingFields", f".ports[{index}].nodePort", message)
        for index, port in enumerate(spec.ports)
        if port.node_port
    ]


def ports_have_names(ports: tuple[WrittenServicePort, ...]) -> Sequence[Finding]:
    """Every port of several needs a name."""
    if len(ports) < 2:
        return ()
    return [
        Finding("MissingField", f"[{index}].name", "a Service with several ports needs a name for each")
        for index, port in enumerate(ports)
        if not port.name
    ]


def port_names_are_labels(ports: tuple[WrittenServicePort, ...]) -> Sequence[Finding]:
    """A port's name is a DNS label."""
    return [
        Finding(
            "InvalidValue", f"[{index}].name", f"{quoted(port.name)} is not a port name: up to 63 of a-z, 0-9 and -"
        )
        for index, port in enumerate(ports)
        if port.name and not is_dns_label(port.name)
    ]


def port_names_differ(ports: tuple[WrittenServicePort, ...]) -> Sequence[Finding]:
    """No two ports have one name."""
    return _differ((port.name or None for port in ports), "port name", ".name")


def ports_differ(ports: tuple[WrittenServicePort, ...]) -> Sequence[Finding]:
    """No two ports have one number and protocol."""
    return _differ(((port.port, port.protocol or "TCP") for port in ports), "port", ".port")


def node_ports_differ(ports: tuple[WrittenServicePort, ...]) -> Sequence[Finding]:
    """No two ports have one port of the nodes and protocol."""
    taken = ((port.node_port, port.protocol or "TCP") if port.node_port else None for port in ports)
    return _differ(taken, "nodePort", ".nodePort")


def _differ(keys: Iterable[Hashable], what: str, path: str) -> Sequence[Finding]:
    """A finding for each key that an earlier entry has; None is no key."""
    first: dict[Hashable, int] = {}
    found = []
    for index, key in enumerate(keys):
        earlier = first.setdefault(key, index)
        if key is not None and earlier != index:
            shown = quoted(key) if isinstance(key, str) else "/".join(map(str, key)) if isinstance(key, tuple) else ""
            message = f"the {what} {shown} is already that of entry [{earlier}]"
            found.append(Finding("DuplicateName", f"[{index}]{path}", message))
    return found


def target_ports_are_ports(port: WrittenServicePort) -> Sequence[Finding]:
    """A target is a port number, or the name of a port: up to 15 letters, digits and inner single dashes."""
    target = port.target_port
    # Nothing and zero are the port itself.
    if not target:
        return ()
    if isinstance(target, int):
        if 1 <= target <= 65535:
            return ()
        return (Finding("InvalidValue", ".targetPort", f"the number {target} is not between 1 and 65535"),)
    is_name = _PORT_NAME.fullmatch(target) and not target.isdigit() and "--" not in target
    if is_name and re.search("[a-z]", target) and target[0] != "-" and target[-1] != "-":
        return ()
    message = f"{quoted(target)} is not the name of a port: up to 15 lower-case letters, digits and inner single dashes"
    hint = "remove the quotes" if target.isascii() and target.isdigit() else ""
    return (Finding("InvalidValue", ".targetPort", message, hint),)


def app_protocol_is_a_name(port: WrittenServicePort) -> Sequence[Finding]:
    """The application protocol is a word, or a name with a domain."""
    if port.app_protocol is None:
        return ()
    problem = qualified_name_problem(port.app_protocol)
    return (Finding("InvalidValue", ".appProtocol", problem),) if problem else ()


# --- Addresses --------------------------------------------------------------------------------------------------------
def headless_services_stay_inside(spec: WrittenService) -> Sequence[Finding]:
    """What is reached from outside needs an address of its own."""
    if not spec.is_headless or spec.type not in ("NodePort", "LoadBalancer"):
        return ()
    return (Finding("ConflictingFields", ".clusterIP", f'a Service of type {spec.type} cannot have clusterIP "None"'),)


def cluster_ips_belong_together(spec: WrittenService) -> Sequence[Finding]:
    """clusterIP is the first of clusterIPs, of which there are two at most, of two families."""
    if spec.type == "ExternalName":
        return ()
    if not spec.cluster_ips:
        return _cluster_ip(spec.cluster_ip, ".clusterIP")
    if not spec.cluster_ip:
        message = "must be empty where clusterIP is"
        return (Finding("ConflictingFields", ".clusterIPs", message, f"set clusterIP to {spec.cluster_ips[0]}"),)
    if spec.cluster_ip != spec.cluster_ips[0]:
        return (Finding("ConflictingFields", ".clusterIPs", "the first must be the same as clusterIP"),)
    if len(spec.cluster_ips) > 1 and "None" in spec.cluster_ips:
        return (Finding("ConflictingFields", ".clusterIPs", '"None" must stand alone'),)
    if len(spec.cluster_ips) > 2:
        return (Finding("TooMany", ".clusterIPs", "may hold one address of each family, so two at most"),)
    return [
        finding
        for index, address in enumerate(spec.cluster_ips)
        for finding in _cluster_ip(address, f".clusterIPs[{index}]")
    ]


def _cluster_ip(address: str, path: str) -> Sequence[Finding]:
    if address in ("", "None") or is_strict_ip(address):
        return ()
    return (Finding("InvalidValue", path, f'{quoted(address)} is neither an IP address nor "None"'),)


def families_differ(spec: WrittenService) -> Sequence[Finding]:
    """Each IP family is named once, and two need a policy that says so."""
    found = [finding.under(".ipFamilies") for finding in _differ(spec.ip_families, "family", "")]
    is_dual = spec.ip_family_policy in ("PreferDualStack", "RequireDualStack")
    if spec.type != "ExternalName" and not is_dual and (len(spec.ip_families) > 1 or len(spec.cluster_ips) > 1):
        message = "two address families need ipFamilyPolicy PreferDualStack or RequireDualStack"
        found.append(Finding("ConflictingFields", ".ipFamilyPolicy", message))
    return found


def external_names_have_no_addresses(spec: WrittenService) -> Sequence[Finding]:
    """A Service of type ExternalName is a name in DNS: it has no addresses, and no families of them."""
    if spec.type != "ExternalName":
        return ()
    given = {
        ".clusterIP": spec.cluster_ip,
        ".clusterIPs": spec.cluster_ips,
        ".ipFamilies": spec.ip_families,
        ".ipFamilyPolicy": spec.ip_family_policy,
    }
    message = "cannot be set for a Service of type ExternalName"
    return [Finding("ConflictingFields", path, message) for path, value in given.items() if value]


def external_name_is_a_hostname(spec: WrittenService) -> Sequence[Finding]:
    """Type ExternalName needs a DNS name, which may end with a dot."""
    if spec.type != "ExternalName":
        return ()
    name = spec.external_name.removesuffix(".")
    if not name:
        return (Finding("MissingField", ".externalName", "a Service of type ExternalName needs externalName"),)
    if is_domain(name):
        return ()
    return (Finding("InvalidValue", ".externalName", f"{quoted(spec.external_name)} is not a DNS name in lower case"),)


def external_ips_are_reachable(addresses: tuple[str, ...]) -> Sequence[Finding]:
    """External addresses lead out of their host and link."""
    found = []
    for index, address in enumerate(addresses):
        if not is_strict_ip(address):
            found.append(Finding("InvalidValue", f"[{index}]", f"{quoted(address)} is not an IP address"))
        elif where := where_it_leads(address):
            message = f"{quoted(address)} leads to no other host: it is {where}"
            found.append(Finding("InvalidValue", f"[{index}]", message))
    return found


# --- How it is reached ------------------------------------------------------------------------------------------------
def selector_is_labels(selector: dict[str, str]) -> Sequence[Finding]:
    """A selector is made of labels."""
    found = []
    for key, value in selector.items():
        if problem := qualified_name_problem(key):
            found.append(Finding("InvalidValue", "", problem))
        if problem := label_value_problem(value):
            found.append(Finding("InvalidValue", f"[{key}]" if key.isprintable() else "", problem))
    return found


def affinity_lasts_a_day_at_most(config: SessionAffinityConfig) -> Sequence[Finding]:
    """A client keeps its endpoint for one second to one day."""
    seconds = config.client_ip.timeout_seconds if config.client_ip is not None else None
    if seconds is None or 1 <= seconds <= MAX_AFFINITY_SECONDS:
        return ()
    message = f"the number {seconds} is not between 1 and {MAX_AFFINITY_SECONDS}"
    return (Finding("InvalidValue", ".clientIP.timeoutSeconds", message),)


def external_policy_has_outsiders(spec: WrittenService) -> Sequence[Finding]:
    """What is for clients outside belongs to a Service that has them."""
    kind = spec.type or "ClusterIP"
    found = []
    is_reached = kind in ("NodePort", "LoadBalancer") or (kind == "ClusterIP" and bool(spec.external_ips))
    if spec.external_traffic_policy and not is_reached:
        message = f"a Service of type {kind} without externalIPs has no clients outside"
        found.append(Finding("ConflictingFields", ".externalTrafficPolicy", message))
    if spec.health_check_node_port and not 1 <= spec.health_check_node_port <= 65535:
        message = f"the number {spec.health_check_node_port} is not between 1 and 65535"
        found.append(Finding("InvalidValue", ".healthCheckNodePort", message))
    elif spec.health_check_node_port and not (kind == "LoadBalancer" and spec.external_traffic_policy == "Local"):
        message = "needs type LoadBalancer and externalTrafficPolicy Local"
        found.append(Finding("ConflictingFields", ".healthCheckNodePort", message))
    return found


def only_load_balancers_have_their_settings(spec: WrittenService) -> Sequence[Finding]:
    """Settings of a load balancer need one."""
    if spec.type == "LoadBalancer":
        return ()
    given = {
        ".loadBalancerClass": spec.load_balancer_class is not None,
        ".loadBalancerSourceRanges": bool(spec.load_balancer_source_ranges),
        ".allocateLoadBalancerNodePorts": spec.allocate_load_balancer_node_ports is not None,
    }
    message = "needs type LoadBalancer"
    return [Finding("ConflictingFields", path, message) for path, is_given in given.items() if is_given]


def load_balancer_class_is_a_name(spec: WrittenService) -> Sequence[Finding]:
    """The class is a name like the key of a label."""
    if spec.load_balancer_class is None:
        return ()
    problem = qualified_name_problem(spec.load_balancer_class)
    return (Finding("InvalidValue", ".loadBalancerClass", problem),) if problem else ()


def source_ranges_are_networks(ranges: tuple[str, ...]) -> Sequence[Finding]:
    """Clients are named by networks such as 10.0.0.0/8."""
    return [
        Finding("InvalidValue", f"[{index}]", f"{quoted(each)} is not a network such as 10.0.0.0/8")
        for index, each in enumerate(ranges)
        if not is_network(each.strip())
    ]


# --- Annotations ------------------------------------------------------------------------------------------------------
def check_annotations(annotations: Mapping[str, str], service_type: str) -> Sequence[Finding]:
    """Annotations that stand for fields of a Service follow the rules of those; paths begin at the annotations."""
    found = []
    hints, mode = annotations.get(_TOPOLOGY_HINTS), annotations.get(_TOPOLOGY_MODE)
    if hints is not None and mode is not None and hints != mode:
        found.append(Finding("ConflictingFields", f"[{_TOPOLOGY_MODE}]", f"is not the same as {_TOPOLOGY_HINTS}"))
    ranges = annotations.get(_SOURCE_RANGES)
    if ranges is None:
        return found
    if service_type != "LoadBalancer":
        found.append(Finding("ConflictingFields", f"[{_SOURCE_RANGES}]", "needs type LoadBalancer"))
    if ranges.strip() and not all(is_network(each.strip()) for each in ranges.split(",")):
        message = f"{quoted(ranges)} is not a list of networks such as 10.0.0.0/8"
        found.append(Finding("InvalidValue", f"[{_SOURCE_RANGES}]", message))
    return found


PART_RULES: Mapping[type[Struct], tuple[Rule, ...]] = {
    WrittenService: (
        service_has_ports,
        only_nodes_have_node_ports,
        headless_services_stay_inside,
        cluster_ips_belong_together,
        families_differ,
        external_names_have_no_addresses,
        external_name_is_a_hostname,
        external_policy_has_outsiders,
        only_load_balancers_have_their_settings,
        load_balancer_class_is_a_name,
    ),
    WrittenServicePort: (target_ports_are_ports, app_protocol_is_a_name),
    SessionAffinityConfig: (affinity_lasts_a_day_at_most,),
}
FIELD_RULES: Mapping[tuple[type[Struct], str], tuple[Rule, ...]] = {
    (WrittenService, "ports"): (
        ports_have_names,
        port_names_are_labels,
        port_names_differ,
        ports_differ,
        node_ports_differ,
    ),
    (WrittenService, "selector"): (selector_is_labels,),
    (WrittenService, "externalIPs"): (external_ips_are_reachable,),
    (WrittenService, "loadBalancerSourceRanges"): (source_ranges_are_networks,),
}
