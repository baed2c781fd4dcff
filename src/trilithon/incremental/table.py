"""Name tables and indexes, with the types of their keys and rows; a handle holds no rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

K = TypeVar("K")
R = TypeVar("R")
G = TypeVar("G")


class Table(Generic[K, R]):
    """The name of a table that maps keys of type K to frozen rows of type R.

    Keys must be hashable and orderable among themselves, rows must compare by value. Because a handle gives no rows, a
    row function can only see another table through the `Read` it is given. The rows of a private table hold what must
    not be told: an error met while looking at them is told without its message.
    """

    __slots__ = ("is_private", "name")

    def __init__(self, name: str, *, is_private: bool = False) -> None:
        self.name = name
        self.is_private = is_private

    def __repr__(self) -> str:
        return f"Table({self.name!r})"


class Index(Generic[G, K, R]):
    """The name of a grouping of a table's rows: `groups_of(row)` says which groups a row belongs to, in any order.

    `groups_of` is asked once per change of a row, and must depend on nothing but that row.
    """

    __slots__ = ("groups_of", "name", "table")

    def __init__(self, name: str, table: Table[K, R], groups_of: Callable[[R], Iterable[G]]) -> None:
        self.name = name
        self.table = table
        self.groups_of = groups_of

    def __repr__(self) -> str:
        return f"Index({self.name!r}, {self.table!r})"
