"""A small graph for the laws: both shapes, all four reads, rows that are None and functions that raise."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
from hypothesis import strategies as st

from trilithon.incremental import Edit, Engine, Index, Read, Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Item(msgspec.Struct, frozen=True):
    """An item names the towns it is in, and a friend that may not exist."""

    key: int
    value: int
    towns: tuple[int, ...]
    friend: int


class Friend(msgspec.Struct, frozen=True):
    key: int
    value: int


class Sum(msgspec.Struct, frozen=True):
    value: int
    towns: tuple[int, ...] = ()


ITEMS: Table[int, Item] = Table("items")
FRIENDS: Table[int, Friend] = Table("friends")
PAIRS: Table[int, Sum] = Table("pairs")
TOTALS: Table[int, Sum] = Table("totals")
NAMES: Table[int, tuple[int, ...]] = Table("names")
COUNTS: Table[int, int] = Table("counts")
VIEWS: Table[int, tuple[object, ...]] = Table("views")
SIZES: Table[int, tuple[Sum, ...]] = Table("sizes")
DERIVED: tuple[Table[int, Any], ...] = (PAIRS, TOTALS, NAMES, COUNTS, VIEWS, SIZES)


def towns_of(pair: Sum) -> Iterable[int]:
    if pair.value % 10 == 3:
        raise ValueError("three")
    return pair.towns


BY_TOWN: Index[int, int, Sum] = Index("pairs by town", PAIRS, towns_of)
BY_SIZE: Index[int, int, Sum] = Index("totals by size", TOTALS, lambda total: (total.value % 3,))


def pair_of(read: Read, item: Item) -> Sum | None:
    if item.value == 0:
        return None
    friend = read.one(FRIENDS, item.friend)
    if item.value == 7:
        raise LookupError("seven")
    return Sum(item.value + (friend.value if friend else 0), item.towns)


def total_of(read: Read, town: int) -> Sum | None:
    values = [pair.value for pair in read.group(BY_TOWN, town)]
    if any(value % 10 == 9 for value in values):
        raise ArithmeticError("nine")
    total = sum(values)
    return Sum(total) if total % 5 else None


def names_of(read: Read, town: int) -> tuple[int, ...]:
    return read.names(BY_TOWN, town)


def count_of(read: Read, town: int) -> int | None:
    count = read.count(BY_TOWN, town)
    return count if count != 2 else None


def view_of(read: Read, friend: Friend) -> tuple[object, ...]:
    if friend.value == 30:
        return read.names(BY_TOWN, 0), read.group(BY_SIZE, 0)
    return read.one(TOTALS, friend.key), read.count(BY_TOWN, friend.key + 1), read.group(BY_TOWN, 0)


def size_of(read: Read, size: int) -> tuple[Sum, ...]:
    return read.group(BY_SIZE, size) if read.one(COUNTS, size) is not None else ()


Function = Callable[[Read, Any], Any]


def unchanged(_: Table[int, Any], function: Function) -> Function:
    return function


def world(through: Callable[[Table[int, Any], Function], Function] = unchanged) -> Engine:
    """The graph, each of its row functions passed through `through`."""
    engine = Engine()
    engine.source(ITEMS)
    engine.source(FRIENDS)
    engine.each(PAIRS, ITEMS, through(PAIRS, pair_of))
    engine.group(TOTALS, BY_TOWN, through(TOTALS, total_of))
    engine.group(NAMES, BY_TOWN, through(NAMES, names_of))
    engine.group(COUNTS, BY_TOWN, through(COUNTS, count_of))
    engine.each(VIEWS, FRIENDS, through(VIEWS, view_of))
    engine.group(SIZES, BY_SIZE, through(SIZES, size_of))
    return engine


def contents(engine: Engine) -> dict[str, dict[int, Any]]:
    """All derived rows, by table name."""
    return {table.name: dict(engine.rows(table)) for table in DERIVED}


def rebuilt(engine: Engine) -> dict[str, dict[int, Any]]:
    """What a new engine makes of the same sources."""
    twin = world()
    sources: tuple[Table[int, Any], ...] = (ITEMS, FRIENDS)
    twin.apply(Edit(table, key, row) for table in sources for key, row in engine.rows(table).items())
    return contents(twin)


def differing(old: Mapping[str, Mapping[int, Any]], new: Mapping[str, Mapping[int, Any]]) -> dict[str, dict[int, Any]]:
    """The changed rows between two contents, as `Changes` would give them."""
    return {
        name: {
            key: new[name].get(key)
            for key in old[name].keys() | new[name].keys()
            if old[name].get(key) != new[name].get(key)
        }
        for name in new
    }


# 7 makes the function of a row raise, 9 that of a group, 3 that of an index.
GOOD = st.sampled_from([0, 1, 2, 5])
ANY = st.sampled_from([0, 1, 2, 3, 5, 7, 9])
TOWNS = st.lists(st.integers(0, 4), max_size=3).map(tuple)


@st.composite
def edit(draw: st.DrawFn, values: st.SearchStrategy[int]) -> Edit[int, Any]:
    key = draw(st.integers(0, 5))
    items = st.builds(Item, st.just(key), values, TOWNS, st.integers(0, 5))
    friends = st.builds(Friend, st.just(key), st.sampled_from([0, 10, 20, 30]))
    if draw(st.booleans()):
        return Edit(FRIENDS, key, draw(st.none() | friends))
    return Edit(ITEMS, key, draw(st.none() | items))


def edits(values: st.SearchStrategy[int]) -> st.SearchStrategy[list[Edit[int, Any]]]:
    """One batch, with several edits of one key now and then."""
    return st.lists(edit(values), max_size=6)
