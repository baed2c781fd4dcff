"""The engine stops at equal rows, contains faults, settles in slices, and explains and audits itself."""

from __future__ import annotations

from typing import Any

import pytest

from trilithon.incremental import Difference, Edit, Engine, EngineError, Fault, Index, Node, Read, Table

NUMBERS: Table[str, int] = Table("numbers")
SIGNS: Table[str, tuple[int]] = Table("signs")
WORDS: Table[str, str] = Table("words")
GROUPS: Table[int, tuple[str, ...]] = Table("groups")
BY_SIGN: Index[int, str, tuple[int]] = Index("signs by sign", SIGNS, lambda sign: sign)


def sign_of(_: Read, number: int) -> tuple[int]:
    return ((number > 0) - (number < 0),)


def word_of(_: Read, sign: tuple[int]) -> str:
    return {-1: "minus", 0: "nought", 1: "plus"}[sign[0]]


def signs() -> Engine:
    engine = Engine()
    engine.source(NUMBERS)
    engine.each(SIGNS, NUMBERS, sign_of)
    engine.each(WORDS, SIGNS, word_of)
    engine.group(GROUPS, BY_SIGN, lambda read, sign: read.names(BY_SIGN, sign))
    return engine


def numbers(**rows: int | None) -> list[Edit[str, int]]:
    return [Edit(NUMBERS, key, row) for key, row in rows.items()]


class TestChanges:
    def test_an_edit_costs_the_rows_it_touches_and_they_are_what_is_returned(self) -> None:
        engine = signs()
        engine.apply(numbers(a=1, b=2, c=-3))
        changes = engine.apply(numbers(a=-1))
        assert changes.recomputed_in == {"signs": 1, "words": 1, "groups": 2}
        assert (changes.edited, changes.recomputed) == (1, 4)
        assert changes.of(SIGNS) == {"a": (-1,)}
        assert changes.of(GROUPS) == {1: ("b",), -1: ("a", "c")}

    def test_an_equal_row_stops_there_and_the_old_object_stays(self) -> None:
        engine = signs()
        engine.apply(numbers(a=1))
        kept = engine.row(SIGNS, "a")
        changes = engine.apply(numbers(a=2))
        assert changes.recomputed_in == {"signs": 1}
        assert changes.of(SIGNS) == {}
        assert engine.row(SIGNS, "a") is kept

    def test_an_edit_equal_to_the_stored_row_costs_nothing(self) -> None:
        engine = signs()
        engine.apply(numbers(a=1))
        changes = engine.apply(numbers(a=1, b=None))
        assert (changes.edited, changes.recomputed, changes.tables) == (0, 0, {})

    def test_the_last_edit_of_a_key_wins_and_only_it_is_seen(self) -> None:
        engine = signs()
        changes = engine.apply([*numbers(a=1), *numbers(a=None), *numbers(a=-1)])
        assert changes.of(NUMBERS) == {"a": -1}
        assert changes.recomputed_in == {"signs": 1, "words": 1, "groups": 1}

    def test_a_group_without_members_has_no_row(self) -> None:
        engine = signs()
        engine.apply(numbers(a=1))
        changes = engine.apply(numbers(a=None))
        assert changes.of(GROUPS) == {1: None}
        assert changes.recomputed == 0
        assert dict(engine.rows(GROUPS)) == {}

    def test_a_large_group_costs_its_readers_only(self) -> None:
        engine = signs()
        engine.apply(Edit(NUMBERS, f"n{i}", 1 + i % 2) for i in range(5000))
        assert engine.apply(numbers(n77=3)).recomputed_in == {"signs": 1}
        assert engine.apply(numbers(n77=0)).recomputed_in == {"signs": 1, "words": 1, "groups": 2}


