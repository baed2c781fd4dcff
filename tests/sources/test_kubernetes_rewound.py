"""An API server may go back to an old copy of its data: the truth is what it holds now, whatever its version."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sources.cluster import KINDS, Cluster
from tests.sources.following import Following, following
from tests.sources.test_kubernetes import holding, listening, routing, value
from trilithon.resources.meta import Key
from trilithon.sources.kubernetes import source

CERT = Key("Secret", "infra", "cert")
ROUTE = Key("HTTPRoute", "shop", "web")
NEW = Key("HTTPRoute", "shop", "new")
GATEWAY = Key("Gateway", "infra", "gw")


def says(word: str) -> dict[str, Any]:
    return {"parents": [{"controllerName": "trilithon.dev/gateway-controller", "word": word}]}


def word(followed: Following, key: Key) -> str:
    stored = followed.stored.get(key)
    return stored.status.decode() if stored is not None else ""


async def prepared() -> Cluster:
    cluster = Cluster()
    for plural, (group, *_) in KINDS.items():
        if group.endswith("networking.k8s.io"):
            await cluster.put("customresourcedefinitions", f"{plural}.{group}", spec={})
    for namespace in ("infra", "shop"):
        await cluster.put("namespaces", namespace)
    await cluster.put("gateways", "gw", "infra", spec=listening("cert"))
    await cluster.put("secrets", "cert", "infra", **holding("one"))
    await cluster.put("httproutes", "web", "shop", spec=routing("a.test"), status=says("old"))
    return cluster


async def test_after_a_restore_everything_is_as_a_new_controller_would_see_it() -> None:
    async with (await prepared()).serving() as cluster, following(cluster.address) as followed:
        await followed.until(lambda: value(followed, CERT) == b"one" and "old" in word(followed, ROUTE))
        before = cluster.copy()
        await cluster.put("secrets", "cert", "infra", **holding("two"))
        await cluster.put("httproutes", "web", "shop", spec=routing("b.test"), status=says("new"))
        await cluster.put("httproutes", "new", "shop", spec=routing("c.test"), status=says("new"))
        await followed.until(
            lambda: value(followed, CERT) == b"two" and "new" in word(followed, ROUTE) and NEW in followed.rows
        )
        await cluster.restore(before)
        await followed.until(lambda: value(followed, CERT) == b"one" and "old" in word(followed, ROUTE))
        await followed.until(lambda: followed.rows[ROUTE].spec.hostnames == ("a.test",))
        assert followed.believed == followed.stored
        # And from there it goes on, with versions that were known in the history that is no more.
        await cluster.put("secrets", "cert", "infra", **holding("three"))
        await cluster.put("httproutes", "web", "shop", spec=routing("a.test"), status=says("other"))
        await followed.until(lambda: value(followed, CERT) == b"three" and "other" in word(followed, ROUTE))
        assert followed.believed == followed.stored
        async with following(cluster.address) as fresh:
            await fresh.until(lambda: value(fresh, CERT) == b"three")
            assert fresh.stored == followed.stored
            assert fresh.rows[ROUTE] == followed.rows[ROUTE]


async def changed(cluster: Cluster, followed: Following) -> None:
    """What is lost by a restore comes to be, and is known."""
    await cluster.put("secrets", "cert", "infra", **holding("two"))
    await cluster.put("gateways", "gw", "infra", spec=listening("cert"), status={"word": "new"})
    await cluster.put("httproutes", "web", "shop", spec=routing("b.test"), status=says("new"))
    await followed.until(lambda: value(followed, CERT) == b"two" and "new" in word(followed, ROUTE))
    await followed.until(lambda: "new" in word(followed, GATEWAY))


def is_as_before(followed: Following) -> bool:
    believed = followed.believed.get(GATEWAY)
    is_gateway_told = believed is not None and b"new" not in believed.status
    return value(followed, CERT) == b"one" and "old" in word(followed, ROUTE) and is_gateway_told


async def test_kinds_that_did_not_notice_are_listed_once_and_find_what_went_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As where etcd is restored behind an API server that stays up: streams go on, and tell nothing."""
    monkeypatch.setattr(source, "RELIST_SECONDS", 1.0)
    async with (await prepared()).serving() as cluster, following(cluster.address) as followed:
        await followed.until(lambda: value(followed, CERT) == b"one" and "old" in word(followed, ROUTE))
        before = cluster.copy()
        await changed(cluster, followed)
        lists = {plural: cluster.listed(plural) for plural in KINDS}
        await cluster.restore(before, noticed_by="httproutes")
        await followed.until(lambda: is_as_before(followed))
        assert followed.believed == followed.stored
        await followed.until(lambda: all(cluster.listed(plural) > lists[plural] for plural in KINDS))
        # The first list finds that history went back, and the next one tells.
        assert all(cluster.listed(plural) <= lists[plural] + 3 for plural in KINDS)


async def test_a_watch_that_begins_anew_takes_nothing_for_known() -> None:
    async with (await prepared()).serving() as cluster, following(cluster.address) as followed:
        await followed.until(lambda: value(followed, CERT) == b"one" and "old" in word(followed, ROUTE))
        before = cluster.copy()
        await changed(cluster, followed)
        await followed.stop()
        await cluster.restore(before)
        followed.start()
        await followed.until(lambda: is_as_before(followed))
        assert followed.believed == followed.stored
