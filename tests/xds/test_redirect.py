"""The port of a redirect, where port offsets move what listens.

https://gateway-api.sigs.k8s.io/reference/spec/: HTTPRequestRedirectFilter.port.
"""

from __future__ import annotations

import pytest

from tests.xds.world import World, listener, prefix, rule
from trilithon.model.rule import Redirect
from trilithon.model.settings import Settings


@pytest.mark.parametrize(
    ("offset", "redirect", "port"),
    [
        (8000, Redirect(302, scheme="https"), 8443),
        (8000, Redirect(302, scheme="http"), 8080),
        (8000, Redirect(302), 8080),
        (8000, Redirect(302, scheme="https", port=443), 0),
        (8000, Redirect(302, scheme="https", port=444), 444),
        (8000, Redirect(302, scheme="https", hostname="other.test"), 0),
        (0, Redirect(302, scheme="https"), 0),
    ],
)
def test_an_inferred_port_of_the_same_host_is_moved_with_the_listeners(
    offset: int, redirect: Redirect, port: int
) -> None:
    world = World(listener("http"), listener("more", port=443), settings=Settings(port_offset=offset))
    world.route("web", rule(redirect, prefix("/x")), at="http")
    assert world.routes()[0].redirect.port_redirect == port


def test_where_the_gateway_does_not_listen_nothing_is_moved() -> None:
    world = World(listener("http"), settings=Settings(port_offset=8000))
    world.route("web", rule(Redirect(302, scheme="https"), prefix("/x")))
    assert world.routes()[0].redirect.port_redirect == 0
