"""Keys get to where they are used and nowhere else: not into logs, Events, statuses, or what else is generated."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import msgspec
import pytest
import trustme

from testcluster.api import Object, conditions
from tests.cluster.citizenship.town import Town
from tests.cluster.faults.envoys import Envoy
from tests.cluster.faults.objects import gateway
from tests.cluster.faults.processes import processes
from trilithon.infrastructure.installation import AUTHORITY_SECRET

pytestmark = pytest.mark.timeout(180)

HOST = "canary.test"
NAME = "canary"
OWN = {"identity", "trust"}


@pytest.fixture(scope="module")
def canary(town: Town) -> Iterator[str]:
    """A Gateway with a certificate of its own; the key of that, as its Secret has it."""
    issued = trustme.CA().issue_cert(HOST)
    key = base64.b64encode(issued.private_key_pem.bytes()).decode()
    chain = base64.b64encode(b"".join(blob.bytes() for blob in issued.cert_chain_pems)).decode()
    secret: Object = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": NAME},
        "type": "kubernetes.io/tls",
        "data": {"tls.crt": chain, "tls.key": key},
    }
    made = gateway(NAME, town.controllers.class_name)
    certificate = {"certificateRefs": [{"name": NAME}]}
    made["spec"]["listeners"] = [{"name": "tls", "port": 443, "protocol": "HTTPS", "tls": certificate}]
    town.cluster.apply(secret, made, namespace=town.namespace)
    path = town.path("gateways", NAME)
    town.cluster.wait_for(
        "the Gateway to be programmed", lambda: conditions(town.cluster.get(path)).get("Programmed") == "True", 60
    )
    yield key
    town.cluster.delete(secret, made, namespace=town.namespace)
    town.wait_quiet()


@pytest.mark.usefixtures("canary")
def test_only_its_own_envoys_have_a_key(town: Town) -> None:
    """By name: what an Envoy was given is what its Gateway names."""
    named = {name: _certificates(town, name) for name in ("edge", NAME)}
    # What it shows the controller, and whom it believes, are files of its pod.
    assert named["edge"] == OWN
    assert named[NAME] > OWN
    assert len(named[NAME] - OWN) == 1


def test_keys_are_told_to_nobody(town: Town, canary: str) -> None:
    """Also where a key is wrong, and said to be: by the controller, by Envoys, and by everything in the namespaces."""
    path = f"/api/v1/namespaces/{town.namespace}/secrets/{NAME}"
    broken = base64.b64encode(base64.b64decode(canary).replace(b"-----END", b"=END")).decode()
    town.cluster.api.merge(path, {"data": {"tls.key": broken}})
    gateway_path = town.path("gateways", NAME)

    def is_refused() -> bool:
        listeners = town.cluster.get(gateway_path)["status"]["listeners"]
        return any(conditions({"status": each}).get("ResolvedRefs") == "False" for each in listeners)

    town.cluster.wait_for("the key to be refused", is_refused)
    town.wait_quiet()
    heard = {**_logs(town), **_objects(town)}
    assert len(heard) > 10
    for each in _keys(town, canary):
        assert [where for where, text in heard.items() if each in text] == []


def _certificates(town: Town, gateway_name: str) -> set[str]:
    """The names of the certificates that a Gateway's Envoy has."""
    label = f"gateway.networking.k8s.io%2Fgateway-name%3D{gateway_name}"
    (pod,) = town.cluster.get(f"/api/v1/namespaces/{town.namespace}/pods?labelSelector={label}")["items"]
    pid = processes(town.cluster, pod, "envoy --config-path")[0]
    given = (name.partition(" ") for name in Envoy(pid).given())
    return {name for kind, _, name in given if kind == "dynamic_active_secrets"}


def _keys(town: Town, canary: str) -> list[str]:
    """A line of every private key there is, as text and as Secrets have it."""
    cluster = town.cluster
    authority = cluster.get(f"/api/v1/namespaces/{town.controllers.namespace}/secrets/{AUTHORITY_SECRET}")
    items = cluster.get(f"/api/v1/namespaces/{town.namespace}/secrets")["items"]
    identities = [each for each in items if each["metadata"]["name"] != NAME]
    keys = [canary, *(each["data"]["tls.key"] for each in (authority, *identities))]
    assert len(keys) >= 4
    lines = [base64.b64decode(key).decode().splitlines()[1] for key in keys]
    # Without its first and last characters, which depend on what stands before and after.
    return [*lines, *(base64.b64encode(line.encode()).decode()[4:-4] for line in lines), *(key[8:72] for key in keys)]


def _logs(town: Town) -> dict[str, str]:
    """What every pod logged."""
    logs = {}
    for namespace in (town.controllers.namespace, town.namespace):
        for pod in town.cluster.get(f"/api/v1/namespaces/{namespace}/pods")["items"]:
            name = pod["metadata"]["name"]
            logs[f"log of {name}"] = town.cluster.kubectl("--namespace", namespace, "logs", name)
    return logs


def _objects(town: Town) -> dict[str, str]:
    """Everything that the namespaces have, but the data of Secrets; and the audit log."""
    found = {"audit log": town.cluster.layout.audit_log.read_text()}
    for namespace in (town.controllers.namespace, town.namespace):
        core, apps = f"/api/v1/namespaces/{namespace}", f"/apis/apps/v1/namespaces/{namespace}"
        paths = [f"{core}/{plural}" for plural in ("secrets", "configmaps", "services", "pods", "events")]
        paths += [f"{apps}/deployments", f"{apps}/replicasets"]
        for path in (*paths, town.path("gateways"), town.path("httproutes"), town.class_path):
            answer = town.cluster.get(path)
            for each in answer.get("items", [answer]):
                if path.endswith("/secrets"):
                    each.pop("data", None)
                found[f"{path} {each['metadata']['name']}"] = msgspec.json.encode(each).decode()
    return found
