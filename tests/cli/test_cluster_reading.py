"""The commands that look at a cluster, against a small API server on a real socket."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.sources.cluster import Cluster, refusal

OURS = "trilithon.dev/gateway-controller"
EDGE = {"edge": "yes"}
LISTENERS = [{"name": "http", "port": 80, "protocol": "HTTP"}]


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Path:
    return tmp_path / "kubeconfig"


def configured(path: Path, cluster: Cluster) -> Path:
    config = {
        "clusters": [{"name": "c", "cluster": {"server": cluster.address}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path.write_text(json.dumps(config))
    return path


async def looked(path: Path, command: str, *arguments: str) -> tuple[int, str, str]:
    """The exit status and both outputs of a command."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "trilithon",
        command,
        "--cluster",
        "--kubeconfig",
        str(path),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


def conditions(status: str, reason: str, message: str, generation: int = 1) -> dict[str, Any]:
    condition = {"type": "Programmed", "status": status, "reason": reason, "message": message}
    return {
        "conditions": [{**condition, "observedGeneration": generation, "lastTransitionTime": "2026-01-01T00:00:00Z"}]
    }


async def a_gateway(cluster: Cluster, status: dict[str, Any], controller: str = OURS) -> None:
    await cluster.put("namespaces", "shop")
    await cluster.put("gatewayclasses", "mine", spec={"controllerName": controller})
    spec = {"gatewayClassName": "mine", "listeners": LISTENERS}
    await cluster.put("gateways", "edge", "shop", spec=spec, status=status)


async def test_what_the_controller_says_of_a_gateway_is_told(kubeconfig: Path) -> None:
    cluster = Cluster()
    async with cluster.serving():
        await a_gateway(cluster, conditions("False", "Invalid", "another object has that name"))
        code, out, _ = await looked(configured(kubeconfig, cluster), "check", "-o", "json")
    assert code == 1
    assert ("Invalid", "the controller does not serve it: another object has that name") in [
        (each["code"], each["message"]) for each in json.loads(out)
    ]


async def test_an_acknowledgement_of_an_older_generation_is_none(kubeconfig: Path) -> None:
    cluster = Cluster()
    async with cluster.serving():
        await a_gateway(cluster, conditions("True", "Programmed", "served", generation=0))
        _, old, _ = await looked(configured(kubeconfig, cluster), "translate", "-o", "status")
        await a_gateway(cluster, conditions("True", "Programmed", "served"))
        _, new, _ = await looked(kubeconfig, "translate", "-o", "status")
    served = "Envoy serves the listener"
    assert (served in old, served in new) == (False, True)


async def test_a_gateway_of_another_controller_name_is_looked_at_as_that_controller(kubeconfig: Path) -> None:
    cluster = Cluster()
    async with cluster.serving():
        await a_gateway(cluster, conditions("False", "Invalid", "broken"), "example.com/mine")
        others, _, _ = await looked(configured(kubeconfig, cluster), "check")
        own, out, _ = await looked(kubeconfig, "check", "--controller-name", "example.com/mine")
    assert (others, own) == (0, 1)
    assert "broken" in out


async def test_only_selected_namespaces_are_looked_at(kubeconfig: Path) -> None:
    """As by a controller with the same selector."""
    cluster = Cluster()
    async with cluster.serving():
        await a_gateway(cluster, conditions("False", "Invalid", "broken"))
        await cluster.put("namespaces", "shop", labels={"edge": "yes"})
        configured(kubeconfig, cluster)
        found = [await looked(kubeconfig, "check", "--namespace-selector", each) for each in ("edge=yes", "edge=no")]
    assert [code for code, _, _ in found] == [1, 0]
    assert "broken" in found[0][1]
    assert "shop/edge" not in found[1][1]


async def test_a_backend_with_a_name_is_judged_as_by_the_controller(kubeconfig: Path) -> None:
    cluster = Cluster()
    cluster.kinds["backends"] = ("trilithon.dev", "v1alpha1", "Backend", True)
    async with cluster.serving():
        await a_gateway(cluster, conditions("True", "Programmed", "served"))
        endpoint = {"hostname": {"hostname": "cart.payments.svc", "port": 80}}
        await cluster.put("backends", "b", "shop", spec={"endpoints": [endpoint]})
        ref = {"group": "trilithon.dev", "kind": "Backend", "name": "b"}
        spec = {"parentRefs": [{"name": "edge"}], "rules": [{"backendRefs": [ref]}]}
        await cluster.put("httproutes", "web", "shop", spec=spec)
        configured(kubeconfig, cluster)
        refused, out, _ = await looked(kubeconfig, "check", "-o", "json")
        allowed, _, _ = await looked(kubeconfig, "check", "--backend-hostnames")
    assert (refused, allowed) == (1, 0)
    problem = next(each for each in json.loads(out) if each["code"] == "BackendHostname")
    assert (problem["object"], problem["path"]) == ("HTTPRoute shop/web", "spec.rules[0].backendRefs[0]")
    assert "backendHostnames" in problem["hint"]


