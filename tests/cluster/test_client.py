"""The Kubernetes client against a real API server: pages, refusals, leases, and what it serves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import msgspec
import pytest

from testcluster import Cluster
from trilithon.kube.client import Client
from trilithon.kube.config import find_config
from trilithon.kube.discovery import Discovery, KindMissing, KindWanted
from trilithon.kube.errors import ApiError
from trilithon.kube.lease import LEASES, Leadership
from trilithon.kube.lease_state import DURATION_SECONDS
from trilithon.kube.objects import ApiKind, ObjectPath
from trilithon.kube.transport import Transport

CONFIG_MAPS = ApiKind("", "v1", "ConfigMap", "configmaps")
MANAGER = "tests"


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def path_of(namespace: str, name: str) -> ObjectPath:
    return ObjectPath(CONFIG_MAPS, name, namespace)


@pytest.fixture
async def client(cluster: Cluster) -> AsyncIterator[Client]:
    async with Transport(find_config(cluster.kubeconfig)) as transport:
        yield Client(transport)


async def test_all_pages_together_are_the_list(client: Client, namespace: str) -> None:
    names = {f"c{index}" for index in range(7)}
    for name in names:
        await client.create(CONFIG_MAPS, namespace, config_map(name))
    pages = [page async for page in client.pages(CONFIG_MAPS, namespace, {"limit": "3", "labelSelector": ""})]
    found = [msgspec.json.decode(item)["metadata"]["name"] for page in pages for item in page.items]
    assert names <= set(found)
    assert len(found) == len(set(found))
    assert len(pages) > 2


@pytest.mark.usefixtures("disturbed")
async def test_a_page_of_an_older_list_is_expired_after_a_compaction(
    client: Client, cluster: Cluster, namespace: str
) -> None:
    for index in range(4):
        await client.create(CONFIG_MAPS, namespace, config_map(f"c{index}"))
    pages = client.pages(CONFIG_MAPS, namespace, {"limit": "1"})
    await anext(pages)
    await client.create(CONFIG_MAPS, namespace, config_map("later"))
    await asyncio.to_thread(cluster.compact)
    with pytest.raises(ApiError) as refused:
        async for _ in pages:
            pass
    assert refused.value.is_expired


async def test_an_object_that_changed_meanwhile_is_not_overwritten(client: Client, namespace: str) -> None:
    created = msgspec.json.decode(await client.create(CONFIG_MAPS, namespace, config_map("a", x="1")))
    await client.merge_patch(path_of(namespace, "a"), {"data": {"x": "2"}}, MANAGER)
    with pytest.raises(ApiError) as refused:
        await client.replace(path_of(namespace, "a"), {**created, "data": {"x": "3"}})
    assert refused.value.status == 409
    old = {"metadata": {"resourceVersion": created["metadata"]["resourceVersion"]}, "data": {"x": "4"}}
    with pytest.raises(ApiError) as refused:
        await client.merge_patch(path_of(namespace, "a"), old, MANAGER)
    assert refused.value.status == 409
    assert msgspec.json.decode(await client.read(path_of(namespace, "a")))["data"] == {"x": "2"}


async def test_applied_fields_are_ours_and_others_stay(client: Client, namespace: str) -> None:
    await client.create(CONFIG_MAPS, namespace, config_map("a", theirs="1", both="1"))
    await client.apply(path_of(namespace, "a"), config_map("a", ours="2", both="2"), MANAGER)
    await client.apply(path_of(namespace, "a"), config_map("a", both="3"), MANAGER)
    found = msgspec.json.decode(await client.read(path_of(namespace, "a")))
    assert found["data"] == {"theirs": "1", "both": "3"}


async def test_an_object_of_another_uid_is_not_deleted(client: Client, namespace: str) -> None:
    await client.create(CONFIG_MAPS, namespace, config_map("a"))
    with pytest.raises(ApiError) as refused:
        await client.delete(path_of(namespace, "a"), {"preconditions": {"uid": "another"}})
    assert refused.value.status == 409
    await client.delete(path_of(namespace, "a"))
    with pytest.raises(ApiError) as refused:
        await client.read(path_of(namespace, "a"))
    assert (refused.value.status, refused.value.reason) == (404, "NotFound")


async def test_what_is_served_is_found_in_the_best_version(client: Client) -> None:
    discovery = Discovery(client.transport)
    group = "gateway.networking.k8s.io"
    route = await discovery.find(KindWanted(group, "HTTPRoute", ("v1", "v1beta1")))
    assert route == ApiKind(group, "v1", "HTTPRoute", "httproutes", subresources=("status",))
    class_ = await discovery.find(KindWanted(group, "GatewayClass", ("v9", "v1")))
    assert isinstance(class_, ApiKind)
    assert (class_.version, class_.is_namespaced) == ("v1", False)
    newer = await discovery.find(KindWanted(group, "HTTPRoute", ("v9",)))
    assert isinstance(newer, KindMissing)
    assert "v1" in newer.served
    assert await discovery.find(KindWanted("no.such.group", "Thing", ("v1",))) == KindMissing(
        KindWanted("no.such.group", "Thing", ("v1",))
    )


class Candidate:
    """One of those who would lead."""

    def __init__(self, client: Client, namespace: str, name: str) -> None:
        self.is_leading = asyncio.Event()
        self.ended = asyncio.Event()
        lease = ObjectPath(LEASES, "tests", namespace)
        self.leadership = Leadership(client, lease, name, self._changed)

    def _changed(self, leads: bool) -> None:
        (self.is_leading if leads else self.ended).set()


@asynccontextmanager
async def taking_part(candidate: Candidate) -> AsyncIterator[Candidate]:
    task = asyncio.create_task(candidate.leadership.run())
    try:
        yield candidate
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_one_leads_and_the_next_does_as_soon_as_it_gives_the_lease_back(client: Client, namespace: str) -> None:
    first, second = Candidate(client, namespace, "first"), Candidate(client, namespace, "second")
    async with AsyncExitStack() as leading:
        await leading.enter_async_context(taking_part(first))
        await asyncio.wait_for(first.is_leading.wait(), 30)
        async with taking_part(second):
            await leading.aclose()
            assert not first.leadership.leads
            # Sooner than the Lease would have run out.
            await asyncio.wait_for(second.is_leading.wait(), DURATION_SECONDS / 2)
            spec = msgspec.json.decode(await client.read(ObjectPath(LEASES, "tests", namespace)))["spec"]
            assert (spec["holderIdentity"], spec["leaseTransitions"]) == ("second", 1)


async def test_a_holder_that_vanished_is_followed_by_another(client: Client, namespace: str) -> None:
    gone = Candidate(client, namespace, "gone")
    async with taking_part(gone):
        await asyncio.wait_for(gone.is_leading.wait(), 30)
    # As if it had ended without a word: the Lease is its own again, and nobody renews it.
    body = {"spec": {"holderIdentity": "gone", "leaseDurationSeconds": 5}}
    await client.merge_patch(ObjectPath(LEASES, "tests", namespace), body, MANAGER)
    other = Candidate(client, namespace, "other")
    async with taking_part(other):
        await asyncio.wait_for(other.is_leading.wait(), 60)
        assert other.leadership.leads
