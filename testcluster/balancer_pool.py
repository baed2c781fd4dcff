"""Which Service of type LoadBalancer gets which address: a law without memory, so a restart changes nothing."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import AddressValueError, IPv4Address, IPv4Network

import msgspec


class Wish(msgspec.Struct, frozen=True):
    """A Service that wants an address."""

    key: str
    created: str
    """When it was created; the older keeps an address that two hold."""
    held: str | None = None
    """The address that its status has."""
    asked: str | None = None
    """The only address that it wants (``spec.loadBalancerIP``)."""


def assign(
    wishes: Iterable[Wish], pool: IPv4Network, after: IPv4Address | None = None
) -> dict[str, IPv4Address | None]:
    """The address of each, by key; None: it must wait.

    Who holds a usable address keeps it. Then those that ask for one get it if it is in the pool and free. The others
    get the next free ones after ``after``, round the pool: an address that was just given back is not given out at
    once, because somebody may still be talking to it.
    """
    ordered = sorted(wishes, key=lambda wish: (wish.created, wish.key))
    given: dict[str, IPv4Address | None] = {}
    taken: set[IPv4Address] = set()

    def give(wish: Wish, address: IPv4Address | None) -> None:
        free = address is not None and address not in taken and is_usable(address, pool)
        given[wish.key] = address if free else None
        if address is not None and free:
            taken.add(address)

    for wish in ordered:
        held = _parsed(wish.held)
        if held is not None and (not wish.asked or _parsed(wish.asked) == held):
            give(wish, held)
    for wish in ordered:
        if wish.asked and given.get(wish.key) is None:
            give(wish, _parsed(wish.asked))
    last = after if after is not None and after in pool else pool.network_address
    for wish in ordered:
        if not wish.asked and given.get(wish.key) is None:
            found = _next_free(pool, last, taken)
            give(wish, found)
            last = found or last
    return given


def is_usable(address: IPv4Address, pool: IPv4Network) -> bool:
    """Whether it is an address of the pool that a Service may have: neither the first nor the last."""
    return address in pool and address not in {pool.network_address, pool.broadcast_address}


def _next_free(pool: IPv4Network, after: IPv4Address, taken: set[IPv4Address]) -> IPv4Address | None:
    first, size = int(pool.network_address), pool.num_addresses
    start = int(after) - first
    for step in range(1, size + 1):
        address = IPv4Address(first + (start + step) % size)
        if is_usable(address, pool) and address not in taken:
            return address
    return None


def _parsed(text: str | None) -> IPv4Address | None:
    try:
        return IPv4Address(text) if text else None
    except AddressValueError:
        return None
