"""Hold the rows of tables and the groups of indexes, and wake exactly the readers of what changes."""

from __future__ import annotations

from collections import deque
from traceback import format_exception_only
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from trilithon.incremental.table import Index, Table


class Fault(msgspec.Struct, frozen=True):
    """A row function (or an index's `groups_of`, under the index's name) raised; what was good before is kept.

    `error` is the exception's type, message and place; where private rows were looked at, no message, which could quote
    them.
    """

    table: str
    key: Any
    error: str


Faults = dict[tuple[str, Any], Fault]


def fault_of(table: str, key: object, error: Exception, *, is_private: bool) -> Fault:
    """The fault as text: a kept exception would keep its frames, and every row they hold, alive."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    text = type(error).__qualname__ if is_private else "".join(format_exception_only(error)).strip()
    if last is not None:
        code = last.tb_frame.f_code
        text = f"{text} ({code.co_filename.rpartition('/')[2]}:{last.tb_lineno} in {code.co_qualname})"
    return Fault(table, key, text)


class Cell:
    """The place of one derived row: what its function read, and whether it must run again."""

    __slots__ = ("key", "queue", "seen", "stale")

    def __init__(self, key: object, queue: deque[Cell]) -> None:
        self.key = key
        self.queue = queue
        self.seen: tuple[Spot, ...] = ()
        self.stale = False

    def mark(self) -> None:
        """Queue this row to run again, once."""
        if not self.stale:
            self.stale = True
            self.queue.append(self)

    def saw(self, seen: tuple[Spot, ...]) -> None:
        """Replace what this row has read; a spot that loses its last reader is forgotten."""
        if seen == self.seen:
            return
        for spot in seen:
            spot.readers[self] = None
        for spot in set(self.seen).difference(seen):
            del spot.readers[self]
            if not spot.readers:
                del spot.spots[spot.key]
        self.seen = seen


class Cells(dict[Any, Cell]):
    """The places of a derived table's rows, made when first asked for, and the queue of those that must run."""

    __slots__ = ("queue",)

    def __init__(self) -> None:
        super().__init__()
        self.queue: deque[Cell] = deque()

    def __missing__(self, key: object) -> Cell:
        cell = self[key] = Cell(key, self.queue)
        return cell


class Spot:
    """One thing that rows have read, present or absent, and those rows (a dict: wakes in a fixed order)."""

    __slots__ = ("key", "readers", "spots")

    def __init__(self, spots: Spots, key: object) -> None:
        self.spots = spots
        self.key = key
        self.readers: dict[Cell, None] = {}


class Spots(dict[Any, Spot]):
    """All that was read of one table or index in one way, each spot made when first read."""

    __slots__ = ("how", "is_private", "name")

    def __init__(self, how: str, name: str, *, is_private: bool) -> None:
        super().__init__()
        self.how = how
        self.name = name
        self.is_private = is_private

    def __missing__(self, key: object) -> Spot:
        spot = self[key] = Spot(self, key)
        return spot

    def wake(self, key: object) -> None:
        """Queue every row that read this key."""
        spot = self.get(key)
        if spot is not None:
            for cell in spot.readers:
                cell.mark()


class Rows:
    """The rows of one table, and everything that follows them."""

    __slots__ = ("before", "followers", "indexes", "one", "rows", "table")

    def __init__(self, table: Table[Any, Any]) -> None:
        self.table = table
        self.rows: dict[Any, Any] = {}
        # Each changed key's row as it was when the settle began, until the settle ends.
        self.before: dict[Any, Any] = {}
        self.one = Spots("one", table.name, is_private=table.is_private)
        self.followers: list[Cells] = []
        self.indexes: list[Groups] = []

    def put(self, key: object, row: object | None) -> None:
        """Store a row that differs from the stored one (None removes it) and wake who must know."""
        self.before.setdefault(key, self.rows.get(key))
        if row is None:
            del self.rows[key]
        else:
            self.rows[key] = row
        self.one.wake(key)
        for cells in self.followers:
            cells[key].mark()
        for groups in self.indexes:
            groups.put(key, row)


