"""Let a row function see other tables, and remember everything it looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from trilithon.incremental.table import G, Index, K, R, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trilithon.incremental.store import Groups, Rows, Spot, Spots


class EngineError(Exception):
    """The engine was used wrongly: a mistake in the pipeline's code, never one in the data."""


class Look(msgspec.Struct, frozen=True):
    """One recorded read: `one` of a table by key, or `group`, `names` or `count` of an index by group."""

    how: str
    name: str
    key: Any

    def __str__(self) -> str:
        return f"{self.how} {self.name}[{self.key}]"


class Read:
    """The only door from a row function to other tables; what is read, or found absent, wakes the row when it changes.

    Only tables declared before the reader's can be read: they have settled when it runs, so no view is ever torn.
    """

    __slots__ = ("_earlier", "_groups", "_groups_of", "_reader", "_rows", "_seen")

    def __init__(
        self, reader: str, earlier: Mapping[Any, Rows], groups_of: Callable[[Index[Any, Any, Any]], Groups]
    ) -> None:
        self._reader = reader
        self._earlier = earlier
        self._groups_of = groups_of
        # What this table's rows have read so far; the first read of each passes the checks.
        self._rows: dict[Table[Any, Any], Rows] = {}
        self._groups: dict[Index[Any, Any, Any], Groups] = {}
        self._seen: dict[Spot, None] | None = None

    def one(self, table: Table[K, R], key: K) -> R | None:
        """The row under this key, or None; wakes when it changes, appears or disappears."""
        rows = self._rows.get(table) or self._open(table)
        self._note(rows.one, key)
        row: R | None = rows.rows.get(key)
        return row

    def group(self, index: Index[G, K, R], group: G) -> tuple[R, ...]:
        """The rows of a group, sorted by key; wakes when one of them changes, enters or leaves."""
        groups = self._groups.get(index) or self._open_index(index)
        self._note(groups.group, group)
        return tuple(groups.sorted_members(group).values())

    def names(self, index: Index[G, K, R], group: G) -> tuple[K, ...]:
        """The keys of a group's rows, sorted; wakes when one enters or leaves."""
        groups = self._groups.get(index) or self._open_index(index)
        self._note(groups.names, group)
        return tuple(groups.sorted_members(group))

    def count(self, index: Index[G, K, R], group: G) -> int:
        """How many rows a group has; wakes when the number changes."""
        groups = self._groups.get(index) or self._open_index(index)
        self._note(groups.count, group)
        return len(groups.members.get(group, ()))

    def begin(self) -> None:
        """Start to remember, for one row."""
        self._seen = {}

    def end(self) -> tuple[Spot, ...]:
        """Stop remembering: all that was read since `begin`, in order, each once."""
        seen = tuple(self._seen or ())
        self._seen = None
        return seen

    @property
    def is_private(self) -> bool:
        """Whether anything read since `begin` belongs to a private table."""
        return any(spot.spots.is_private for spot in self._seen or ())

    @property
    def tables(self) -> frozenset[str]:
        """The names of the tables read so far, directly or through an index."""
        return frozenset(table.name for table in (*self._rows, *(index.table for index in self._groups)))

    def _note(self, spots: Spots, key: object) -> None:
        if self._seen is None:
            raise EngineError(f"table {self._reader!r} reads {spots.name!r} while none of its rows is computed")
        self._seen[spots[key]] = None

    def _open(self, table: Table[Any, Any]) -> Rows:
        rows = self._earlier.get(table)
        if rows is None:
            raise EngineError(f"table {self._reader!r} reads table {table.name!r}, which is not declared before it")
        self._rows[table] = rows
        return rows

    def _open_index(self, index: Index[Any, Any, Any]) -> Groups:
        if index.table not in self._earlier:
            raise EngineError(
                f"table {self._reader!r} reads index {index.name!r} of table {index.table.name!r}, "
                "which is not declared before it"
            )
        groups = self._groups[index] = self._groups_of(index)
        return groups
