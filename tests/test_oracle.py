"""A sample of the oracle: explain and the real Envoy agree on random routes and requests (``make oracle`` for more)."""

from __future__ import annotations

from random import Random

import msgspec
import pytest

from tests.oracle.asking import Asked
from tests.oracle.comparing import decide, differences
from tests.oracle.objects import Backends, Draw, Ports, standing
from tests.oracle.trial import Trial, smallest
from tests.oracle.world import World, certificate, resources
from tests.system.client import Answer
from trilithon.pipeline import translate

SETS = 8

pytestmark = pytest.mark.system


async def test_explain_agrees_with_envoy_on_random_requests() -> None:
    trial = Trial(seed=7)
    async with World() as world:
        for number in range(SETS):
            found = await trial.compare(world, number)
            assert not found, str(await smallest(world, found[0]))
    # The sample must not be about one thing only.
    assert set(trial.outcomes) == {"forward", "redirect", "direct", "no-route", "no-listener"}
    assert trial.outcomes["forward"] > trial.asked / 10, trial.outcomes


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        pytest.param(Answer(200, (("x-backend", "cart"),), b""), "Envoy: 200 cart", id="another backend"),
        pytest.param(Answer(404, (), b""), "Envoy: 404", id="another status"),
        pytest.param(None, "Envoy: no answer", id="no TLS"),
        pytest.param(
            Answer(200, (("x-backend", "web"),), b'{"method":"GET","path":"/y","host":"a.test","headers":[]}'),
            "path '/x'; it got '/y'",
            id="another path",
        ),
        pytest.param(
            Answer(
                200,
                (("x-backend", "web"),),
                b'{"method":"GET","path":"/x","host":"a.test","headers":[["x-a","1"]]}',
            ),
            "x-a None; it got ['1']",
            id="another header",
        ),
    ],
)
def test_what_differs_is_noticed(answer: Answer | None, told: str) -> None:
    gateway = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "gw", "namespace": "shop"},
        "spec": {
            "gatewayClassName": "trilithon",
            "listeners": [{"name": "http", "port": 8080, "protocol": "HTTP"}],
        },
    }
    route = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"parentRefs": [{"name": "gw"}], "rules": [{"backendRefs": [{"name": "web", "port": 80}]}]},
    }
    rows = resources([*standing(Backends({"web": 1, "cart": 2, "laptop": 3}), certificate()), gateway, route])
    asked = Asked(8080, "", "GET", "/x", "a.test", ())
    decision = decide(translate(rows.values()), asked)
    assert not differences(
        asked,
        decision,
        Answer(200, (("x-backend", "web"),), b'{"method":"GET","path":"/x","host":"a.test","headers":[]}'),
    )
    assert told in "; ".join(differences(asked, decision, answer))


def test_a_seed_draws_the_same_again() -> None:
    ports = Ports(1, 2, 3)
    first, second = (Draw(Random("a seed"), ports).objects() for _ in range(2))
    assert msgspec.json.encode(first) == msgspec.json.encode(second)
