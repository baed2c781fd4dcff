"""The definitions of our own kinds: a real API server takes them, and then what we take and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Struct

from testcluster import Cluster
from testcluster.api import ApiError, Object
from trilithon.resources.core import BackendResource
from trilithon.resources.decode import decode
from trilithon.resources.parameters import GatewayParameters

pytestmark = pytest.mark.usefixtures("own_kinds")

LONG = "a" * 64
PATHS = {"Backend": "backends", "GatewayParameters": "gatewayparameters"}

BACKENDS: dict[str, Any] = {
    "an IPv4 address": {"endpoints": [{"ip": {"address": "10.0.0.1", "port": 80}}]},
    "an IPv6 address": {"endpoints": [{"ip": {"address": "fd00::1", "port": 80}}]},
    "a name": {
        "endpoints": [{"hostname": {"hostname": "a.example.com", "port": 80}}],
        "appProtocol": "kubernetes.io/h2c",
    },
    "a socket": {"endpoints": [{"unix": {"path": "/run/a.sock"}}]},
    "an abstract socket": {"endpoints": [{"unix": {"path": "@a"}}]},
    "a socket and an address": {"endpoints": [{"unix": {"path": "/a"}}, {"ip": {"address": "10.0.0.1", "port": 80}}]},
    "no endpoints": {"endpoints": []},
    "nothing": {},
    "an empty endpoint": {"endpoints": [{}]},
    "two things": {"endpoints": [{"unix": {"path": "/a"}, "ip": {"address": "10.0.0.1", "port": 80}}]},
    "no IP address": {"endpoints": [{"ip": {"address": "a.example.com", "port": 80}}]},
    "leading zeros": {"endpoints": [{"ip": {"address": "010.0.0.1", "port": 80}}]},
    "brackets": {"endpoints": [{"ip": {"address": "[::1]", "port": 80}}]},
    "a zone": {"endpoints": [{"ip": {"address": "fe80::1%eth0", "port": 80}}]},
    "an IP as a name": {"endpoints": [{"hostname": {"hostname": "10.0.0.1", "port": 80}}]},
    "capital letters": {"endpoints": [{"hostname": {"hostname": "A.example.com", "port": 80}}]},
    "an underscore": {"endpoints": [{"hostname": {"hostname": "a_b", "port": 80}}]},
    "a port too high": {"endpoints": [{"ip": {"address": "10.0.0.1", "port": 65536}}]},
    "port 0": {"endpoints": [{"ip": {"address": "10.0.0.1", "port": 0}}]},
    "a relative path": {"endpoints": [{"unix": {"path": "a.sock"}}]},
    "a path too long": {"endpoints": [{"unix": {"path": "/" + "é" * 60}}]},
    "a path just short enough": {"endpoints": [{"unix": {"path": "/" + "a" * 106}}]},
    "a path with a zero byte": {"endpoints": [{"unix": {"path": "/a\0b"}}]},
    "a socket and a name": {
        "endpoints": [{"unix": {"path": "/a"}}, {"hostname": {"hostname": "a.example.com", "port": 80}}]
    },
    "an unknown protocol": {"endpoints": [{"unix": {"path": "/a"}}], "appProtocol": "http"},
    "65 endpoints": {"endpoints": [{"ip": {"address": f"10.0.0.{n}", "port": 80}} for n in range(65)]},
}

PARAMETERS: dict[str, Any] = {
    "nothing": {},
    "replicas": {"replicas": 3},
    "no replicas": {"replicas": 0},
    "too many replicas": {"replicas": 1001},
    "replicas as text": {"replicas": "3"},
    "autoscaling": {"autoscaling": {"minReplicas": 1, "maxReplicas": 2, "targetCPUPercent": 50}},
    "autoscaling by default": {"autoscaling": {"maxReplicas": 2}},
    "autoscaling without end": {"autoscaling": {"minReplicas": 1}},
    "autoscaling upside down": {"autoscaling": {"minReplicas": 3, "maxReplicas": 2}},
    "both": {"replicas": 1, "autoscaling": {"maxReplicas": 2}},
    "amounts": {"resources": {"requests": {"cpu": "500m", "memory": "1.5Gi"}, "limits": {"cpu": "1"}}},
    "equal amounts": {"resources": {"requests": {"cpu": "1000m"}, "limits": {"cpu": "1"}}},
    "more than the limit": {"resources": {"requests": {"memory": "1025Mi"}, "limits": {"memory": "1Gi"}}},
    "more CPU than the limit": {"resources": {"requests": {"cpu": "1001m"}, "limits": {"cpu": "1"}}},
    "an amount that is none": {"resources": {"requests": {"cpu": "some"}}},
    "a negative amount": {"resources": {"requests": {"cpu": "-1"}}},
    "an amount as a number": {"resources": {"requests": {"cpu": 1}}},
    "an amount with a newline": {"resources": {"requests": {"cpu": "1\n"}}},
    "types": {"service": {"type": "NodePort", "externalTrafficPolicy": "Local"}},
    "an unknown type": {"service": {"type": "ExternalName"}},
    "a cluster IP alone": {"service": {"type": "ClusterIP", "annotations": {"a": "b"}, "nodePorts": []}},
    "a cluster IP with a policy": {"service": {"type": "ClusterIP", "externalTrafficPolicy": "Local"}},
    "a cluster IP with a class": {"service": {"type": "ClusterIP", "loadBalancerClass": "a"}},
    "a cluster IP with node ports": {"service": {"type": "ClusterIP", "nodePorts": [{"port": 80, "nodePort": 30000}]}},
    "a class": {"service": {"loadBalancerClass": "example.com/Internal_1"}},
    "a class with two slashes": {"service": {"loadBalancerClass": "a/b/c"}},
    "a class too long": {"service": {"loadBalancerClass": LONG}},
    "node ports": {"service": {"nodePorts": [{"port": 80, "nodePort": 30080}, {"port": 443, "nodePort": 30443}]}},
    "a port twice": {"service": {"nodePorts": [{"port": 80, "nodePort": 30080}, {"port": 80, "nodePort": 30081}]}},
    "a node port twice": {"service": {"nodePorts": [{"port": 80, "nodePort": 30080}, {"port": 81, "nodePort": 30080}]}},
    "annotations": {"service": {"annotations": {"example.com/a_b": "x y", "plain": ""}}},
    "an annotation without a name": {"service": {"annotations": {"example.com/": "x"}}},
    "an annotation's name too long": {"service": {"annotations": {f"example.com/{LONG}": "x"}}},
    "an annotation of many parts": {"service": {"annotations": {"a/b/c": "x"}}},
    "17 annotations": {"service": {"annotations": {f"a{n}": "x" for n in range(17)}}},
    "envoy": {"envoy": {"concurrency": 2, "logLevel": "debug"}},
    "no concurrency": {"envoy": {"concurrency": 0}},
    "an unknown level": {"envoy": {"logLevel": "verbose"}},
    "the nodes' network": {"hostNetwork": True},
    "the nodes' network as text": {"hostNetwork": "yes"},
    "an unknown field": {"replica": 3},
}
CASES = [
    pytest.param(kind, spec, id=f"{kind}: {name}")
    for kind, specs in (("Backend", BACKENDS), ("GatewayParameters", PARAMETERS))
    for name, spec in specs.items()
]


@pytest.mark.parametrize(("kind", "spec"), CASES)
def test_both_take_the_same(cluster: Cluster, kind: str, spec: Object) -> None:
    """What the API server refuses is refused offline, and the other way round."""
    written = {"apiVersion": "trilithon.dev/v1alpha1", "kind": kind, "metadata": {"name": "it", "namespace": "default"}}
    document = {**written, "spec": spec}
    path = f"/apis/trilithon.dev/v1alpha1/namespaces/default/{PATHS[kind]}?dryRun=All"
    stored = _created(cluster, path, document)
    decoded = decode(document)
    assert decoded.refused == (stored is None), (stored, decoded.problems)
    if stored is not None:
        # Defaults are the same, too.
        assert _spec(decode(stored).resource) == _spec(decoded.resource)


def _created(cluster: Cluster, path: str, document: Object) -> Object | None:
    """The object as the server would store it; None if it finds it invalid."""
    try:
        found: Object = cluster.api.call("POST", path, document)
    except ApiError as error:
        if error.status in {400, 422}:
            return None
        raise
    return found


def _spec(resource: object) -> Struct:
    assert isinstance(resource, (BackendResource, GatewayParameters))
    return resource.spec
