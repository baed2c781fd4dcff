"""Settle each changed row once, in table order, and say what changed."""

from __future__ import annotations

from collections import deque
from itertools import chain, cycle, repeat
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from trilithon.incremental.read import EngineError, Look, Read
from trilithon.incremental.store import Cell, Cells, Fault, Faults, Groups, Rows, fault_of
from trilithon.incremental.table import G, Index, K, R, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping

N = TypeVar("N")


class Edit(msgspec.Struct, Generic[K, R], frozen=True):
    """What came in from outside: the row now under this key of a source table, or None when it is gone."""

    table: Table[K, R]
    key: K
    row: R | None


class Changes(msgspec.Struct, frozen=True):
    """The rows that differ after a settle from before it, and what that cost."""

    tables: Mapping[Table[Any, Any], Mapping[Any, Any]]
    edited: int  # source rows that changed
    recomputed: int  # derived rows whose function ran
    recomputed_in: Mapping[str, int]  # the same by table name, where not 0

    def of(self, table: Table[K, R]) -> Mapping[K, R | None]:
        """A table's changed rows by key: the new row, or None where it was removed."""
        return self.tables.get(table, {})


class Difference(msgspec.Struct, frozen=True):
    """A row that is not what a rebuild makes of the same sources; None where there is no row."""

    table: str
    key: Any
    kept: Any
    rebuilt: Any


class Node(msgspec.Struct, frozen=True):
    """One table in the drawing of an engine."""

    table: str
    shape: str  # source, each or group
    source: str  # the table it has a row per row, or per group, of; "" for a source
    index: str  # the index whose groups it follows; "" unless its shape is group
    reads: frozenset[str]  # the tables its rows have read so far


class Source(Rows):
    """A table filled from outside."""

    __slots__ = ("pending", "queue")

    def __init__(self, table: Table[Any, Any]) -> None:
        super().__init__(table)
        self.pending: dict[Any, Any] = {}
        self.queue: deque[Any] = deque()

    def take(self, edit: Edit[Any, Any]) -> None:
        """Queue an edit; of several for one key the last wins."""
        if edit.key not in self.pending:
            self.queue.append(edit.key)
        self.pending[edit.key] = edit.row

    def step(self) -> None:
        """Store the oldest pending edit, unless it says nothing new."""
        key = self.queue[0]
        row = self.pending[key]
        old = self.rows.get(key)
        if row is not old and row != old:
            self.put(key, row)
        del self.pending[key]
        self.queue.popleft()

    def node(self) -> Node:
        return Node(self.table.name, "source", "", "", frozenset())


class Derived(Rows):
    """A table computed from others, one row per row of a table or per group of an index."""

    __slots__ = ("cells", "faults", "function", "inputs", "is_private", "over", "queue", "read", "recomputed")

    def __init__(
        self,
        table: Table[Any, Any],
        over: Table[Any, Any] | Index[Any, Any, Any],
        followed: Rows | Groups,
        function: Callable[[Read, Any], object | None],
        read: Read,
        faults: Faults,
    ) -> None:
        super().__init__(table)
        self.over = over
        self.is_private = (over.table if isinstance(over, Index) else over).is_private
        self.function = function
        self.read = read
        self.faults = faults
        self.recomputed = 0
        self.cells = Cells()
        self.queue = self.cells.queue
        followed.followers.append(self.cells)
        # There is a cell for each of these keys: rows of a table, or groups that have members.
        self.inputs: Mapping[Any, Any] = followed.rows if isinstance(followed, Rows) else followed.members
        for key in self.inputs:
            self.cells[key].mark()

    def step(self) -> None:
        """Bring the longest waiting row up to date. It leaves the queue last, so an interrupt loses nothing."""
        cell = self.queue[0]
        if cell.key in self.inputs:
            self._compute(cell)
        else:
            self._drop(cell)
        cell.stale = False
        self.queue.popleft()

    def _compute(self, cell: Cell) -> None:
        key = cell.key
        argument = key if isinstance(self.over, Index) else self.inputs[key]
        old = self.rows.get(key)
        self.recomputed += 1
        self.read.begin()
        try:
            row = self.function(self.read, argument)
            differs = row is not old and row != old
        except Exception as error:  # noqa: BLE001 - the mistake costs this row only, which keeps its last good value
            is_private = self.is_private or self.read.is_private
            self.faults[self.table.name, key] = fault_of(self.table.name, key, error, is_private=is_private)
            return
        finally:
            # Also after an error: a change in what was read up to there is a reason to try again.
            cell.saw(self.read.end())
        if self.faults:
            self.faults.pop((self.table.name, key), None)
        if differs:
            self.put(key, row)

    def _drop(self, cell: Cell) -> None:
        cell.saw(())
        self.faults.pop((self.table.name, cell.key), None)
        del self.cells[cell.key]
        if cell.key in self.rows:
            self.put(cell.key, None)

    def node(self) -> Node:
        over = self.over
        if isinstance(over, Index):
            return Node(self.table.name, "group", over.table.name, over.name, self.read.tables)
        return Node(self.table.name, "each", over.name, "", self.read.tables)


