"""A Secret that could not be read changes nothing of what is served but itself: unknown is never missing."""

from __future__ import annotations

from typing import Any

import trustme

from tests.system.manifests import backend, gateway, listener, route, rule, secret, thing, tls_listener, to
from trilithon.pipeline import PUBLISHED, Translation, translate
from trilithon.resources.decode import decode
from trilithon.resources.meta import Key
from trilithon.resources.references import unknown
from trilithon.status.gateway import GATEWAY_STATUS
from trilithon.status.problems import GATEWAY_PROBLEMS
from trilithon.status.route import ROUTE_STATUS
from trilithon.xds.resource import XdsResource
from trilithon.xds.tables import TLS_SECRETS

CA = trustme.CA()
GATEWAY = Key("Gateway", "demo", "gw")
CLASS = thing("gateway.networking.k8s.io/v1", "GatewayClass", "trilithon", namespace="")
LEAVES = {name: CA.issue_cert(f"{name}.test") for name in ("one", "two")}
MANIFESTS = (
    {**CLASS, "metadata": {"name": "trilithon"}, "spec": {"controllerName": "trilithon.dev/gateway-controller"}},
    gateway(
        tls_listener(8443, "one", "one", hostname="one.test"),
        tls_listener(8443, "both", "one", "two", hostname="two.test"),
        listener(8080, "plain"),
    ),
    *(secret(name, leaf) for name, leaf in LEAVES.items()),
    backend("a", 9000),
    route("web", rule(to("a"))),
)


def translated(*unread: str) -> Translation:
    rows: list[Any] = []
    for manifest in MANIFESTS:
        row = decode(manifest).resource
        assert row is not None
        rows.append(unknown(row.key) if row.key.kind == "Secret" and row.key.name in unread else row)
    return translate(rows)


def published(translation: Translation) -> dict[Any, XdsResource]:
    return {
        (resource.type_url, key): resource
        for table in PUBLISHED
        for key, resource in translation.engine.rows(table).items()
    }


def test_what_cannot_be_read_is_left_out_alone() -> None:
    known, unread = translated(), translated("one", "two")
    assert len(known.engine.rows(TLS_SECRETS)) == 2
    assert not unread.engine.rows(TLS_SECRETS)
    assert published(unread) == {
        place: resource
        for place, resource in published(known).items()
        if resource not in known.engine.rows(TLS_SECRETS).values()
    }


def test_routes_say_the_same() -> None:
    assert dict(translated("one", "two").engine.rows(ROUTE_STATUS)) == dict(translated().engine.rows(ROUTE_STATUS))


def test_the_gateway_says_which_it_is_and_nothing_of_others() -> None:
    engine = translated("two").engine
    problems = engine.rows(GATEWAY_PROBLEMS)[GATEWAY].items
    assert [(each.code, each.path) for each in problems if "certificateRefs" in each.path] == [
        ("CertificateUnknown", "spec.listeners[1].tls.certificateRefs[1]")
    ]
    listeners = {each.name: each for each in engine.rows(GATEWAY_STATUS)[GATEWAY].listeners}
    said = {
        name: next((each.status, each.reason) for each in found.conditions if each.type == "ResolvedRefs")
        for name, found in listeners.items()
    }
    assert said == {
        "one": ("True", "ResolvedRefs"),
        "both": ("False", "InvalidCertificateRef"),
        "plain": ("True", "ResolvedRefs"),
    }
    assert {each.attached_routes for each in listeners.values()} == {1}
