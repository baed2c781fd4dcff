"""What the connected Envoys of one Gateway say of what they were sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from msgspec import Struct


class Acked(NamedTuple):
    """One resource at one shape: what of its version has to be acknowledged before a Gateway is programmed."""

    type_url: str
    name: str
    shape: str


class Rejected(Struct, frozen=True, gc=False, order=True):
    """One resource that an Envoy refused: its type URL, name and version, and Envoy's own words in one line."""

    type_url: str
    name: str
    version: str
    message: str


class Proxy(Struct, frozen=True, gc=False):
    """The Envoys of one Gateway, seen as one.

    gateway: "namespace/name". connected: how many have a stream open. acked: the Envoy listeners, route tables
    and secrets that every connected Envoy has acknowledged at that same shape. rejected: what any of them refuses now.
    Both are sorted; with no Envoy connected both are empty.
    """

    gateway: str
    connected: int = 0
    acked: tuple[Acked, ...] = ()
    rejected: tuple[Rejected, ...] = ()


def together(gateway: str, proxies: Sequence[Proxy]) -> Proxy:
    """The Envoys of a Gateway as one: acknowledged is what each of them has, refused what any of them refuses."""
    if not proxies:
        return Proxy(gateway)
    acked = set(proxies[0].acked).intersection(*(each.acked for each in proxies[1:]))
    rejected = {refusal for each in proxies for refusal in each.rejected}
    connected = sum(each.connected for each in proxies)
    return Proxy(gateway, connected, tuple(sorted(acked)), tuple(sorted(rejected)))
