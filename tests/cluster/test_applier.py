"""What runs a Gateway, on a real API server: made, changed and repaired, and never another's."""

from __future__ import annotations

import asyncio
import base64
import math
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from testcluster import Cluster
from testcluster.api import Object
from tests.cluster.applying import ALL, GATEWAYS, NAMED, Applying, gateway, gateway_class, parameters, uids
from tests.cluster.status_writing import until
from trilithon.sinks.objects import application


@pytest.fixture
def applying(cluster: Cluster, namespace: str) -> Iterator[Applying]:
    """An applier whose Gateway and class are stored."""
    cluster.apply(gateway_class(namespace), gateway(namespace))
    yield Applying(cluster, namespace)
    cluster.delete(gateway_class(namespace))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in the way is looked at often."""
    monkeypatch.setattr(application, "BLOCKED_SECONDS", 0.5)


def _stored(cluster: Cluster, namespace: str) -> Object:
    found: Object = cluster.get(f"{GATEWAYS.format(namespace)}/edge")
    return found


async def _shown(applying: Applying, *documents: Object) -> None:
    """All objects are there, and the applier has said so."""
    applying.show(gateway_class(applying.namespace), *documents)
    await until("all objects", lambda: applying.key in applying.applied and applying.kinds() >= set(ALL))


async def test_everything_is_made_once_and_owned_by_the_gateway(applying: Applying, cluster: Cluster) -> None:
    """Then nothing is written any more, also not by an applier that begins anew."""
    mark = cluster.audit.mark()
    async with applying.running():
        await _shown(applying, gateway(applying.namespace))
        uid = _stored(cluster, applying.namespace)["metadata"]["uid"]
        for kind in ALL:
            (found,) = applying.objects(kind)
            (owner,) = found["metadata"]["ownerReferences"]
            assert (owner["kind"], owner["uid"], owner["controller"]) == ("Gateway", uid, True), kind
            assert found["metadata"]["labels"]["gateway.networking.k8s.io/gateway-name"] == "edge"
        assert sorted(applying.said(mark)) == sorted(
            ("patch", resource, 201)
            for resource in ("deployments", "poddisruptionbudgets", "secrets", "serviceaccounts", "services")
        )
        mark = cluster.audit.mark()
        await asyncio.sleep(2.0)
    assert applying.said(mark) == []
    assert applying.unapplied == []


async def test_a_new_listener_changes_the_service_alone(applying: Applying, cluster: Cluster) -> None:
    """No pod is replaced for it."""
    async with applying.running():
        await _shown(applying, gateway(applying.namespace))
        mark = cluster.audit.mark()
        applying.show(gateway_class(applying.namespace), gateway(applying.namespace, 80, 8443))
        await until("the port", lambda: len(applying.objects("Service")[0]["spec"]["ports"]) == 2)
        await asyncio.sleep(1.0)
    assert applying.said(mark) == [("patch", "services", 200)]


async def test_an_applier_that_begins_finds_everything_in_order(applying: Applying, cluster: Cluster) -> None:
    """A restart writes nothing: the identity is the authority's own, so both share it."""
    async with applying.running():
        await _shown(applying, gateway(applying.namespace))
        mark = cluster.audit.mark()
        applying.leads = False
        applying.show(gateway_class(applying.namespace), gateway(applying.namespace, 80, 81))
        await asyncio.sleep(1.0)
        assert applying.said(mark) == [], "it does not lead"
        applying.leads = True
        applying.applier.lead()
        await until("the port", lambda: len(applying.objects("Service")[0]["spec"]["ports"]) == 2)


async def test_what_was_there_before_is_left_alone(applying: Applying, cluster: Cluster, impatient: None) -> None:
    """An object of that name that is not ours is not adopted, changed or deleted; the rest is made meanwhile."""
    namespace = applying.namespace
    name = f"edge-{namespace.replace('-', '')}"
    theirs = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app.kubernetes.io/managed-by": "trilithon"}},
        "spec": {"ports": [{"port": 9}], "selector": {"app": "theirs"}},
    }
    cluster.apply(theirs)
    (before,) = applying.objects("Service")
    async with applying.running():
        applying.show(gateway_class(namespace), gateway(namespace))
        await until("the conflict", lambda: applying.unapplied == [(f"Service {namespace}/{name}", "foreign")])
        await until("the others", lambda: applying.kinds() >= set(ALL))
        assert applying.objects("Service") == [before]
        cluster.delete(theirs)
        await until("our own", lambda: uids(applying.objects("Service")) not in ([], uids([before])))
        await until("no conflict", lambda: applying.unapplied == [])


