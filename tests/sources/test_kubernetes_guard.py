"""Whatever lists come, an object that was perhaps lost goes only by a list after its time, and any other at once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trilithon.kube.objects import ObjectName
from trilithon.sources.kubernetes.guard import CONFIRM_SECONDS, MANY, Guard, is_mass

NAMES = tuple(ObjectName("shop", str(number)) for number in range(2 * MANY + 5))
SECONDS = 300.0
# Since the last list, in seconds, what this one has, and whether there was evidence of a loss.
LISTS = st.lists(
    st.tuples(
        st.sampled_from([1.0, CONFIRM_SECONDS + 1, 60.0, 299.0, 301.0]), st.sets(st.sampled_from(NAMES)), st.booleans()
    ),
    max_size=12,
)


@given(LISTS)
def test_nothing_goes_before_its_time_and_nothing_stays_after_it(
    lists: list[tuple[float, set[ObjectName], bool]],
) -> None:
    hold = Guard(SECONDS).hold()
    there, now = set(NAMES), 0.0
    since, time = dict[ObjectName, float](), dict[ObjectName, float]()
    for seconds, listed, is_evident in lists:
        now += seconds
        for name in listed:
            hold.forget(name)
            since.pop(name, None)
        there |= listed
        missing = there - listed
        new = missing - since.keys()
        mass = is_mass(len(new), len(there) - len(since))
        gone = set(hold.judge(missing, len(there), now, is_evident=is_evident, is_mass=mass))
        since |= dict.fromkeys(new, now)
        time |= dict.fromkeys(new, CONFIRM_SECONDS if mass else 0.0)
        time |= dict.fromkeys(missing, SECONDS) if is_evident else {}
        assert gone == {name for name in missing if now - since[name] >= time[name]}
        there -= gone
        since = {name: first for name, first in since.items() if name not in gone}
        assert set(hold.names) == since.keys()
        assert not since or hold.seconds == max(time[name] for name in since)


@given(LISTS)
def test_nothing_is_held_where_nothing_is_to_be(lists: list[tuple[float, set[ObjectName], bool]]) -> None:
    hold = Guard(0.0).hold()
    for seconds, listed, is_evident in lists:
        missing = set(NAMES) - listed
        gone = hold.judge(missing, len(NAMES), seconds, is_evident=is_evident, is_mass=True)
        assert set(gone) == missing
        assert not hold.names


def test_evidence_counts_for_every_kind_until_its_next_list_and_not_for_ever() -> None:
    guard = Guard(SECONDS)
    listed = guard.losses
    assert not guard.is_evident(listed, 0.0)
    guard.lost(1.0)
    assert guard.is_evident(listed, 1.0)
    assert not guard.is_evident(guard.losses, 1.0), "listed since"
    assert guard.is_evident(listed, SECONDS)
    assert not guard.is_evident(listed, 1.0 + SECONDS)


def test_what_one_kind_holds_holds_nothing_of_another() -> None:
    guard = Guard(SECONDS)
    many, few = guard.hold(), guard.hold()
    assert many.judge(NAMES, len(NAMES), 1.0, is_evident=False, is_mass=True) == []
    assert guard.is_holding
    assert few.judge(NAMES[:1], 4, 2.0, is_evident=False, is_mass=False) == [NAMES[0]]
