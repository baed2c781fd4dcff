"""Laws of seeing the Envoys of several replicas as one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from trilithon.controller.proxies import Proxies
from trilithon.incremental import Edit
from trilithon.model.proxy import Acked, Proxy, Rejected

A, B = Acked("L", "a", "1"), Acked("L", "b", "1")


class Sum:
    """The rows as an engine would have them."""

    def __init__(self) -> None:
        self.rows: dict[str, Proxy] = {}
        self.proxies = Proxies(self._feed)

    def _feed(self, edits: Iterable[Edit[Any, Any]]) -> None:
        for edit in edits:
            if edit.row is None:
                self.rows.pop(edit.key, None)
            else:
                self.rows[edit.key] = edit.row


def test_what_one_replica_lacks_not_every_envoy_has() -> None:
    world = Sum()
    world.proxies.say(Proxy("shop/gw", 1, (A, B)))
    world.proxies.say_of("peer", [Proxy("shop/gw", 2, (A,))])
    assert world.rows == {"shop/gw": Proxy("shop/gw", 3, (A,))}


def test_what_any_envoy_refuses_is_refused() -> None:
    world = Sum()
    refused = Rejected("L", "b", "2", "no")
    world.proxies.say(Proxy("shop/gw", 1, (A,)))
    world.proxies.say_of("peer", [Proxy("shop/gw", 1, (A,), (refused,))])
    assert world.rows["shop/gw"].rejected == (refused,)


def test_a_gateway_is_served_wherever_its_envoys_are_connected() -> None:
    world = Sum()
    world.proxies.say_of("peer", [Proxy("shop/gw", 1, (A,))])
    assert world.rows["shop/gw"].connected == 1
    world.proxies.say(Proxy("shop/gw", 1, (A,)))
    world.proxies.forget("peer")
    assert world.rows == {"shop/gw": Proxy("shop/gw", 1, (A,))}
    world.proxies.say(Proxy("shop/gw"))
    assert world.rows == {}


def test_peers_hear_of_what_is_connected_here_and_not_of_each_other() -> None:
    world = Sum()
    heard: list[Proxy] = []
    end = world.proxies.listen(heard.append)
    world.proxies.say_of("peer", [Proxy("shop/gw", 1, (A,))])
    world.proxies.say(Proxy("shop/other", 1, (B,)))
    end()
    world.proxies.say(Proxy("shop/other"))
    assert heard == [Proxy("shop/other", 1, (B,))]
    assert world.proxies.own == {}