async def test_no_pod_runs_with_anothers_secret(applying: Applying, cluster: Cluster, impatient: None) -> None:
    """Pods are made once the Secret of that name is ours."""
    namespace = applying.namespace
    metadata = {"name": f"edge-{namespace.replace('-', '')}", "namespace": namespace}
    theirs = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {"tls.key": "eA=="}}
    cluster.apply(theirs)
    async with applying.running():
        applying.show(gateway_class(namespace), gateway(namespace))
        await until("the conflict", lambda: [cause for _, cause in applying.unapplied] == ["foreign"])
        await until("the budget", lambda: applying.objects("PodDisruptionBudget"))
        assert applying.objects("Deployment") == []
        cluster.delete(theirs)
        await until("the Deployment", lambda: applying.objects("Deployment"))


async def test_what_others_change_is_put_back(applying: Applying, cluster: Cluster) -> None:
    """A changed field, a deleted object; what others add stays theirs."""
    namespace = applying.namespace
    async with applying.running():
        await _shown(applying, gateway(namespace))
        (service,) = applying.objects("Service")
        path = f"/api/v1/namespaces/{namespace}/services/{service['metadata']['name']}"
        cluster.api.merge(path, {"spec": {"selector": {"app": "elsewhere"}}, "metadata": {"labels": {"more": "x"}}})
        await until("nothing", lambda: "more" in applying.objects("Service")[0]["metadata"]["labels"])
        cluster.api.merge(path, {"spec": {"selector": {"gateway.networking.k8s.io/gateway-name": "another"}}})
        await until("the selector", lambda: "edge" in applying.objects("Service")[0]["spec"]["selector"].values())
        assert applying.objects("Service")[0]["metadata"]["labels"]["more"] == "x"
        (deployment,) = applying.objects("Deployment")
        cluster.delete(
            {key: deployment[key] for key in ("metadata",)} | {"apiVersion": "apps/v1", "kind": "Deployment"}
        )
        await until("the Deployment", lambda: uids(applying.objects("Deployment")) not in ([], uids([deployment])))


@pytest.mark.parametrize("label", ["trilithon.dev/installation", "app.kubernetes.io/managed-by"])
async def test_labels_that_are_taken_away_are_put_back(applying: Applying, cluster: Cluster, label: str) -> None:
    """The watch loses sight of the object: it is the same one, its Gateway controls it, and it is soon as it was."""
    namespace = applying.namespace
    async with applying.running():
        await _shown(applying, gateway(namespace))
        (before,) = applying.objects("Service")
        path = f"/api/v1/namespaces/{namespace}/services/{before['metadata']['name']}"
        cluster.api.merge(path, {"metadata": {"labels": {label: None}}})
        await until(
            "the label", lambda: applying.objects("Service")[0]["metadata"]["labels"] == before["metadata"]["labels"]
        )
        assert uids(applying.objects("Service")) == uids([before])
        assert applying.unapplied == []
        mark = cluster.audit.mark()
        await asyncio.sleep(1.0)
        assert applying.said(mark) == []


async def test_who_changes_it_all_the_time_is_not_fought(applying: Applying, cluster: Cluster) -> None:
    """Repairs become rarer: a handful while a rival writes fifty times."""
    namespace = applying.namespace
    async with applying.running():
        await _shown(applying, gateway(namespace))
        (service,) = applying.objects("Service")
        path = f"/api/v1/namespaces/{namespace}/services/{service['metadata']['name']}"
        mark, began = cluster.audit.mark(), time.monotonic()
        for number in range(50):
            change = {"spec": {"selector": {"gateway.networking.k8s.io/gateway-name": f"rival-{number}"}}}
            await asyncio.to_thread(cluster.api.merge, path, change)
            await asyncio.sleep(0.1)
        count, seconds = len(applying.writes(mark)), time.monotonic() - began
    # The pauses are at least 0.5 s, 1 s, 2 s and so on: with n of them at least (2^n - 1) / 2 seconds have gone by.
    assert 1 <= count <= 2 + math.log2(2 * seconds + 1)


async def test_what_is_not_wanted_any_more_goes(applying: Applying, cluster: Cluster) -> None:
    """An autoscaler comes and goes with its parameters; further addresses have Services of their own."""
    namespace = applying.namespace
    asks = [{"value": "192.0.2.1"}, {"value": "192.0.2.2"}]
    tuned = gateway(namespace, infrastructure=NAMED, addresses=asks)
    scale = parameters(namespace, autoscaling={"minReplicas": 2, "maxReplicas": 4})
    async with applying.running():
        await _shown(applying, tuned, scale)
        await until("the autoscaler", lambda: applying.objects("HorizontalPodAutoscaler"))
        await until("both Services", lambda: len(applying.objects("Service")) == 2)
        assert sorted(each["spec"]["loadBalancerIP"] for each in applying.objects("Service")) == [
            "192.0.2.1",
            "192.0.2.2",
        ]
        applying.show(gateway_class(namespace), gateway(namespace))
        await until("no autoscaler", lambda: not applying.objects("HorizontalPodAutoscaler"))
        await until("one Service", lambda: len(applying.objects("Service")) == 1)
        assert "loadBalancerIP" not in applying.objects("Service")[0]["spec"]