class TestDeclarations:
    def test_a_table_is_declared_once(self) -> None:
        engine = signs()
        with pytest.raises(EngineError, match="'words' is declared twice"):
            engine.source(WORDS)

    def test_a_derived_table_follows_an_earlier_one(self) -> None:
        with pytest.raises(EngineError, match="table 'numbers' is not declared"):
            Engine().each(SIGNS, NUMBERS, sign_of)
        with pytest.raises(EngineError, match="table 'signs' is not declared"):
            Engine().group(GROUPS, BY_SIGN, lambda read, sign: read.names(BY_SIGN, sign))

    @pytest.mark.parametrize("table", [SIGNS, WORDS, Table[str, Any]("stray")], ids=["itself", "a later", "an unknown"])
    def test_a_row_function_cannot_read_a_table_that_is_not_earlier(self, table: Table[str, Any]) -> None:
        engine = Engine()
        engine.source(NUMBERS)
        engine.each(SIGNS, NUMBERS, lambda read, _: read.one(table, "a"))
        engine.each(WORDS, SIGNS, word_of)
        engine.apply(numbers(a=1))
        [fault] = engine.faults.values()
        assert f"table 'signs' reads table '{table.name}', which is not declared before it" in fault.error

    def test_a_row_function_cannot_read_an_index_of_a_later_table(self) -> None:
        engine = Engine()
        engine.source(NUMBERS)
        engine.each(WORDS, NUMBERS, lambda read, _: str(read.count(BY_SIGN, 1)))
        engine.each(SIGNS, NUMBERS, sign_of)
        engine.apply(numbers(a=1))
        assert "table 'words' reads index 'signs by sign' of table 'signs'" in engine.faults["words", "a"].error

    def test_only_source_tables_are_edited_and_a_wrong_batch_changes_nothing(self) -> None:
        engine = signs()
        with pytest.raises(EngineError, match="'signs' is derived"):
            engine.apply([*numbers(a=1), Edit(SIGNS, "a", (1,))])
        assert engine.apply([]).edited == 0

    def test_a_table_declared_late_is_filled_by_the_next_settle(self) -> None:
        engine = Engine()
        engine.source(NUMBERS)
        engine.apply(numbers(a=1, b=-1))
        engine.each(SIGNS, NUMBERS, sign_of)
        engine.group(GROUPS, BY_SIGN, lambda read, sign: read.names(BY_SIGN, sign))
        assert engine.apply([]).of(GROUPS) == {1: ("a",), -1: ("b",)}

    def test_the_graph_names_what_each_table_follows_and_reads(self) -> None:
        engine = signs()
        sums: Table[str, int] = Table("sums")

        def sum_of(read: Read, number: int) -> int:
            return number + read.count(BY_SIGN, 1) if read.one(WORDS, "a") else 0

        engine.each(sums, NUMBERS, sum_of)
        engine.apply(numbers(a=1))
        assert engine.graph() == (
            Node("numbers", "source", "", "", frozenset()),
            Node("signs", "each", "numbers", "", frozenset()),
            Node("words", "each", "signs", "", frozenset()),
            Node("groups", "group", "signs", "signs by sign", frozenset({"signs"})),
            Node("sums", "each", "numbers", "", frozenset({"signs", "words"})),
        )


