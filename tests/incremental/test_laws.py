"""The laws of the engine, for any sequence of edits: as if rebuilt, exactly what changed, no work without a reason."""

from __future__ import annotations

from itertools import chain
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.incremental.world import (
    ANY,
    BY_SIZE,
    BY_TOWN,
    COUNTS,
    DERIVED,
    FRIENDS,
    GOOD,
    ITEMS,
    NAMES,
    PAIRS,
    SIZES,
    TOTALS,
    VIEWS,
    Function,
    contents,
    differing,
    edits,
    rebuilt,
    world,
)
from trilithon.incremental import Changes, Edit, Engine, Index, Read, Table

Batch = list[Edit[int, Any]]
good_batches = st.lists(edits(GOOD), max_size=8)
any_batches = st.lists(edits(ANY), max_size=8)
many = settings(max_examples=60)


def changed(changes: Changes) -> dict[str, dict[int, Any]]:
    return {table.name: dict(changes.of(table)) for table in DERIVED}


@many
@given(good_batches)
def test_incremental_equals_rebuild_and_changes_are_exactly_what_differs(batches: list[Batch]) -> None:
    engine = world()
    for batch in batches:
        before = contents(engine)
        changes = engine.apply(batch)
        assert contents(engine) == rebuilt(engine)
        assert changed(changes) == differing(before, contents(engine))
        assert not engine.faults


@many
@given(any_batches, edits(GOOD))
def test_faults_change_nothing_else_and_leave_no_trace(batches: list[Batch], last: Batch) -> None:
    engine = world()
    for batch in batches:
        before = contents(engine)
        changes = engine.apply(batch)
        assert engine.audit() == ()
        assert changed(changes) == differing(before, contents(engine))
    bad = [key for key, item in engine.rows(ITEMS).items() if item.value in {3, 7, 9}]
    engine.apply([Edit(ITEMS, key, None) for key in bad])
    engine.apply(last)
    assert not engine.faults
    assert contents(engine) == rebuilt(engine)


@many
@given(good_batches, st.randoms(use_true_random=False))
def test_the_order_of_edits_and_their_batches_are_irrelevant(batches: list[Batch], random: Any) -> None:
    # The last edit of a key wins, so only one of each may be shuffled.
    final = list({(edit.table, edit.key): edit for edit in chain.from_iterable(batches)}.values())
    in_batches, at_once, shuffled, one_by_one = world(), world(), world(), world()
    for batch in batches:
        in_batches.apply(batch)
    at_once.apply(chain.from_iterable(batches))
    random.shuffle(final)
    shuffled.apply(final)
    for edit in reversed(final):
        one_by_one.apply([edit])
    assert contents(in_batches) == contents(at_once) == contents(shuffled) == contents(one_by_one)


class Recorder:
    """A `Read` that keeps each answer; of a group, who its members are belongs to the answer."""

    def __init__(self, engine: Engine, read: Read, answers: list[object]) -> None:
        self.engine = engine
        self.read = read
        self.answers = answers

    def _kept(self, answer: Any) -> Any:
        self.answers.append(answer)
        return answer

    def one(self, table: Table[Any, Any], key: Any) -> Any:
        return self._kept(self.read.one(table, key))

    def group(self, index: Index[Any, Any, Any], group: Any) -> Any:
        self._kept(dict(self.engine._groups(index).sorted_members(group)))
        return self._kept(self.read.group(index, group))

    def names(self, index: Index[Any, Any, Any], group: Any) -> Any:
        return self._kept(self.read.names(index, group))

    def count(self, index: Index[Any, Any, Any], group: Any) -> Any:
        return self._kept(self.read.count(index, group))


@many
@given(any_batches)
def test_a_row_runs_at_most_once_and_only_when_an_answer_it_got_has_changed(
    batches: list[Batch],
) -> None:
    answers: dict[tuple[str, object], list[object]] = {}
    ran: list[tuple[str, object]] = []

    def through(table: Table[int, Any], function: Function) -> Function:
        def recorded(read: Read, argument: Any) -> Any:
            key = argument if isinstance(argument, int) else argument.key
            got: list[object] = [argument]
            recorder: Any = Recorder(engine, read, got)
            try:
                return function(recorder, argument)
            finally:
                assert (table.name, key) not in ran
                assert answers.get((table.name, key)) != got, f"{table.name}[{key}] ran without a reason"
                ran.append((table.name, key))
                answers[table.name, key] = got

        return recorded

    engine = world(through)
    for batch in batches:
        changes = engine.apply(batch)
        assert changes.recomputed == len(ran)
        assert [fault for fault in engine.faults.values() if "AssertionError" in fault.error] == []
        ran.clear()
        for name, key in [place for place in answers if not has_input(engine, *place)]:
            del answers[name, key]


def has_input(engine: Engine, name: str, key: Any) -> bool:
    if name == PAIRS.name:
        return engine.row(ITEMS, key) is not None
    if name == VIEWS.name:
        return engine.row(FRIENDS, key) is not None
    if name == SIZES.name:
        return bool(engine.members(BY_SIZE, key))
    assert name in {TOTALS.name, NAMES.name, COUNTS.name}
    return bool(engine.members(BY_TOWN, key))


@many
@given(st.lists(st.tuples(edits(GOOD), st.integers(0, 12)), max_size=10))
def test_a_settle_closed_midway_loses_nothing(batches: list[tuple[Batch, int]]) -> None:
    engine = world()
    before = contents(engine)
    for batch, slices in batches:
        settling = engine.settle(batch, lambda: True)
        for _ in range(slices):
            if next(settling, "ended") == "ended":
                before = contents(engine)
                break
        settling.close()
    # Also the Changes are those since the last settle that ended.
    changes = engine.apply([])
    assert contents(engine) == rebuilt(engine)
    assert changed(changes) == differing(before, contents(engine))


def held(engine: Engine) -> dict[str, object]:
    """Whatever is left in the engine's containers, by where it is."""
    left: dict[str, object] = {"faults": dict(engine.faults)} if engine.faults else {}
    for owner in (*engine._stages.values(), *engine._indexes.values()):
        for slot in (slot for kind in type(owner).__mro__ for slot in getattr(kind, "__slots__", ())):
            value = getattr(owner, slot)
            if hasattr(value, "__len__") and slot not in {"followers", "indexes"} and len(value):
                left[f"{type(owner).__name__}.{slot}"] = value
    return left


@many
@given(any_batches)
def test_an_emptied_engine_holds_nothing(batches: list[Batch]) -> None:
    engine = world()
    for batch in batches:
        engine.apply(batch)
    sources: tuple[Table[int, Any], ...] = (ITEMS, FRIENDS)
    engine.apply([Edit(table, key, None) for table in sources for key in engine.rows(table)])
    assert held(engine) == {}
