"""What the connected Envoys of one Gateway say of what they were sent."""

from __future__ import annotations

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