class Engine:
    """Tables in the order they were declared, which is the order they settle in.

    Row functions must be pure but for their `Read`. One that raises keeps its last good row, adds to `faults`, and runs
    again when something it read changes. Look at rows only between settles: during one, early tables are ahead of
    later ones.
    """

    def __init__(self) -> None:
        self._stages: dict[Table[Any, Any], Source | Derived] = {}
        self._indexes: dict[Index[Any, Any, Any], Groups] = {}
        self._names: set[str] = set()
        self._faults: Faults = {}
        self._settling = False

    # Declarations

    def source(self, table: Table[Any, Any]) -> None:
        """Declare a table filled by edits."""
        self._name(table.name)
        self._stages[table] = Source(table)

    def each(self, table: Table[K, N], source: Table[K, R], function: Callable[[Read, R], N | None]) -> None:
        """Declare a table with a row, or none, per row of an earlier table and under the same key."""
        self._derive(table, source, self._stage(source), function)

    def group(self, table: Table[G, N], index: Index[G, K, R], function: Callable[[Read, G], N | None]) -> None:
        """Declare a table with a row, or none, per group of an index that has members; the key is the group."""
        self._derive(table, index, self._groups(index), function)

    # Change

    def apply(self, edits: Iterable[Edit[Any, Any]]) -> Changes:
        """Take in the edits and recompute what they touch, and nothing else."""
        settling = self.settle(edits, lambda: False)
        while True:
            try:
                next(settling)
            except StopIteration as end:
                changes: Changes = end.value
                return changes

    def settle(
        self, edits: Iterable[Edit[Any, Any]], pause: Callable[[], bool] | None = None
    ) -> Generator[None, None, Changes]:
        """`apply` in slices: yields where `pause`, asked before every row, says so, by default each 200 rows.

        Edits are taken in at the first step. When the generator is closed before its end nothing is lost or undone:
        what is left is done, and what changed is returned, by the next settle. Only one can be under way.
        """
        self._must_rest()
        self._settling = True
        try:
            for source, edit in [(self._source(edit.table), edit) for edit in edits]:
                source.take(edit)
            pause = pause or every(200)
            for stage in self._stages.values():
                while stage.queue:
                    if pause():
                        yield
                    stage.step()
                for groups in stage.indexes:
                    groups.flush()
            return self._changes()
        finally:
            self._settling = False

    # Questions

    @property
    def faults(self) -> Mapping[tuple[str, Any], Fault]:
        """What raised and has not succeeded since, by table (or index) name and key."""
        return MappingProxyType(self._faults)

    def rows(self, table: Table[K, R]) -> Mapping[K, R]:
        """A live view of a table, for what uses the results; row functions read."""
        return MappingProxyType(self._stage(table).rows)

    def row(self, table: Table[K, R], key: K) -> R | None:
        """One row, or None."""
        row: R | None = self._stage(table).rows.get(key)
        return row

    def members(self, index: Index[G, K, R], group: G) -> tuple[R, ...]:
        """The rows of a group, sorted by key."""
        return tuple(self._groups(index).sorted_members(group).values())

    def why(self, table: Table[K, Any], key: K) -> tuple[Look, ...]:
        """What a derived row read when it last ran, in order; also where that came to no row or a fault."""
        stage = self._stage(table)
        cell = stage.cells.get(key) if isinstance(stage, Derived) else None
        return tuple(Look(spot.spots.how, spot.spots.name, spot.key) for spot in (cell.seen if cell else ()))

    def graph(self) -> tuple[Node, ...]:
        """Every table in order, with what it is computed from."""
        return tuple(stage.node() for stage in self._stages.values())

    def audit(self) -> tuple[Difference, ...]:
        """Rebuild everything in a new engine and return the rows that differ: whoever looked around `Read` is found.

        What is kept because of a fault depends on what was there before, so the rebuild starts with it.
        """
        self._must_rest()
        twin = Engine()
        edits = []
        for table, stage in self._stages.items():
            if isinstance(stage, Source):
                twin.source(table)
                edits += [Edit(table, key, row) for key, row in stage.rows.items()]
            elif isinstance(stage.over, Index):
                twin.group(table, stage.over, stage.function)
            else:
                twin.each(table, stage.over, stage.function)
        for index, groups in self._indexes.items():
            for name, key in self._faults:
                if name == index.name and key in groups.groups_by_key:
                    held = groups.groups_by_key[key]
                    twin._groups(index).place(key, groups.members[held[0]][key], held)
        for table, stage in self._stages.items():
            for key in [key for name, key in self._faults if name == table.name and key in stage.rows]:
                twin._stages[table].put(key, stage.rows[key])
        twin.apply(edits)
        return tuple(
            Difference(table.name, key, kept.get(key), rebuilt.get(key))
            for table, kept, rebuilt in ((t, stage.rows, twin._stages[t].rows) for t, stage in self._stages.items())
            for key in kept.keys() | rebuilt.keys()
            if kept.get(key) != rebuilt.get(key)
        )

    # Within

    def _name(self, name: str) -> None:
        if name in self._names:
            raise EngineError(f"{name!r} is declared twice")
        self._names.add(name)

    def _stage(self, table: Table[Any, Any]) -> Source | Derived:
        stage = self._stages.get(table)
        if stage is None:
            raise EngineError(f"table {table.name!r} is not declared")
        return stage

    def _source(self, table: Table[Any, Any]) -> Source:
        stage = self._stage(table)
        if not isinstance(stage, Source):
            raise EngineError(f"table {table.name!r} is derived: it cannot be edited")
        return stage

    def _groups(self, index: Index[Any, Any, Any]) -> Groups:
        groups = self._indexes.get(index)
        if groups is None:
            stage = self._stage(index.table)
            self._name(index.name)
            groups = self._indexes[index] = Groups(index, stage, self._faults)
        return groups

    def _derive(
        self,
        table: Table[Any, Any],
        over: Table[Any, Any] | Index[Any, Any, Any],
        followed: Rows | Groups,
        function: Callable[[Read, Any], Any],
    ) -> None:
        self._name(table.name)
        read = Read(table.name, dict(self._stages), self._groups)
        self._stages[table] = Derived(table, over, followed, function, read, self._faults)

    def _must_rest(self) -> None:
        if self._settling:
            raise EngineError("a settle is under way: let it end, or close it, first")

    def _changes(self) -> Changes:
        tables: dict[Table[Any, Any], Mapping[Any, Any]] = {}
        recomputed: dict[str, int] = {}
        edited = 0
        for table, stage in self._stages.items():
            # A row can be back at what it was when an earlier settle was closed midway.
            rows = stage.rows
            if changed := {key: rows.get(key) for key, old in stage.before.items() if rows.get(key) != old}:
                tables[table] = changed
            stage.before = {}
            if isinstance(stage, Source):
                edited += len(changed)
            elif stage.recomputed:
                recomputed[table.name], stage.recomputed = stage.recomputed, 0
        return Changes(tables, edited, sum(recomputed.values()), recomputed)


def every(rows: int) -> Callable[[], bool]:
    """A pause after each so many rows."""
    return cycle(chain(repeat(False, rows - 1), (True,))).__next__