class Groups:
    """The groups of one index.

    Readers of groups are woken once per settle by `flush`, when the whole table has settled: a member that leaves and
    one that enters leave the count as it was, and a thousand changed members wake a reader once.
    """

    __slots__ = (
        "count", "faults", "followers", "group", "groups_by_key", "index", "is_private", "members", "names", "reshaped",
        "touched", "unsorted",
    )  # fmt: skip

    def __init__(self, index: Index[Any, Any, Any], rows: Rows, faults: Faults) -> None:
        self.index = index
        self.faults = faults
        # Rows sit beside their keys, in key order unless the group is in `unsorted`: a changed row leaves the order
        # alone, so reading a large group is one copy.
        self.members: dict[Any, dict[Any, Any]] = {}
        self.unsorted: set[Any] = set()
        self.groups_by_key: dict[Any, tuple[Any, ...]] = {}
        self.touched: dict[Any, int] = {}  # changed groups, with their size when the settle began
        self.reshaped: set[Any] = set()  # those of them whose membership changed
        self.is_private = index.table.is_private
        self.group = Spots("group", index.name, is_private=self.is_private)
        self.names = Spots("names", index.name, is_private=self.is_private)
        self.count = Spots("count", index.name, is_private=self.is_private)
        self.followers: list[Cells] = []
        rows.indexes.append(self)
        for key, row in rows.rows.items():
            self.put(key, row)
        self.flush()

    def put(self, key: object, row: object | None) -> None:
        """Move a changed row between groups.

        When `groups_of` raises, the index keeps its last good view of that row: the old row in the old groups. The new
        row in the old groups would be a pair that never was true, and no groups at all would withdraw what works.
        """
        fault_key = (self.index.name, key)
        groups: tuple[Any, ...] = ()
        if row is not None:
            try:
                groups = tuple(dict.fromkeys(self.index.groups_of(row)))
            except Exception as error:  # noqa: BLE001 - the mistake costs this row only
                self.faults[fault_key] = fault_of(*fault_key, error, is_private=self.is_private)
                return
        if self.faults:
            self.faults.pop(fault_key, None)
        self.place(key, row, groups)

    def place(self, key: object, row: object, groups: tuple[Any, ...]) -> None:
        """Make these the groups of a row."""
        old = self.groups_by_key.get(key, ())
        if groups != old:
            kept = set(groups)
            for group in old:
                if group not in kept:
                    self._leave(group, key)
            if groups:
                self.groups_by_key[key] = groups
            else:
                del self.groups_by_key[key]
        for group in groups:
            members = self.members.get(group)
            if members is None:
                members = self.members[group] = {}
            self.touched.setdefault(group, len(members))
            if key not in members:
                self.reshaped.add(group)
                if members:
                    self.unsorted.add(group)
            members[key] = row

    def _leave(self, group: object, key: object) -> None:
        members = self.members[group]
        self.touched.setdefault(group, len(members))
        self.reshaped.add(group)
        del members[key]
        if not members:
            del self.members[group]
            self.unsorted.discard(group)

    def flush(self) -> None:
        """Wake the readers of every group that changed since the last flush."""
        for group, size in self.touched.items():
            self.group.wake(group)
            if group in self.reshaped:
                self.names.wake(group)
                now = len(self.members.get(group, ()))
                if now != size:
                    self.count.wake(group)
                if not now or not size:
                    for cells in self.followers:
                        cells[group].mark()
        self.touched.clear()
        self.reshaped.clear()

    def sorted_members(self, group: object) -> dict[Any, Any]:
        """A group's rows by key, in key order."""
        members = self.members.get(group)
        if members is None:
            return {}
        if group in self.unsorted:
            members = self.members[group] = {key: members[key] for key in sorted(members)}
            self.unsorted.discard(group)
        return members