class TestFaults:
    def test_the_last_good_row_is_kept_and_nothing_else_stops(self) -> None:
        def inverse(_: Read, number: int) -> tuple[int]:
            return (60 // number,)

        engine = Engine()
        engine.source(NUMBERS)
        engine.each(SIGNS, NUMBERS, inverse)
        engine.apply(numbers(a=3, b=4))
        changes = engine.apply(numbers(a=0, b=5, c=0))
        assert dict(engine.rows(SIGNS)) == {"a": (20,), "b": (12,)}
        assert changes.of(SIGNS) == {"b": (12,)}
        line = inverse.__code__.co_firstlineno + 1
        assert engine.faults["signs", "a"] == Fault(
            "signs",
            "a",
            f"ZeroDivisionError: integer division or modulo by zero (test_engine.py:{line} in {inverse.__qualname__})",
        )
        assert engine.audit() == ()
        engine.apply(numbers(a=1, c=None))
        assert engine.faults == {}
        assert engine.row(SIGNS, "a") == (60,)

    def test_a_row_that_raised_runs_again_when_what_it_read_changes(self) -> None:
        limits: Table[str, int] = Table("limits")

        def within(read: Read, number: int) -> tuple[int]:
            if (limit := read.one(limits, "limit")) is None:
                raise LookupError("no limit")
            return (min(number, limit),)

        engine = Engine()
        engine.source(NUMBERS)
        engine.source(limits)
        engine.each(SIGNS, NUMBERS, within)
        assert engine.apply(numbers(a=7)).of(SIGNS) == {}
        assert [str(look) for look in engine.why(SIGNS, "a")] == ["one limits[limit]"]
        assert engine.apply([Edit(limits, "limit", 5)]).of(SIGNS) == {"a": (5,)}
        assert not engine.faults

    def test_an_index_that_raises_keeps_its_last_good_view_of_that_row(self) -> None:
        def tens_of(number: int) -> tuple[int]:
            if number < 0:
                raise ValueError(number)
            return (number // 10,)

        by_ten: Index[int, str, int] = Index("numbers by ten", NUMBERS, tens_of)
        tens: Table[int, tuple[int, ...]] = Table("tens")
        engine = Engine()
        engine.source(NUMBERS)
        engine.group(tens, by_ten, lambda read, ten: read.group(by_ten, ten))
        engine.apply(numbers(a=11, b=12))
        engine.apply(numbers(a=-1, b=13, c=-2))
        assert dict(engine.rows(tens)) == {1: (11, 13)}
        assert engine.row(NUMBERS, "a") == -1
        assert set(engine.faults) == {("numbers by ten", "a"), ("numbers by ten", "c")}
        assert engine.faults["numbers by ten", "a"].error.startswith("ValueError: -1 (test_engine.py:")
        assert engine.audit() == ()
        engine.apply(numbers(a=21, c=None))
        assert dict(engine.rows(tens)) == {1: (13,), 2: (21,)}
        assert not engine.faults

    def test_what_raised_while_looking_at_private_rows_is_told_without_its_message(self) -> None:
        keys: Table[str, str] = Table("keys", is_private=True)

        def letters_of(row: str) -> str:
            raise LookupError(row)

        def quoting(read: Read, number: int) -> tuple[int]:
            row = read.one(keys, "a") if number else "nothing was read"
            raise ValueError(row)

        def quoting_itself(_: Read, row: str) -> str:
            raise ValueError(row)

        by_letter: Index[str, str, str] = Index("keys by letter", keys, letters_of)
        letters: Table[str, tuple[str, ...]] = Table("letters")
        engine = Engine()
        engine.source(NUMBERS)
        engine.source(keys)
        engine.each(SIGNS, NUMBERS, quoting)
        engine.each(WORDS, keys, quoting_itself)
        engine.group(letters, by_letter, lambda read, letter: read.group(by_letter, letter))
        engine.apply([Edit(keys, "a", "s3cret"), *numbers(a=1, b=0)])
        errors = {place: fault.error.partition(" (")[0] for place, fault in engine.faults.items()}
        assert errors == {
            ("signs", "a"): "ValueError",
            ("signs", "b"): "ValueError: nothing was read",
            ("words", "a"): "ValueError",
            ("keys by letter", "a"): "LookupError",
        }

    def test_an_interrupt_is_no_fault_and_loses_nothing(self) -> None:
        interrupts = [KeyboardInterrupt()]

        def interrupted(_: Read, number: int) -> tuple[int]:
            if number == 2 and interrupts:
                raise interrupts.pop()
            return (number,)

        engine = Engine()
        engine.source(NUMBERS)
        engine.each(SIGNS, NUMBERS, interrupted)
        with pytest.raises(KeyboardInterrupt):
            engine.apply(numbers(a=1, b=2, c=3))
        assert not engine.faults
        assert engine.apply([]).of(SIGNS) == {"a": (1,), "b": (2,), "c": (3,)}


class TestSlices:
    def test_a_settle_yields_each_200_rows_unless_told_otherwise(self) -> None:
        edits = [Edit(NUMBERS, str(i), i) for i in range(500)]
        # 500 edits, 500 signs, 500 words and 2 groups
        assert sum(1 for _ in signs().settle(edits)) == 1502 // 200
        assert sum(1 for _ in signs().settle(edits, lambda: True)) == 1502
        assert sum(1 for _ in signs().settle(edits, lambda: False)) == 0

    def test_the_changes_come_at_the_end(self) -> None:
        engine = signs()
        settling = engine.settle(numbers(a=1), lambda: True)
        assert [next(settling) for _ in range(4)] == [None] * 4
        with pytest.raises(StopIteration) as end:
            next(settling)
        assert end.value.value.of(WORDS) == {"a": "plus"}

    def test_only_one_settle_is_under_way(self) -> None:
        engine = signs()
        settling = engine.settle(numbers(a=1), lambda: True)
        next(settling)
        for second in (lambda: engine.apply([]), engine.audit, lambda: next(engine.settle([]))):
            with pytest.raises(EngineError, match="a settle is under way"):
                second()
        settling.close()
        assert engine.apply(numbers(b=1)).of(GROUPS) == {1: ("a", "b")}

    def test_a_row_back_at_its_start_after_a_closed_settle_is_no_change(self) -> None:
        engine = signs()
        engine.apply(numbers(a=1))
        settling = engine.settle(numbers(a=-1), lambda: True)
        for _ in range(3):
            next(settling)
        settling.close()
        assert engine.row(SIGNS, "a") == (-1,)
        assert engine.apply(numbers(a=1)).tables == {}


class TestAudit:
    def test_a_function_that_looks_around_its_read_is_found(self) -> None:
        mode = {"sign": 1}
        engine = Engine()
        engine.source(NUMBERS)
        engine.each(SIGNS, NUMBERS, lambda _, number: (number * mode["sign"],))
        engine.each(WORDS, SIGNS, lambda _, sign: str(sign[0]))
        engine.apply(numbers(a=1, b=0))
        assert engine.audit() == ()
        mode["sign"] = -1
        assert engine.audit() == (Difference("signs", "a", (1,), (-1,)), Difference("words", "a", "1", "-1"))

    def test_a_table_seen_past_its_read_is_found(self) -> None:
        names: Table[str, str] = Table("names")
        engine = Engine()
        engine.source(names)
        engine.source(NUMBERS)
        engine.each(WORDS, NUMBERS, lambda _, number: f"{number} {engine.rows(names).get('a')}")
        engine.apply(numbers(a=1))
        engine.apply([Edit(names, "a", "Ann")])
        assert engine.audit() == (Difference("words", "a", "1 None", "1 Ann"),)
