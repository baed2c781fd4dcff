"""A lone change is announced at once, a burst together, and nothing waits for ever."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trilithon.sources.holdoff import LONGEST_SECONDS, QUIET_SECONDS, Holdoff

ALMOST = 0.0001


def test_the_first_change_after_a_quiet_time_is_due_at_once() -> None:
    holdoff: Holdoff[str] = Holdoff()
    holdoff.changed("a", 10.0)
    assert holdoff.take(10.0) == {"a"}
    assert holdoff.due() is None
    holdoff.changed("a", 11.0)
    assert holdoff.take(11.0) == {"a"}


def test_what_follows_is_due_together_when_it_is_quiet() -> None:
    holdoff: Holdoff[str] = Holdoff()
    holdoff.changed("a", 10.0)
    holdoff.take(10.0)
    holdoff.changed("b", 10.005)
    holdoff.changed("c", 10.015)
    assert not holdoff.take(10.015 + QUIET_SECONDS - ALMOST)
    assert holdoff.take(10.015 + QUIET_SECONDS) == {"b", "c"}


def test_an_endless_burst_is_announced_all_the_same() -> None:
    holdoff: Holdoff[str] = Holdoff()
    holdoff.changed("first", 10.0)
    holdoff.take(10.0)
    announced = []
    for step in range(1, 1001):
        now = 10.0 + step * QUIET_SECONDS / 2
        holdoff.changed(f"{step}", now)
        if holdoff.take(now):
            announced.append(now)
    gaps = [after - before for before, after in zip([10.0, *announced], announced, strict=False)]
    assert max(gaps) <= LONGEST_SECONDS + 2 * QUIET_SECONDS
    assert min(gaps) >= QUIET_SECONDS


def test_what_is_gone_may_come_back_in_a_moment() -> None:
    holdoff: Holdoff[str] = Holdoff()
    holdoff.gone("a", 10.0)
    assert not holdoff.take(10.0)
    holdoff.unfinished("a", 10.001)
    assert not holdoff.take(10.0 + QUIET_SECONDS)
    holdoff.changed("a", 10.021)
    assert holdoff.take(10.021) == {"a"}
    assert holdoff.due() is None


def test_what_stays_away_is_due_after_the_quiet_time() -> None:
    holdoff: Holdoff[str] = Holdoff()
    holdoff.gone("a", 10.0)
    assert holdoff.take(10.0 + QUIET_SECONDS) == {"a"}


def test_a_file_that_is_written_waits_for_its_writer_but_not_for_ever() -> None:
    holdoff: Holdoff[str] = Holdoff()
    for step in range(1000):
        holdoff.unfinished("a", 10.0 + step / 1000)
        if taken := holdoff.take(10.0 + step / 1000):
            assert taken == {"a"}
            assert step / 1000 >= LONGEST_SECONDS - ALMOST
            return
    raise AssertionError("never announced")


EVENTS = st.lists(
    st.tuples(st.sampled_from(["changed", "gone", "unfinished"]), st.sampled_from("abc"), st.floats(0, 0.3)),
    max_size=60,
)


@given(EVENTS)
def test_everything_is_announced_once_and_in_time(events: list[tuple[str, str, float]]) -> None:
    """A file may be unfinished for LONGEST, and its change wait for LONGEST in a burst; nothing waits longer."""
    holdoff: Holdoff[str] = Holdoff()
    now = 100.0
    pending: dict[str, float] = {}

    def run_to(end: float) -> None:
        while (due := holdoff.due()) is not None and due <= end:
            for what in holdoff.take(max(due, now)):
                assert max(due, now) - pending.pop(what) <= 2 * LONGEST_SECONDS + QUIET_SECONDS + ALMOST

    for kind, what, pause in events:
        run_to(now + pause)
        now += pause
        getattr(holdoff, kind)(what, now)
        pending.setdefault(what, now)
    run_to(now + 1)
    assert not pending
    assert holdoff.due() is None
