"""The documents to begin from: what Gateway API publishes, right and wrong, and our own of each kind and rule."""

from __future__ import annotations

import functools
from typing import Any

import msgspec
from msgspec import Struct

from tests.cluster.validation.schemas import CLUSTER_SCOPED, GATEWAY_KINDS, PLURALS, Schema, schema_of
from tests.resources import test_rules_core, test_rules_gateway, test_rules_http, test_rules_service
from tests.resources.test_laws import EXAMPLES
from tests.resources.upstream import MODULE, manifests, module_folder

Document = dict[str, Any]
# Where every namespaced document is asked for: the examples name many namespaces, and only existing ones will do.
NAMESPACE = "default"


class Seed(Struct, frozen=True):
    """A document, where it comes from, and whether its publisher calls it wrong."""

    origin: str
    document: Document
    wrong: bool = False

    @property
    def kind(self) -> str:
        return str(self.document["kind"])

    @property
    def version(self) -> str:
        return str(self.document["apiVersion"]).rpartition("/")[2]


OWN: list[Document] = [
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "full", "labels": {"a": "b"}, "annotations": {"example.com/a": "b"}},
        "spec": {
            "type": "LoadBalancer",
            "selector": {"app": "a"},
            "ports": [
                {"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP", "appProtocol": "kubernetes.io/h2c"},
                {"name": "dns", "port": 53, "targetPort": "dns", "protocol": "UDP"},
            ],
            "sessionAffinity": "ClientIP",
            "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 100}},
            "externalTrafficPolicy": "Local",
            "internalTrafficPolicy": "Local",
            "ipFamilyPolicy": "SingleStack",
            "ipFamilies": ["IPv4"],
            "externalIPs": ["192.0.2.7"],
            "loadBalancerClass": "example.com/a",
            "loadBalancerIP": "192.0.2.8",
            "loadBalancerSourceRanges": ["10.0.0.0/8"],
            "allocateLoadBalancerNodePorts": False,
            "publishNotReadyAddresses": True,
            "trafficDistribution": "PreferClose",
        },
    },
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "headless"},
        "spec": {"clusterIP": "None", "selector": {"app": "a"}},
    },
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "named"},
        "spec": {"type": "ExternalName", "externalName": "a.test"},
    },
    {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "full", "labels": {"kubernetes.io/service-name": "a"}},
        "addressType": "IPv4",
        "endpoints": [
            {
                "addresses": ["10.0.0.1"],
                "conditions": {"ready": True, "serving": True, "terminating": False},
                "hostname": "a",
                "nodeName": "n",
                "zone": "z",
                "hints": {"forZones": [{"name": "z"}]},
                "targetRef": {"kind": "Pod", "name": "a", "namespace": "default"},
            },
            {"addresses": ["10.0.0.2", "10.0.0.3"]},
        ],
        "ports": [{"name": "http", "port": 80, "protocol": "TCP", "appProtocol": "http"}, {"name": "b", "port": 81}],
    },
    {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "login"},
        "type": "kubernetes.io/basic-auth",
        "stringData": {"username": "a", "password": "b"},
        "immutable": True,
    },
    {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "full", "labels": {"a": "b"}},
        "spec": {"finalizers": ["kubernetes"]},
    },
]

# For every rule between fields a document that keeps it and one that breaks it.
ROWS = (*test_rules_gateway.ROWS, *test_rules_http.ROWS, *test_rules_core.ROWS, *test_rules_service.ROWS)


@functools.cache
def seeds(channel: str) -> tuple[Seed, ...]:
    """All documents of kinds that are read, as far as the channel knows their fields, in a fixed order."""
    found = [Seed(f"own {document['kind']}", document) for document in [*EXAMPLES, *OWN]]
    for name, good, bad, _ in ROWS:
        found += [Seed(f"rule: {name}", good), Seed(f"rule broken: {name}", bad, wrong=True)]
    found = [seed for seed in found if seed.kind in PLURALS]
    module = module_folder(MODULE)
    conformance = module_folder(f"{MODULE}/conformance")
    parts = (("examples", False), ("hack/invalid-examples", True))
    folders = [(module, part, wrong) for part, wrong in parts]
    folders += [(conformance, part, False) for part in ("base", "tests", "mesh")]
    for module_path, part, wrong in folders:
        for file, document in manifests(module_path / part):
            if document["kind"] in PLURALS and _is_read(document):
                found.append(Seed(f"{part}/{file.relative_to(module_path / part)}", document, wrong))
    placed = [Seed(seed.origin, _placed(seed.document), seed.wrong) for seed in found]
    return tuple(seed for seed in placed if _fits(seed.document, schema_of(channel, seed.kind, seed.version)))


def _is_read(document: Document) -> bool:
    group, _, version = document["apiVersion"].rpartition("/")
    if document["kind"] in GATEWAY_KINDS:
        return group == "gateway.networking.k8s.io" and version in ("v1", "v1beta1")
    return group in ("", "discovery.k8s.io")


def _placed(document: Document) -> Document:
    """The document in the one namespace, and without a status, which creating an object drops."""
    # Written and read, so that no part is the same object as another, which one change would change both.
    placed: Document = msgspec.json.decode(msgspec.json.encode(document))
    placed.pop("status", None)
    if document["kind"] not in CLUSTER_SCOPED:
        placed["metadata"]["namespace"] = NAMESPACE
    return placed


def _fits(value: Any, schema: Schema | None) -> bool:
    """Whether the channel has every field and choice; the experimental channel has all of them."""
    if schema is None:
        return True
    if isinstance(value, dict):
        if "properties" not in schema:
            return True
        known = schema["properties"]
        return all(name in known or name in ("apiVersion", "kind") for name in value) and all(
            _fits(part, known.get(name)) for name, part in value.items()
        )
    if isinstance(value, list):
        return all(_fits(part, schema.get("items")) for part in value)
    return "enum" not in schema or value in schema["enum"]
