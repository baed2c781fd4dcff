"""The schema of each kind that is read: what may stand where, so that changes to a document can aim.

Those of Gateway API are its CRDs. Those of Kubernetes itself are written here: field names and types, with values at
the edge of what its validation takes; they aim the changes and judge nothing.
"""

from __future__ import annotations

import functools
from typing import Any

from tests.resources.upstream import schema

Schema = dict[str, Any]

PLURALS = {
    "GatewayClass": "gatewayclasses",
    "Gateway": "gateways",
    "HTTPRoute": "httproutes",
    "ReferenceGrant": "referencegrants",
    "Service": "services",
    "Secret": "secrets",
    "ConfigMap": "configmaps",
    "Namespace": "namespaces",
    "EndpointSlice": "endpointslices",
}
GATEWAY_KINDS = ("GatewayClass", "Gateway", "HTTPRoute", "ReferenceGrant")
CLUSTER_SCOPED = frozenset({"GatewayClass", "Namespace"})


def text(*examples: str, **limits: Any) -> Schema:
    return {"type": "string", "examples": list(examples), **limits}


def choice(*values: str) -> Schema:
    return {"type": "string", "enum": list(values)}


def number(low: int, high: int) -> Schema:
    return {"type": "integer", "minimum": low, "maximum": high}


def entries(items: Schema, most: int | None = None) -> Schema:
    return {"type": "array", "items": items, **({} if most is None else {"maxItems": most})}


def fields(*required: str, **properties: Schema) -> Schema:
    return {"type": "object", "required": list(required), "properties": properties}


def table(values: Schema) -> Schema:
    return {"type": "object", "additionalProperties": values}


BOOLEAN: Schema = {"type": "boolean"}
PORT = number(1, 65535)
NAME = text("a", "web", "a-b", "x" * 63, "x" * 64, "1a", "a.b", "A", "-a")
KEY = text("a", "example.com/a", "x" * 63, "A_b.c", "a b", "/a", "-a", "a/b/c", "EXAMPLE.com/a")
IP = text(
    *("10.0.0.1", "192.0.2.7", "2001:db8::1", "010.0.0.1", "1.2.3", "::ffff:10.0.0.1", "fe80::1%eth0", "a", "1.2.3.4."),
    *(
        "127.0.0.1",
        "::1",
        "0.0.0.0",
        "::",
        "169.254.1.1",
        "fe80::1",
        "224.0.0.1",
        "239.1.1.1",
        "ff02::1",
        "255.255.255.255",
    ),
)
CIDR = text("10.0.0.0/8", "10.0.0.1/8", "2001:db8::/32", "10.0.0.0", "10.0.0.0/33", "010.0.0.0/8", " 10.0.0.0/8 ")
LABELS = table(text("a", "", "x" * 63, "x" * 64, "a b", "-a", "A.b_c"))

METADATA = fields(
    "name",
    name=text("a", "a.b", "x" * 63, "x" * 64, "x" * 253, "x" * 254, "1", "A", "a_b", "a..b", "-a", "a-", "a/b"),
    namespace=text("default", "Default", "a.b", "-a"),
    labels=LABELS,
    annotations=table(text("a", "", "a\nb", "x" * 5000)),
    generateName=text("a-", "A-", "x" * 250),
    generation=number(0, 2**63 - 1),
    creationTimestamp=text("2026-01-02T03:04:05Z", "2026-01-02T03:04:05+01:00", "2026-01-02", "yesterday", ""),
    finalizers=entries(text("example.com/a", "a", "a b", "", "example.com/")),
    ownerReferences=entries(
        fields(
            "apiVersion",
            "kind",
            "name",
            "uid",
            apiVersion=text("v1", "a.b/v1", "", "a/b/c"),
            kind=text("ConfigMap", "", "Event"),
            name=text("a", ""),
            uid=text("00000000-0000-4000-8000-000000000000", "a", ""),
            controller=BOOLEAN,
            blockOwnerDeletion=BOOLEAN,
        )
    ),
    uid=text("00000000-0000-4000-8000-000000000000", "a"),
    selfLink=text("a"),
    deletionGracePeriodSeconds=number(0, 2**63 - 1),
    deletionTimestamp=text("2026-01-02T03:04:05Z", "never"),
)

