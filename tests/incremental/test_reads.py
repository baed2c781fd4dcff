"""Each read wakes on its own kind of change and no other, an absent row or an empty group included."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from trilithon.incremental import Edit, Engine, EngineError, Index, Look, Read, Table

if TYPE_CHECKING:
    from collections.abc import Callable


class Person(msgspec.Struct, frozen=True):
    age: int
    town: str


PEOPLE: Table[str, Person] = Table("people")
BY_TOWN: Index[str, str, Person] = Index("people by town", PEOPLE, lambda person: (person.town,))
ASKERS: Table[str, str] = Table("askers")
ANSWERS: Table[str, Any] = Table("answers")

ANN, BOB, CY = Person(30, "york"), Person(40, "york"), Person(50, "hull")

READS: dict[str, Callable[[Read, str], Any]] = {
    "one": lambda read, _: read.one(PEOPLE, "ann"),
    "group": lambda read, _: read.group(BY_TOWN, "york"),
    "names": lambda read, _: read.names(BY_TOWN, "york"),
    "count": lambda read, _: read.count(BY_TOWN, "york"),
}


def asking(function: Callable[[Read, str], Any]) -> Engine:
    engine = Engine()
    engine.source(PEOPLE)
    engine.source(ASKERS)
    engine.each(ANSWERS, ASKERS, function)
    engine.apply([Edit(ASKERS, "asker", "?")])
    return engine


def people(**rows: Person | None) -> list[Edit[str, Person]]:
    return [Edit(PEOPLE, name, row) for name, row in rows.items()]


@pytest.mark.parametrize(
    ("first", "then", "woken"),
    [
        pytest.param({}, {"ann": ANN}, {"one", "group", "names", "count"}, id="a row appears in an empty group"),
        pytest.param({"bob": BOB}, {"ann": ANN}, {"one", "group", "names", "count"}, id="a row appears in a group"),
        pytest.param({"ann": ANN}, {"ann": Person(31, "york")}, {"one", "group"}, id="a row changes in its group"),
        pytest.param({"ann": ANN}, {"ann": None}, {"one", "group", "names", "count"}, id="a row disappears"),
        pytest.param({"ann": ANN}, {"ann": Person(30, "hull")}, {"one", "group", "names", "count"}, id="a row leaves"),
        pytest.param(
            {"ann": ANN, "cy": CY},
            {"ann": Person(30, "hull"), "cy": Person(50, "york")},
            {"one", "group", "names"},
            id="two rows swap groups and the count stays",
        ),
        pytest.param({"bob": BOB}, {"bob": Person(41, "york")}, {"group"}, id="another row changes in the group"),
        pytest.param({"cy": CY}, {"cy": Person(51, "hull")}, set(), id="a row changes elsewhere"),
        pytest.param({}, {"cy": CY}, set(), id="a row appears elsewhere"),
        pytest.param({"ann": ANN}, {"ann": Person(30, "york")}, set(), id="an equal row is no change"),
        pytest.param({}, {"ann": None}, set(), id="removing an absent row is no change"),
    ],
)
def test_what_wakes(first: dict[str, Person], then: dict[str, Person | None], woken: set[str]) -> None:
    for how, function in READS.items():
        engine = asking(function)
        engine.apply(people(**first))
        changes = engine.apply(people(**then))
        assert changes.recomputed == (how in woken), how
        assert engine.audit() == ()


@pytest.mark.parametrize(
    ("how", "answer"),
    [("one", ANN), ("group", (ANN, BOB)), ("names", ("ann", "bob")), ("count", 2)],
)
def test_answers_are_sorted_by_key_whatever_the_order_of_arrival(how: str, answer: object) -> None:
    engine = asking(READS[how])
    engine.apply(people(cy=CY, bob=BOB))
    engine.apply(people(ann=ANN))
    assert engine.row(ANSWERS, "asker") == answer
    assert engine.members(BY_TOWN, "york") == (ANN, BOB)


def test_a_row_is_in_as_many_groups_as_its_index_says_each_once() -> None:
    by_letter: Index[str, str, Person] = Index("people by letter", PEOPLE, lambda person: person.town)
    engine = asking(lambda read, _: (read.names(by_letter, "l"), read.count(by_letter, "h")))
    engine.apply(people(cy=CY))
    assert engine.row(ANSWERS, "asker") == (("cy",), 1)
    assert engine.members(by_letter, "u") == (CY,)
    engine.apply(people(cy=Person(50, "leeds")))
    assert engine.row(ANSWERS, "asker") == (("cy",), 0)


def test_groups_of_is_asked_once_per_change_of_a_row() -> None:
    asked: list[Person] = []

    def towns_of(person: Person) -> tuple[str, ...]:
        asked.append(person)
        return (person.town,)

    index: Index[str, str, Person] = Index("counted", PEOPLE, towns_of)
    engine = asking(lambda read, _: (read.group(index, "york"), read.names(index, "york"), read.count(index, "hull")))
    engine.apply(people(ann=ANN, bob=BOB))
    engine.apply(people(ann=Person(30, "york"), bob=None))
    assert asked == [ANN, BOB]


def test_reads_are_replaced_at_each_run() -> None:
    def follow(read: Read, _: str) -> Person | None:
        bob = read.one(PEOPLE, "bob")
        return read.one(PEOPLE, "ann" if bob is None else "cy")

    engine = asking(follow)
    assert [str(look) for look in engine.why(ANSWERS, "asker")] == ["one people[bob]", "one people[ann]"]
    engine.apply(people(bob=BOB))
    assert engine.why(ANSWERS, "asker") == (Look("one", "people", "bob"), Look("one", "people", "cy"))
    assert engine.apply(people(ann=ANN)).recomputed == 0
    assert engine.apply(people(cy=CY)).recomputed == 1


def test_why_names_each_read_once_in_order_and_is_empty_where_nothing_ran() -> None:
    def curious(read: Read, _: str) -> int:
        read.names(BY_TOWN, "york")
        read.count(BY_TOWN, "hull")
        read.group(BY_TOWN, "leeds")
        read.names(BY_TOWN, "york")
        return 1

    engine = asking(curious)
    assert [str(look) for look in engine.why(ANSWERS, "asker")] == [
        "names people by town[york]",
        "count people by town[hull]",
        "group people by town[leeds]",
    ]
    assert engine.why(ANSWERS, "nobody") == ()
    assert engine.why(ASKERS, "asker") == ()


def test_a_read_kept_for_later_refuses() -> None:
    kept: list[Read] = []

    def keep(read: Read, _: str) -> None:
        kept.append(read)

    asking(keep)
    with pytest.raises(EngineError, match="'answers' reads 'people' while none of its rows is computed"):
        kept[0].one(PEOPLE, "ann")
