"""What a pod finds in its volumes, and what becomes of that when the objects behind them change."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import pytest

from testcluster import Cluster
from testcluster.kubelet.payload import data_of
from tests.cluster.kubelet_world import World, config_map, container, mounted, pod, secret

# From the answer to a change until it is in the pod: far less than the minute that some take.
SOON = 20.0


@pytest.fixture
def world(cluster: Cluster, namespace: str) -> World:
    """Where these tests work."""
    return World(cluster, namespace)


def test_a_pod_waits_for_its_config_map(world: World) -> None:
    """It starts as soon as there is one, and says until then what it waits for."""
    world.apply(pod("one", **mounted("/conf", configMap={"name": "late"})))
    world.cluster.wait_for(
        "the pod to say what it waits for",
        lambda: "late" in world.container("one")["state"].get("waiting", {}).get("message", ""),
    )
    assert world.phase("one") == "Pending"
    world.apply(config_map("late", key="value"))
    world.wait_ready("one", SOON)
    assert world.inside("one", "cat /conf/key") == "value"


@pytest.mark.parametrize(
    "source",
    [
        pytest.param({"configMap": {"name": "object"}}, id="ConfigMap"),
        pytest.param({"secret": {"secretName": "object"}}, id="Secret"),
        pytest.param(
            {"projected": {"sources": [{"configMap": {"name": "object"}}, {"secret": {"name": "object"}}]}},
            id="projected",
        ),
    ],
)
def test_a_change_is_seen_soon(world: World, source: dict[str, Any]) -> None:
    """Changed, new and removed keys, while the pod runs."""
    world.apply(config_map("object", key="1", old="x"), secret("object", key="1", old="x"))
    world.apply(pod("one", **mounted("/conf", **source)))
    world.wait_ready("one")
    # Two objects change one after the other: one ends where the other does.
    world.cluster.kubectl("--namespace", world.namespace, "delete", "configmap,secret", "object")
    world.cluster.kubectl("--namespace", world.namespace, "create", "configmap", "object", "--from-literal=key=2")
    world.apply(secret("object", key="2", new="y") if "configMap" not in source else config_map("object", key="2"))
    world.until("one", "cat /conf/key; ls /conf | grep -c old", "20", SOON)


def test_a_value_that_is_mounted_alone_stays(world: World) -> None:
    """A subPath is the file as it was when the container started, as on every node."""
    world.apply(config_map("object", key="1"))
    mounts = [
        {"name": "volume", "mountPath": "/conf"},
        {"name": "volume", "mountPath": "/etc/alone", "subPath": "key"},
    ]
    volumes = [{"name": "volume", "configMap": {"name": "object"}}]
    world.apply(pod("one", container(volumeMounts=mounts), volumes=volumes))
    world.wait_ready("one")
    world.apply(config_map("object", key="2"))
    world.until("one", "cat /conf/key", "2", SOON)
    assert world.inside("one", "cat /etc/alone") == "1"


def test_keys_are_chosen_and_have_modes(world: World) -> None:
    """Only the items named are there, at their paths, with their modes or the volume's."""
    world.apply(secret("object", one="1", two="2", three="3"))
    items = [{"key": "one", "path": "a/b"}, {"key": "two", "path": "c", "mode": 0o440}]
    source = {"secretName": "object", "items": items, "defaultMode": 0o400}
    world.apply(pod("one", **mounted("/conf", secret=source)))
    world.wait_ready("one")
    assert world.inside("one", "cd /conf; cat a/b c; stat -Lc %a a/b c").split() == ["12400", "440"]


def test_what_is_optional_may_be_missing_and_come_later(world: World) -> None:
    """The volume is empty until then."""
    world.apply(pod("one", **mounted("/conf", configMap={"name": "object", "optional": True})))
    world.wait_ready("one")
    assert world.inside("one", "ls /conf") == ""
    world.apply(config_map("object", key="value"))
    world.until("one", "cat /conf/key", "value", SOON)