# What rights in one namespace alone never include, besides what is lent from elsewhere.
OF_THE_CLUSTER = ("customresourcedefinitions", "gatewayclasses", "namespaces")


def refusing(*paths: str) -> Any:
    """Lists of these are refused; "/apis/a/v1/namespaces/shop/b" is written as a whole, a kind by its plural."""

    def mood(request: web.Request) -> web.StreamResponse | None:
        path = request.path if request.path in paths else request.path.rpartition("/")[2]
        return refusal(403, "Forbidden") if path in paths else None

    return mood


async def test_rights_in_a_namespace_alone_are_enough_to_look_at_it(kubeconfig: Path) -> None:
    """What cannot be read is told, and costs no other answer: of the route only the backend is a mistake."""
    cluster = Cluster()
    listener = {
        **LISTENERS[0],
        "allowedRoutes": {"namespaces": {"from": "Selector", "selector": {"matchLabels": EDGE}}},
    }
    async with cluster.serving():
        await cluster.put("namespaces", "shop", labels=EDGE)
        await cluster.put("gateways", "edge", "shop", spec={"gatewayClassName": "mine", "listeners": [listener]})
        backend = {"name": "nowhere", "port": 80}
        spec = {"parentRefs": [{"name": "edge"}], "rules": [{"backendRefs": [backend]}]}
        await cluster.put("httproutes", "web", "shop", spec=spec)
        guest = {"parentRefs": [{"name": "shared", "namespace": "infra"}], "rules": [{"backendRefs": [backend]}]}
        await cluster.put("httproutes", "guest", "shop", spec=guest)
        cluster.moods.append(refusing(*OF_THE_CLUSTER, "secrets", "configmaps"))
        code, out, _ = await looked(configured(kubeconfig, cluster), "check", "--namespace", "shop", "-o", "json")
        found = json.loads(out)
    assert code == 1
    assert [each["object"] for each in found if each["severity"] == "error"] == ["HTTPRoute shop/web"]
    told = {each["message"].partition(", so ")[2] for each in found if each["code"] == "NotRead"}
    assert f"every Gateway is taken for one of the controller {OURS}" in told
    assert len(told) == 4
    assert "Gateway infra/shared is not read" in next(
        each["message"] for each in found if each["object"] == "HTTPRoute shop/guest"
    )


async def test_a_secret_that_may_not_be_read_is_no_mistake(kubeconfig: Path) -> None:
    cluster = Cluster()
    tls = {"name": "https", "port": 443, "protocol": "HTTPS", "tls": {"certificateRefs": [{"name": "key"}]}}
    async with cluster.serving():
        await cluster.put("namespaces", "shop")
        await cluster.put("gatewayclasses", "mine", spec={"controllerName": OURS})
        await cluster.put("gateways", "edge", "shop", spec={"gatewayClassName": "mine", "listeners": [tls]})
        cluster.moods.append(refusing("secrets", "/api/v1/namespaces/shop/secrets/key"))
        code, out, _ = await looked(configured(kubeconfig, cluster), "check", "-o", "json")
    assert code == 0
    assert "Secret shop/key" in {each["object"] for each in json.loads(out)}


async def test_who_may_not_even_see_the_namespace_is_told_so(kubeconfig: Path) -> None:
    cluster = Cluster()
    async with cluster.serving():
        await cluster.put("namespaces", "shop")
        cluster.moods.append(refusing(*OF_THE_CLUSTER, "/api/v1/namespaces/shop"))
        code, _, err = await looked(configured(kubeconfig, cluster), "check", "--namespace", "shop")
    assert code == 3
    assert "403" in err


@pytest.mark.parametrize("plural", ["gateways", "httproutes", "services", "namespaces"])
async def test_who_may_not_list_a_kind_is_told_so_at_once(kubeconfig: Path, plural: str) -> None:
    cluster = Cluster()

    def forbidding(request: web.Request) -> web.StreamResponse | None:
        return refusal(403, "Forbidden") if request.path.endswith(f"/v1/{plural}") else None

    async with cluster.serving():
        cluster.moods.append(forbidding)
        code, _, err = await looked(configured(kubeconfig, cluster), "check")
    assert code == 3
    assert "you may not list" in err
    assert len(err.splitlines()) == 1


async def test_a_wrong_token_is_told_without_asking_for_anything_else(kubeconfig: Path) -> None:
    cluster = Cluster()
    async with cluster.serving():
        cluster.moods.append(lambda _: refusal(401, "Unauthorized"))
        code, _, err = await looked(configured(kubeconfig, cluster), "status")
    assert code == 3
    assert "401" in err
    assert len({request.path for request in cluster.requests}) <= 1


async def test_an_api_server_that_is_not_there_is_one_line(kubeconfig: Path) -> None:
    cluster = Cluster()
    cluster.address = "http://127.0.0.1:9"
    code, _, err = await looked(configured(kubeconfig, cluster), "check")
    assert code == 3
    assert len(err.splitlines()) == 1
