"""ReferenceGrant: who may refer across namespaces."""

from __future__ import annotations

import pytest

from tests.translate.world import World, codes, grant, http_route, service
from trilithon.resources.meta import Key

ROUTES_OF_SHOP = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "shop"}
SERVICES = {"group": "", "kind": "Service"}
FAR = {"name": "cart", "namespace": "store", "port": 80}


@pytest.mark.parametrize(
    ("grants", "permitted"),
    [
        pytest.param([], False, id="without a grant nothing is permitted"),
        pytest.param([("store", [ROUTES_OF_SHOP], [SERVICES])], True, id="a grant without a name covers every object"),
        pytest.param([("store", [ROUTES_OF_SHOP], [{**SERVICES, "name": "cart"}])], True, id="a named object"),
        pytest.param([("store", [ROUTES_OF_SHOP], [{**SERVICES, "name": "web"}])], False, id="another object's name"),
        pytest.param([("shop", [ROUTES_OF_SHOP], [SERVICES])], False, id="only the target's namespace can consent"),
        pytest.param(
            [("store", [{**ROUTES_OF_SHOP, "namespace": "ops"}], [SERVICES])], False, id="for another namespace"
        ),
        pytest.param([("store", [{**ROUTES_OF_SHOP, "kind": "GRPCRoute"}], [SERVICES])], False, id="for another kind"),
        pytest.param([("store", [{**ROUTES_OF_SHOP, "group": ""}], [SERVICES])], False, id="for another group"),
        pytest.param([("store", [ROUTES_OF_SHOP], [{**SERVICES, "kind": "Secret"}])], False, id="to another kind"),
        pytest.param([("store", [ROUTES_OF_SHOP], [{**SERVICES, "group": "core"}])], False, id="to another group"),
        pytest.param(
            [
                ("store", [{**ROUTES_OF_SHOP, "namespace": "ops"}], [SERVICES]),
                ("store", [ROUTES_OF_SHOP], [{**SERVICES, "name": "cart"}]),
            ],
            True,
            id="grants add up",
        ),
        pytest.param(
            [
                ("store", [{**ROUTES_OF_SHOP, "namespace": "ops"}], [SERVICES]),
                ("store", [ROUTES_OF_SHOP], [{**SERVICES, "name": "web"}]),
            ],
            False,
            id="from and to must be of one grant",
        ),
        pytest.param(
            [
                (
                    "store",
                    [{**ROUTES_OF_SHOP, "namespace": "ops"}, ROUTES_OF_SHOP],
                    [{**SERVICES, "name": "web"}, SERVICES],
                )
            ],
            True,
            id="entries within a list add up",
        ),
    ],
)
def test_grants(grants: list[tuple[str, list[dict[str, str]], list[dict[str, str]]]], permitted: bool) -> None:
    rows = [grant(f"{where}/g{number}", came, to) for number, (where, came, to) in enumerate(grants)]
    world = World(service("store/cart", 80), *rows, http_route(rules=[{"backendRefs": [FAR]}]))
    assert codes(world.rule().problems) == ([] if permitted else ["RefNotPermitted"])


def test_a_refusal_does_not_tell_whether_the_target_exists() -> None:
    route = http_route(rules=[{"backendRefs": [FAR]}])
    assert World(route).rules() == World(route, service("store/cart", 80)).rules()


def test_a_withdrawn_grant_withdraws_consent_at_once() -> None:
    consent = grant("store/g", [ROUTES_OF_SHOP], [SERVICES])
    world = World(service("store/cart", 80), consent, http_route(rules=[{"backendRefs": [FAR]}]))
    assert codes(world.rule().problems) == []
    world.remove(Key("ReferenceGrant", "store", "g"))
    assert codes(world.rule().problems) == ["RefNotPermitted"]
    world.add(consent)
    assert codes(world.rule().problems) == []


def test_within_a_namespace_no_grant_is_needed() -> None:
    near = {"name": "cart", "namespace": "shop", "port": 80}
    world = World(service("shop/cart", 80), http_route(rules=[{"backendRefs": [near]}]))
    assert codes(world.rule().problems) == []
