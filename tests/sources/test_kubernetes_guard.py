"""Whatever lists come, an object that vanished in a mass goes only by a list after its time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trilithon.kube.objects import ObjectName
from trilithon.sources.kubernetes_guard import MANY, Guard, is_mass

NAMES = tuple(ObjectName("shop", str(number)) for number in range(2 * MANY + 5))
SECONDS = 300.0
# Since the last list, in seconds, and what this one has.
LISTS = st.lists(
    st.tuples(st.sampled_from([1.0, 60.0, 299.0, 301.0]), st.sets(st.sampled_from(NAMES)), st.booleans()), max_size=12
)


@given(LISTS)
def test_nothing_goes_before_its_time_and_nothing_stays_after_it(
    lists: list[tuple[float, set[ObjectName], bool]],
) -> None:
    hold = Guard(SECONDS).hold()
    there, since, now = set(NAMES), dict[ObjectName, float](), 0.0
    for seconds, listed, is_next in lists:
        now += seconds
        for name in listed:
            hold.forget(name)
            since.pop(name, None)
        there |= listed
        missing = there - listed
        new = hold.new(missing)
        assert set(new) == missing - since.keys()
        mass, was_alarmed = is_mass(len(new), len(there) - len(since)), hold.has_mass
        gone = set(hold.judge(missing, len(there), now, is_mass=mass, is_next=is_next))
        if mass or (was_alarmed and not is_next):
            since |= dict.fromkeys(new, now)
            new = []
        assert gone == {*new, *(name for name, first in since.items() if now - first >= SECONDS)}
        there -= gone
        since = {name: first for name, first in since.items() if name not in gone}
        assert set(hold.names) == since.keys()
        assert hold.has_mass <= bool(since)


@given(LISTS)
def test_nothing_is_held_where_nothing_is_to_be(lists: list[tuple[float, set[ObjectName], bool]]) -> None:
    hold = Guard(0.0).hold()
    for seconds, listed, is_next in lists:
        missing = set(NAMES) - listed
        assert set(hold.judge(missing, len(NAMES), seconds, is_mass=True, is_next=is_next)) == missing
        assert not hold.names


def test_while_a_mass_is_held_whatever_another_kind_is_without_is_held_too() -> None:
    guard = Guard(SECONDS)
    many, few = guard.hold(), guard.hold()
    assert few.judge(NAMES[:1], 5, 0.0, is_mass=False, is_next=False) == [NAMES[0]]
    assert many.judge(NAMES, len(NAMES), 1.0, is_mass=True, is_next=False) == []
    assert few.judge(NAMES[1:2], 4, 2.0, is_mass=False, is_next=False) == []
    assert few.judge(NAMES[1:3], 4, 3.0, is_mass=False, is_next=True) == [NAMES[2]], "since the last list only this"
    for name in NAMES:
        many.forget(name)
    assert not guard.is_alarmed
    assert few.judge((NAMES[1], NAMES[3]), 4, 4.0, is_mass=False, is_next=False) == [NAMES[3]]
    assert few.judge(NAMES[1:2], 4, 2.0 + SECONDS, is_mass=False, is_next=True) == [NAMES[1]]
