"""A Secret that an update makes unusable is told, and what it held before is served on."""

from __future__ import annotations

from typing import Any

import pytest
import trustme
from msgspec.structs import replace

from tests.system.manifests import backend, gateway, grant, listener, route, rule, secret, thing, tls_listener, to
from trilithon.incremental import Engine
from trilithon.model.settings import Settings
from trilithon.pipeline import PUBLISHED, acknowledged, build, edits
from trilithon.resources.core import Secret
from trilithon.resources.decode import decode
from trilithon.resources.meta import Key
from trilithon.status.gateway import GATEWAY_STATUS, ListenerStatus
from trilithon.status.problems import GATEWAY_PROBLEMS
from trilithon.xds.resource import XdsResource
from trilithon.xds.tables import ENVOY_LISTENERS, TLS_SECRETS

CA = trustme.CA()
GATEWAY = Key("Gateway", "demo", "gw")
CLASS = thing("gateway.networking.k8s.io/v1", "GatewayClass", "trilithon", namespace="")
MANIFESTS: tuple[dict[str, Any], ...] = (
    {**CLASS, "metadata": {"name": "trilithon"}, "spec": {"controllerName": "trilithon.dev/gateway-controller"}},
    gateway(
        tls_listener(8443, "one", "one", hostname="one.test"),
        tls_listener(8443, "both", "one", "two", hostname="two.test"),
        tls_listener(9443, "far", "far", hostname="far.test", namespace="vault"),
        listener(8080, "plain"),
    ),
    *(secret(name, CA.issue_cert(f"{name}.test")) for name in ("one", "two")),
    secret("far", CA.issue_cert("far.test"), namespace="vault"),
    backend("a", 9000),
    route("web", rule(to("a"))),
)
GRANT = grant(
    "gw",
    namespace="vault",
    sources=[{"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": "demo"}],
    target={"group": "", "kind": "Secret"},
)


@pytest.fixture
def engine() -> Engine:
    engine = build(Settings())
    engine.apply(edits([decode(each).resource for each in (*MANIFESTS, GRANT)]))
    engine.apply(acknowledged(engine))
    return engine


def published(engine: Engine) -> dict[Any, XdsResource]:
    return {(table.name, key): row for table in PUBLISHED for key, row in engine.rows(table).items()}


def spoiled(name: str, namespace: str = "demo", *, is_renewal: bool = True) -> Secret:
    """A Secret whose certificate is new and whose key is the old one."""
    path = (namespace, name)
    before = next(each for each in MANIFESTS if (each["metadata"].get("namespace"), each["metadata"]["name"]) == path)
    after = secret(name, CA.issue_cert(f"{name}.test"), namespace=namespace)
    after["data"]["tls.key"] = before["data"]["tls.key"]
    row, old = decode(after).resource, decode(before).resource
    assert isinstance(row, Secret)
    assert isinstance(old, Secret)
    return replace(row, former=old.data) if is_renewal else row


def statuses(engine: Engine) -> dict[str, ListenerStatus]:
    return {each.name: each for each in engine.rows(GATEWAY_STATUS)[GATEWAY].listeners}


def said(engine: Engine, type_: str) -> dict[str, tuple[str, str]]:
    return {
        name: next((each.status, each.reason) for each in status.conditions if each.type == type_)
        for name, status in statuses(engine).items()
    }


@pytest.mark.parametrize("names", [("one",), ("two",), ("one", "two")])
def test_what_an_update_spoils_changes_nothing_but_what_is_said(engine: Engine, names: tuple[str, ...]) -> None:
    before, programmed, refs = published(engine), said(engine, "Programmed"), said(engine, "ResolvedRefs")
    engine.apply(edits([spoiled(name) for name in names]))
    assert published(engine) == before
    assert said(engine, "Programmed") == programmed
    concerned = {"both"} | ({"one"} if "one" in names else set())
    assert said(engine, "ResolvedRefs") == refs | dict.fromkeys(concerned, ("False", "InvalidCertificateRef"))
    messages = [each.message for each in engine.rows(GATEWAY_PROBLEMS)[GATEWAY].items if "Ref" in each.path]
    assert messages
    assert all("does not belong" in each and "before is served on" in each for each in messages)


def test_a_mended_secret_is_served_as_it_is(engine: Engine) -> None:
    engine.apply(edits([spoiled("one")]))
    new = CA.issue_cert("one.test")
    changes = engine.apply(edits([decode(secret("one", new)).resource]))
    assert [key.secret.name for key in changes.of(TLS_SECRETS)] == ["one"]
    assert not changes.of(ENVOY_LISTENERS)
    assert said(engine, "ResolvedRefs") == dict.fromkeys(statuses(engine), ("True", "ResolvedRefs"))
    (resource,) = changes.of(TLS_SECRETS).values()
    assert resource is not None
    assert new.private_key_pem.bytes() in b"".join(resource.chunks)


def test_deletion_revocation_and_another_reference_withdraw_what_was_before(engine: Engine) -> None:
    """Only a Secret that is there, named and permitted is served on."""

    def served() -> set[str]:
        return {key.secret.name for key in engine.rows(TLS_SECRETS)}

    engine.apply(edits([spoiled("one"), spoiled("two"), spoiled("far", "vault")]))
    assert served() == {"one", "two", "far"}
    engine.apply(edits((), [Key("ReferenceGrant", "vault", "gw")]))
    assert served() == {"one", "two"}
    engine.apply(edits((), [Key("Secret", "demo", "two")]))
    assert served() == {"one"}
    engine.apply(edits([decode(gateway(tls_listener(8443, "one", "other", hostname="one.test"))).resource]))
    assert served() == set()
    assert said(engine, "Programmed") == {"one": ("False", "Invalid")}


def test_a_secret_that_was_never_good_serves_nothing(engine: Engine) -> None:
    engine.apply(edits([spoiled("one", is_renewal=False)]))
    engine.apply(acknowledged(engine))
    assert {key.secret.name for key in engine.rows(TLS_SECRETS)} == {"two", "far"}
    assert said(engine, "Programmed")["one"] == ("False", "Invalid")
    assert said(engine, "Programmed")["both"][0] == "True"
