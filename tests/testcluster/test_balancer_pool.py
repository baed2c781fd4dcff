"""The laws by which Services of type LoadBalancer get addresses."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

from hypothesis import given
from hypothesis import strategies as st

from testcluster.balancer_pool import Wish, assign, is_usable

POOL = IPv4Network("10.97.0.0/28")
ADDRESSES = st.sampled_from([str(address) for address in POOL]) | st.sampled_from(["192.0.2.1", "nonsense", "fd00::1"])
WISHES = st.lists(
    st.builds(
        Wish,
        st.integers(0, 30).map("ns/{}".format),
        st.integers(0, 3).map(str),
        st.none() | ADDRESSES,
        st.none() | ADDRESSES,
    ),
    max_size=20,
    unique_by=lambda wish: wish.key,
)
AFTER = st.none() | st.sampled_from(list(POOL))


def held(wishes: list[Wish], given_to: dict[str, IPv4Address | None]) -> list[Wish]:
    """The same wishes when what was given is in their statuses."""

    def text(key: str) -> str | None:
        address = given_to[key]
        return str(address) if address else None

    return [Wish(wish.key, wish.created, text(wish.key), wish.asked) for wish in wishes]


@given(WISHES, AFTER)
def test_addresses_are_of_the_pool_and_given_once(wishes: list[Wish], after: IPv4Address | None) -> None:
    """Everybody is told something, and no two the same address."""
    addresses = assign(wishes, POOL, after)
    assert addresses.keys() == {wish.key for wish in wishes}
    some = [address for address in addresses.values() if address]
    assert len(set(some)) == len(some)
    assert all(is_usable(address, POOL) for address in some)


@given(WISHES, AFTER)
def test_whoever_asks_gets_that_or_nothing(wishes: list[Wish], after: IPv4Address | None) -> None:
    """Another address is no use to a Service that asks for one."""
    addresses = assign(wishes, POOL, after)
    assert all(str(addresses[wish.key]) in {wish.asked, "None"} for wish in wishes if wish.asked)


@given(WISHES, AFTER)
def test_nobody_waits_while_an_address_is_free(wishes: list[Wish], after: IPv4Address | None) -> None:
    """A Service waits for the address it asks for, if another has it or nobody may, or because the pool is empty."""
    addresses = assign(wishes, POOL, after)
    taken = {str(address) for address in addresses.values()}
    free = {str(address) for address in POOL if is_usable(address, POOL)} - taken
    for wish in wishes:
        if addresses[wish.key] is None:
            assert (wish.asked not in free) if wish.asked else not free


@given(WISHES, AFTER, AFTER)
def test_a_restart_changes_nothing(wishes: list[Wish], after: IPv4Address | None, later: IPv4Address | None) -> None:
    """What is known is in the statuses."""
    addresses = assign(wishes, POOL, after)
    assert assign(held(wishes, addresses), POOL, later) == addresses


@given(WISHES, WISHES)
def test_newcomers_take_nothing_from_holders(wishes: list[Wish], newcomers: list[Wish]) -> None:
    """Who has an address keeps it, whoever comes."""
    before = assign(wishes, POOL)
    added = [Wish(f"new/{wish.key}", wish.created, None, wish.asked) for wish in newcomers]
    after = assign([*held(wishes, before), *added], POOL)
    assert all(after[key] == address for key, address in before.items() if address)


def test_an_address_that_was_given_back_is_not_given_out_at_once() -> None:
    """The next in the round is."""
    first = assign([Wish("a", "1")], POOL)["a"]
    assert first == IPv4Address("10.97.0.1")
    assert assign([Wish("b", "2")], POOL, first)["b"] == IPv4Address("10.97.0.2")
    assert assign([Wish("b", "2")], POOL, IPv4Address("10.97.0.14"))["b"] == IPv4Address("10.97.0.1")