SERVICE_PORT = fields(
    "port",
    name=text("a", "http", "x" * 63, "x" * 64, "A", "a.b", "a_b", "-a", "1"),
    protocol=choice("TCP", "UDP", "SCTP"),
    port=PORT,
    # A number or a name.
    targetPort=text("http", "a-b-c-d-e-f-g-h", "8080", "A", "a--b", "1", "0", "65536"),
    nodePort=number(30000, 32767),
    appProtocol=KEY,
)
SERVICE = fields(
    "spec",
    metadata=METADATA,
    spec=fields(
        "ports",
        type=choice("ClusterIP", "NodePort", "LoadBalancer", "ExternalName"),
        ports=entries(SERVICE_PORT),
        selector=LABELS,
        clusterIP=text("None", "", "a", "10.96.0.77", "1.2.3"),
        clusterIPs=entries(text("None", "", "a", "10.96.0.77", "10.96.0.78", "fd00::1"), 2),
        externalIPs=entries(IP),
        externalName=text("a.test", "a.test.", "A.test", "a_b", "10.0.0.1", "", ".", "x" * 64, "*.a"),
        sessionAffinity=choice("None", "ClientIP"),
        sessionAffinityConfig=fields(clientIP=fields(timeoutSeconds=number(1, 86400))),
        ipFamilies=entries(choice("IPv4", "IPv6"), 2),
        ipFamilyPolicy=choice("SingleStack", "PreferDualStack", "RequireDualStack"),
        externalTrafficPolicy=choice("Cluster", "Local"),
        internalTrafficPolicy=choice("Cluster", "Local"),
        healthCheckNodePort=number(30000, 32767),
        allocateLoadBalancerNodePorts=BOOLEAN,
        loadBalancerClass=KEY,
        loadBalancerIP=IP,
        loadBalancerSourceRanges=entries(CIDR),
        publishNotReadyAddresses=BOOLEAN,
        trafficDistribution=choice("PreferClose", "PreferSameZone", "PreferSameNode"),
    ),
)
ENDPOINT = fields(
    "addresses",
    addresses=entries(IP, 100),
    conditions=fields(ready=BOOLEAN, serving=BOOLEAN, terminating=BOOLEAN),
    hostname=NAME,
    nodeName=text("a", "a.b", "A", "x" * 254),
    zone=text("a", "", "A b"),
    hints=fields(
        forZones=entries(fields("name", name=text("a", "", "A b")), 8),
        forNodes=entries(fields("name", name=text("a", "", "A b")), 8),
    ),
    targetRef=fields(kind=text("Pod"), name=text("a"), namespace=text("default"), uid=text("a")),
    deprecatedTopology=table(text("a", "x" * 64)),
)
ENDPOINT_SLICE = fields(
    "addressType",
    metadata=METADATA,
    addressType=choice("IPv4", "IPv6", "FQDN"),
    endpoints=entries(ENDPOINT, 1000),
    ports=entries(
        fields(
            name=SERVICE_PORT["properties"]["name"], protocol=choice("TCP", "UDP", "SCTP"), port=PORT, appProtocol=KEY
        ),
        20_000,
    ),
)
SECRET_TYPES = (
    "Opaque",
    "kubernetes.io/tls",
    "kubernetes.io/basic-auth",
    "kubernetes.io/ssh-auth",
    "kubernetes.io/dockercfg",
    "kubernetes.io/dockerconfigjson",
    "kubernetes.io/service-account-token",
    "bootstrap.kubernetes.io/token",
    "example.com/own",
    "",
)
BASE64 = text("YQ==", "YWI=", "e30=", "YQ", "Y Q==", "YQ==\n", "Y\nQ==", "a", "", "====", "_-8=", "YR==", "YQ==YQ==")
SECRET = fields(
    metadata=METADATA,
    type=text(*SECRET_TYPES),
    data=table(BASE64),
    stringData=table(text("a", "", "{}", "{")),
    immutable=BOOLEAN,
)
CONFIG_MAP = fields(
    metadata=METADATA, data=table(text("a", "", "x" * 2**20)), binaryData=table(BASE64), immutable=BOOLEAN
)
NAMESPACE = fields(
    metadata=METADATA, spec=fields(finalizers=entries(text("kubernetes", "example.com/a", "a", "a b", "")))
)

CORE = {
    "Service": SERVICE,
    "EndpointSlice": ENDPOINT_SLICE,
    "Secret": SECRET,
    "ConfigMap": CONFIG_MAP,
    "Namespace": NAMESPACE,
}


@functools.cache
def schema_of(channel: str, kind: str, version: str) -> Schema:
    """The schema of a kind in a channel, without status and with what is known of metadata."""
    if kind in CORE:
        return CORE[kind]
    found = schema(channel, PLURALS[kind], version)
    return {**found, "properties": {"metadata": METADATA, "spec": found["properties"]["spec"]}}
