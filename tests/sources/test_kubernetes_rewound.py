"""An API server may go back to an old copy of its data: the truth is what it holds now, whatever its version."""

from __future__ import annotations

from typing import Any

from tests.sources.cluster import KINDS, Cluster
from tests.sources.following import Following, following
from tests.sources.test_kubernetes import holding, listening, routing, value
from trilithon.resources.meta import Key

CERT = Key("Secret", "infra", "cert")
ROUTE = Key("HTTPRoute", "shop", "web")
NEW = Key("HTTPRoute", "shop", "new")


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
        assert followed.rows[ROUTE].spec.hostnames == ("a.test",)
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
