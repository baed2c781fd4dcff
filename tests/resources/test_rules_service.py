"""The rules of Service: those of the API server, of fields that are kept and of those that are not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.resources.world import errors, service
from trilithon.resources.core import Service
from trilithon.resources.decode import decode


def port(number: int, name: str = "", **fields: Any) -> dict[str, Any]:
    return {"port": number, **({"name": name} if name else {}), **fields}


def serving(**spec: Any) -> dict[str, Any]:
    return service(port(80), **spec)


def balanced(**spec: Any) -> dict[str, Any]:
    return serving(type="LoadBalancer", **spec)


def named(**spec: Any) -> dict[str, Any]:
    return service(type="ExternalName", externalName="a.test", **spec)


def annotated(kind: str, **annotations: str) -> dict[str, Any]:
    names = {"mode": "topology-mode", "hints": "topology-aware-hints"}
    written = {f"service.kubernetes.io/{names[name]}": value for name, value in annotations.items() if name in names}
    if "ranges" in annotations:
        written["service.beta.kubernetes.io/load-balancer-source-ranges"] = annotations["ranges"]
    return {**serving(type=kind), "metadata": {"name": "a", "annotations": written}}


PORT = "spec.ports"
MODE = "metadata.annotations[service.kubernetes.io/topology-mode]"
RANGES = "metadata.annotations[service.beta.kubernetes.io/load-balancer-source-ranges]"
Row = tuple[str, dict[str, Any], dict[str, Any], tuple[str, str]]
ROWS: list[Row] = [
    ("a Service has ports", service(clusterIP="None"), service(), ("MissingField", PORT)),
    ("a port is a port", service(port(65535)), service(port(65536)), ("InvalidValue", f"{PORT}[0].port")),
    (
        "protocols are TCP, UDP and SCTP",
        service(port(80, protocol="SCTP")),
        service(port(80, protocol="HTTP")),
        ("InvalidValue", f"{PORT}[0].protocol"),
    ),
    (
        "ports of several have names",
        service(port(80)),
        service(port(80, "a"), port(81)),
        ("MissingField", f"{PORT}[1].name"),
    ),
    (
        "names of ports differ",
        service(port(80, "a"), port(81, "b")),
        service(port(80, "a"), port(81, "a")),
        ("DuplicateName", f"{PORT}[1].name"),
    ),
    (
        "names of ports are DNS labels",
        service(port(80, "a-1")),
        service(port(80, "a.1")),
        ("InvalidValue", f"{PORT}[0].name"),
    ),
    (
        "ports differ in number or protocol",
        service(port(80, "a"), port(80, "b", protocol="UDP")),
        service(port(80, "a"), port(80, "b")),
        ("DuplicateName", f"{PORT}[1].port"),
    ),
    (
        "an ExternalName Service has an external name",
        service(type="ExternalName", externalName="a.test."),
        service(type="ExternalName"),
        ("MissingField", "spec.externalName"),
    ),
    (
        "an external name is a DNS name",
        service(type="ExternalName", externalName="a.test"),
        service(type="ExternalName", externalName="A_test"),
        ("InvalidValue", "spec.externalName"),
    ),
    (
        "a target port may be left to the port",
        service(port(80, targetPort=0)),
        service(port(80, targetPort=65536)),
        ("InvalidValue", "spec.ports[0].targetPort"),
    ),
    (
        "a target port has a name",
        service(port(80, targetPort="a-1")),
        service(port(80, targetPort="a--b")),
        ("InvalidValue", "spec.ports[0].targetPort"),
    ),
    (
        "a target port in quotes is a name",
        service(port(80, targetPort="")),
        service(port(80, targetPort="8080")),
        ("InvalidValue", "spec.ports[0].targetPort"),
    ),
    (
        "a name of a port is short",
        service(port(80, targetPort="a" * 15)),
        service(port(80, targetPort="a" * 16)),
        ("InvalidValue", "spec.ports[0].targetPort"),
    ),
    (
        "an application protocol is a name",
        service(port(80, appProtocol="a.test/b")),
        service(port(80, appProtocol="a/b/c")),
        ("InvalidValue", "spec.ports[0].appProtocol"),
    ),
    (
        "ports of nodes are not for all types",
        service(port(80, nodePort=30000), type="NodePort"),
        service(port(80, nodePort=30000)),
        ("ConflictingFields", "spec.ports[0].nodePort"),
    ),
    (
        "a selector has labels",
        serving(selector={"a.test/a": ""}),
        serving(selector={"a": "b c"}),
        ("InvalidValue", "spec.selector[a]"),
    ),
    ("a selector has keys", serving(selector={}), serving(selector={"a b": "c"}), ("InvalidValue", "spec.selector")),
    ("a selector is text", serving(selector=None), serving(selector={"a": 1}), ("WrongType", "spec.selector[a]")),
    (
        "an external IP has no leading zeros",
        serving(externalIPs=["192.0.2.1"]),
        serving(externalIPs=["192.0.2.01"]),
        ("InvalidValue", "spec.externalIPs[0]"),
    ),
    (
        "an external IP is not dressed up",
        serving(externalIPs=["2001:DB8::1"]),
        serving(externalIPs=["::ffff:192.0.2.1"]),
        ("InvalidValue", "spec.externalIPs[0]"),
    ),
    (
        "an external IP leads out of the host",
        serving(externalIPs=["239.1.1.1"]),
        serving(externalIPs=["::1"]),
        ("InvalidValue", "spec.externalIPs[0]"),
    ),
    (
        "an external IP leads out of the link",
        serving(externalIPs=["ff05::1"]),
        serving(externalIPs=["ff02::1"]),
        ("InvalidValue", "spec.externalIPs[0]"),
    ),
    (
        "a cluster IP is an IP address",
        serving(clusterIP="10.96.0.1"),
        serving(clusterIP="10.96.0.01"),
        ("InvalidValue", "spec.clusterIP"),
    ),
    (
        "cluster IPs begin with the cluster IP",
        serving(clusterIP="None", clusterIPs=["None"]),
        serving(clusterIP="10.96.0.1", clusterIPs=["10.96.0.2"]),
        ("ConflictingFields", "spec.clusterIPs"),
    ),
    (
        "cluster IPs need the cluster IP",
        serving(clusterIPs=[]),
        serving(clusterIPs=["10.96.0.2"]),
        ("ConflictingFields", "spec.clusterIPs"),
    ),
    (
        "what is headless is not reached from outside",
        balanced(clusterIP=""),
        balanced(clusterIP="None"),
        ("ConflictingFields", "spec.clusterIP"),
    ),
    (
        "two families need a policy",
        serving(ipFamilies=["IPv4", "IPv6"], ipFamilyPolicy="PreferDualStack"),
        serving(ipFamilies=["IPv4", "IPv6"]),
        ("ConflictingFields", "spec.ipFamilyPolicy"),
    ),
    (
        "families differ",
        serving(ipFamilies=["IPv4"]),
        serving(ipFamilies=["IPv4", "IPv4"], ipFamilyPolicy="PreferDualStack"),
        ("DuplicateName", "spec.ipFamilies[1]"),
    ),
    (
        "a name has no addresses",
        named(ports=[port(80, nodePort=30000)]),
        named(clusterIP="None"),
        ("ConflictingFields", "spec.clusterIP"),
    ),
    (
        "a name has no families",
        named(selector={"a": "b"}),
        named(ipFamilies=["IPv4"]),
        ("ConflictingFields", "spec.ipFamilies"),
    ),
    (
        "affinity lasts a day at most",
        serving(sessionAffinity="ClientIP", sessionAffinityConfig={"clientIP": {"timeoutSeconds": 86400}}),
        serving(sessionAffinity="ClientIP", sessionAffinityConfig={"clientIP": {"timeoutSeconds": 86401}}),
        ("InvalidValue", "spec.sessionAffinityConfig.clientIP.timeoutSeconds"),
    ),
    (
        "a policy for clients outside needs some",
        serving(externalTrafficPolicy="Local", externalIPs=["192.0.2.1"]),
        serving(externalTrafficPolicy="Local"),
        ("ConflictingFields", "spec.externalTrafficPolicy"),
    ),
    (
        "a health check is for local traffic",
        balanced(externalTrafficPolicy="Local", healthCheckNodePort=30000),
        balanced(healthCheckNodePort=30000),
        ("ConflictingFields", "spec.healthCheckNodePort"),
    ),
    (
        "a health check has a port",
        balanced(externalTrafficPolicy="Local", healthCheckNodePort=65535),
        balanced(externalTrafficPolicy="Local", healthCheckNodePort=65536),
        ("InvalidValue", "spec.healthCheckNodePort"),
    ),
    (
        "source ranges are networks",
        balanced(loadBalancerSourceRanges=[" 10.0.0.0/8 "]),
        balanced(loadBalancerSourceRanges=["10.0.0.1/8"]),
        ("InvalidValue", "spec.loadBalancerSourceRanges[0]"),
    ),
    (
        "a prefix has no leading zeros",
        balanced(loadBalancerSourceRanges=["2001:db8::/32"]),
        balanced(loadBalancerSourceRanges=["10.0.0.0/08"]),
        ("InvalidValue", "spec.loadBalancerSourceRanges[0]"),
    ),
    (
        "source ranges need a load balancer",
        serving(loadBalancerSourceRanges=[]),
        serving(loadBalancerSourceRanges=["10.0.0.0/8"]),
        ("ConflictingFields", "spec.loadBalancerSourceRanges"),
    ),
    (
        "a class needs a load balancer",
        balanced(loadBalancerClass="a.test/a"),
        serving(loadBalancerClass="a.test/a"),
        ("ConflictingFields", "spec.loadBalancerClass"),
    ),
    (
        "a class is a name",
        balanced(loadBalancerClass="a"),
        balanced(loadBalancerClass="a b"),
        ("InvalidValue", "spec.loadBalancerClass"),
    ),
    (
        "traffic is distributed in known ways",
        serving(trafficDistribution="PreferSameNode"),
        serving(trafficDistribution="PreferMe"),
        ("InvalidValue", "spec.trafficDistribution"),
    ),
    (
        "topology is said once",
        annotated("", mode="a", hints="a"),
        annotated("", mode="a", hints="b"),
        ("ConflictingFields", MODE),
    ),
    (
        "annotated ranges need a load balancer",
        annotated("LoadBalancer", ranges="10.0.0.0/8, 10.0.0.0/9"),
        annotated("", ranges="10.0.0.0/8"),
        ("ConflictingFields", RANGES),
    ),
    (
        "annotated ranges are networks",
        annotated("LoadBalancer", ranges=" "),
        annotated("LoadBalancer", ranges="a"),
        ("InvalidValue", RANGES),
    ),
]


@pytest.mark.parametrize(("good", "bad", "expected"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_rule(good: dict[str, Any], bad: dict[str, Any], expected: tuple[str, str]) -> None:
    assert errors(good) == []
    assert errors(bad) == [expected]


def test_empty_text_is_an_absent_field() -> None:
    written = service(
        {"port": 80, "protocol": "", "name": ""}, type="", clusterIP="", sessionAffinity="", externalName=""
    )
    found, plain = decode(written).resource, decode(serving()).resource
    assert isinstance(found, Service)
    assert found == plain
    assert (found.spec.type, found.spec.ports[0].protocol, found.spec.external_name) == ("ClusterIP", "TCP", None)


def test_settings_of_affinity_may_be_left_when_there_is_none() -> None:
    assert errors(serving(sessionAffinity="None", sessionAffinityConfig={"clientIP": {"timeoutSeconds": 1}})) == []


def test_what_is_not_kept_changes_nothing() -> None:
    assert decode(serving(selector={"a": "b"}, sessionAffinity="ClientIP")).resource == decode(serving()).resource