def test_a_volume_of_an_object_is_read_only(world: World) -> None:
    """Nobody in the pod can write to it."""
    world.apply(config_map("object", key="value"), pod("one", **mounted("/conf", configMap={"name": "object"})))
    world.wait_ready("one")
    assert world.kubectl("exec", "one", "--", "touch", "/conf/new", check=False).returncode != 0


def test_a_pods_labels_are_followed(world: World) -> None:
    """A downward API volume holds them as they are now."""
    items = [
        {"path": "all", "fieldRef": {"fieldPath": "metadata.labels"}},
        {"path": "one", "fieldRef": {"fieldPath": "metadata.labels['more']"}},
    ]
    world.apply(pod("one", **mounted("/me", downwardAPI={"items": items})))
    world.wait_ready("one")
    assert 'app="one"' in world.inside("one", "cat /me/all").splitlines()
    assert world.inside("one", "cat /me/one") == ""
    world.kubectl("label", "pod", "one", "more=yes")
    world.until("one", "cat /me/one; grep more /me/all", 'yesmore="yes"', SOON)


def test_containers_share_an_empty_folder(world: World) -> None:
    """It outlives each of them, and goes with the pod."""
    mounts = [{"name": "volume", "mountPath": "/shared"}]
    writing = container("echo once >> /shared/file; [ -e /shared/go ]", "writes", volumeMounts=mounts)
    world.apply(pod("one", container(volumeMounts=mounts), writing, volumes=[{"name": "volume", "emptyDir": {}}]))
    world.cluster.wait_for("a restart", lambda: world.container("one", 1)["restartCount"] >= 1)
    assert world.inside("one", "uniq /shared/file") == "once\n"


def test_a_token_is_for_its_audience_and_its_time(world: World) -> None:
    """A projected token says for whom it is, whose it is, and until when."""
    token = {"path": "token", "audience": "somebody", "expirationSeconds": 1200}
    world.apply(pod("one", **mounted("/who", projected={"sources": [{"serviceAccountToken": token}]})))
    world.wait_ready("one")
    payload = world.inside("one", "cat /who/token").split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert claims["aud"] == ["somebody"]
    assert claims["sub"] == f"system:serviceaccount:{world.namespace}:default"
    assert claims["kubernetes.io"]["pod"]["name"] == "one"
    assert claims["exp"] - time.time() == pytest.approx(1200, abs=60)


def test_a_token_opens_the_api_from_inside(world: World) -> None:
    """The usual files and variables are all that a client needs; rights are those of the service account."""
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "view"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": world.namespace}],
    }
    world.apply(binding, config_map("object", key="value"), pod("one"))
    world.wait_ready("one")
    script = """
        cd /var/run/secrets/kubernetes.io/serviceaccount
        api="https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT/api/v1"
        curl -sS --cacert ca.crt -H "Authorization: Bearer $(cat token)" \\
          "$api/namespaces/$(cat namespace)/configmaps/object"
    """

    def read() -> bool:
        answer = world.inside("one", script, check=False)
        return bool(answer) and data_of(answer.encode()) == {"key": b"value"}

    world.cluster.wait_for("the binding to be in force", read)


def test_a_group_gets_the_volumes(world: World) -> None:
    """With fsGroup a user that owns nothing reads what is secret and writes what is shared."""
    world.apply(secret("object", key="value"))
    mounts = [{"name": "volume", "mountPath": "/conf"}, {"name": "free", "mountPath": "/free"}]
    volumes = [
        {"name": "volume", "secret": {"secretName": "object", "defaultMode": 0o400}},
        {"name": "free", "emptyDir": {}},
    ]
    identity = {"runAsUser": 1234, "runAsGroup": 1234, "fsGroup": 4321}
    world.apply(pod("one", container(volumeMounts=mounts), volumes=volumes, securityContext=identity))
    world.wait_ready("one")
    assert world.inside("one", "cat /conf/key; echo > /free/new; stat -c ' %u %g' /free/new") == "value 1234 4321\n"