async def test_an_autoscaler_begins_with_the_pods_that_are_there(applying: Applying, cluster: Cluster) -> None:
    """Not with one, which is what a Deployment without a number has."""
    namespace = applying.namespace
    tuned = gateway(namespace, infrastructure=NAMED)
    async with applying.running():
        await _shown(applying, tuned, parameters(namespace, replicas=3))
        scale = parameters(namespace, autoscaling={"minReplicas": 2, "maxReplicas": 4})
        applying.show(gateway_class(namespace), tuned, scale)
        await until("the autoscaler", lambda: applying.objects("HorizontalPodAutoscaler"))
        await asyncio.sleep(0.5)
        assert _replicas(applying) == 3
        applying.show(gateway_class(namespace), tuned, parameters(namespace, replicas=1))
        await until("our number", lambda: _replicas(applying) == 1)


async def test_a_gateway_of_another_controller_loses_what_was_ours(applying: Applying, cluster: Cluster) -> None:
    """All of it, once its class says so, and only then."""
    namespace = applying.namespace
    async with applying.running():
        await _shown(applying, gateway(namespace))
        applying.applier.want(applying.key, None)
        await asyncio.sleep(1.0)
        assert applying.kinds() >= set(ALL), "the class is still ours"
        cluster.delete(gateway_class(namespace))
        cluster.apply(gateway_class(namespace, "test/another"))
        applying.applier.want(applying.key, None)
        await until("nothing", lambda: not applying.kinds())
        assert applying.applied[applying.key] is None


async def test_a_gateway_that_is_made_anew_gets_objects_of_its_own(applying: Applying, cluster: Cluster) -> None:
    """Those of before are collected, and none is taken over."""
    namespace = applying.namespace
    async with applying.running():
        await _shown(applying, gateway(namespace))
        before = {kind: uids(applying.objects(kind)) for kind in ALL}
        cluster.delete(gateway(namespace))
        cluster.apply(gateway(namespace))
        uid = _stored(cluster, namespace)["metadata"]["uid"]

        def is_anew() -> bool:
            owners = [owner["uid"] for kind in ALL for each in applying.objects(kind) for owner in _owners(each)]
            return owners == [uid] * len(ALL)

        await until("new objects", is_anew)
        assert all(uids(applying.objects(kind)) != before[kind] for kind in ALL)


async def test_a_gateway_that_goes_takes_everything_along(applying: Applying, cluster: Cluster) -> None:
    """The garbage collector does it, and the applier makes nothing again, not even while the Gateway waits."""
    namespace = applying.namespace
    async with applying.running():
        await _shown(applying, gateway(namespace))
        mark = cluster.audit.mark()
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Foreground"}
        cluster.api.call("DELETE", f"{GATEWAYS.format(namespace)}/edge", options)
        await until("nothing", partial(_is_empty, applying))
        await until("no Gateway", lambda: cluster.find(f"{GATEWAYS.format(namespace)}/edge") is None)
        applying.applier.want(applying.key, None)
        await asyncio.sleep(0.5)
    assert applying.said(mark) == []


async def test_an_identity_that_is_damaged_is_issued_again(applying: Applying, cluster: Cluster) -> None:
    """A Secret that holds no good identity gets one."""
    namespace = applying.namespace
    async with applying.running():
        await _shown(applying, gateway(namespace))
        (secret,) = applying.objects("Secret")
        assert b"BEGIN CERTIFICATE" in base64.b64decode(secret["data"]["tls.crt"])
        path = f"/api/v1/namespaces/{namespace}/secrets/{secret['metadata']['name']}"
        cluster.api.merge(path, {"data": {"tls.crt": base64.b64encode(b"nothing").decode()}})
        await until("a certificate", partial(_has_certificate, applying))


async def test_a_held_gateway_keeps_what_it_has(applying: Applying, cluster: Cluster) -> None:
    """A mistake in a Gateway neither makes nor deletes anything."""
    namespace = applying.namespace
    async with applying.running():
        await _shown(applying, gateway(namespace))
        mark = cluster.audit.mark()
        held = applying.show(gateway_class(namespace), gateway(namespace, infrastructure=NAMED))
        assert held is not None
        assert held.is_held
        await asyncio.sleep(1.0)
        assert applying.said(mark) == []


def _owners(found: Object) -> list[dict[str, Any]]:
    return found["metadata"].get("ownerReferences") or []


def _replicas(applying: Applying) -> int:
    (deployment,) = applying.objects("Deployment")
    found: int = deployment["spec"]["replicas"]
    return found


def _is_empty(applying: Applying) -> bool:
    return not applying.kinds()


def _has_certificate(applying: Applying) -> bool:
    (secret,) = applying.objects("Secret")
    return b"BEGIN CERTIFICATE" in base64.b64decode(secret["data"]["tls.crt"])
