"""A real Envoy keeps its certificates through a controller that restarts and cannot read their Secrets."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.sinks.test_grpc_envoy import Plane, plane
from tests.system.client import fetch, trusting
from tests.system.harness import SteadyLoad, backends, free_port, serves
from tests.system.manifests import Json, backend, gateway, listener, route, rule, secret, thing, tls_listener, to
from trilithon.pipeline import PUBLISHED, translate
from trilithon.resources.decode import decode
from trilithon.resources.references import unknown
from trilithon.xds.resource import XdsResource

pytestmark = pytest.mark.system
CA = trustme.CA()
TRUSTED = trusting(CA.cert_pem.bytes())
CLASS = thing("gateway.networking.k8s.io/v1", "GatewayClass", "trilithon", namespace="")
OURS = {**CLASS, "metadata": {"name": "trilithon"}, "spec": {"controllerName": "trilithon.dev/gateway-controller"}}


def resources(manifests: Iterable[Json], *unread: str) -> tuple[XdsResource, ...]:
    rows: list[Any] = [decode(each).resource for each in (OURS, *manifests)]
    engine = translate(
        unknown(row.key) if row.key.kind == "Secret" and row.key.name in unread else row for row in rows
    ).engine
    return tuple(resource for table in PUBLISHED for resource in engine.rows(table).values())


async def restarted(edge: Plane, now: Iterable[XdsResource]) -> None:
    edge.wanted = {(each.type_url, each.name): each for each in now}
    await edge.restart()


async def test_a_restart_beside_unreadable_secrets_fails_no_request(tmp_path: Path) -> None:
    tls, plain = free_port(), free_port()
    names = ("one", "two")
    async with backends("a") as servers:
        manifests = [
            gateway(
                tls_listener(tls, "one", "one", hostname="one.test"),
                tls_listener(tls, "both", "one", "two", hostname="two.test"),
                listener(plain, "plain"),
            ),
            *(secret(name, CA.issue_cert(f"{name}.test")) for name in names),
            backend("a", servers["a"].port),
            route("web", rule(to("a"))),
        ]

        async def is_served() -> None:
            for name in names:
                # The client checks the certificate against the name.
                assert (await fetch(tls, host=f"{name}.test", tls=TRUSTED, sni=f"{name}.test")).backend == "a"

        async with plane(tmp_path, *resources(manifests)) as edge:
            await serves(plain)
            await is_served()
            async with SteadyLoad(plain, rate=100) as load:
                await restarted(edge, resources(manifests, *names))
                await is_served()
                # Another listener of that port changes meanwhile.
                refs = tls_listener(tls, "third", "one", hostname="third.test")
                manifests[0]["spec"]["listeners"].append(refs)
                await edge.publish_and_wait(*resources(manifests, *names))
                await is_served()
                await edge.publish_and_wait(*resources(manifests))
                await is_served()
                await load.answered(20)
            assert not load.bad


async def test_a_new_envoy_serves_what_is_known(tmp_path: Path) -> None:
    tls, plain = free_port(), free_port()
    async with backends("a") as servers:
        manifests = [
            gateway(
                tls_listener(tls, "one", "one", hostname="one.test"),
                tls_listener(tls, "both", "two", "one", hostname="two.test"),
                listener(plain, "plain"),
            ),
            secret("one", CA.issue_cert("one.test")),
            secret("two", CA.issue_cert("two.test")),
            backend("a", servers["a"].port),
            route("web", rule(to("a"))),
        ]
        async with plane(tmp_path, *resources(manifests, "one")) as edge:
            await serves(plain)
            assert (await fetch(tls, host="two.test", tls=TRUSTED, sni="two.test")).backend == "a"
            await edge.publish_and_wait(*resources(manifests))
            assert (await fetch(tls, host="one.test", tls=TRUSTED, sni="one.test")).backend == "a"
