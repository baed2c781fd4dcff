"""Two header changes written as one do what they would do one after the other."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trilithon.model.rule import HeaderEdit
from trilithon.xds.headers import then

Fields = tuple[tuple[str, str], ...]
NAMES = st.sampled_from(["x-a", "x-b", "x-c", "x-d"])


@st.composite
def edits(draw: st.DrawFn) -> HeaderEdit:
    kinds = draw(st.dictionaries(NAMES, st.sampled_from(["set", "add", "remove"])))
    values = {name: draw(st.sampled_from("123")) for name in kinds}
    return HeaderEdit(
        set=tuple((name, values[name]) for name, kind in kinds.items() if kind == "set"),
        add=tuple((name, values[name]) for name, kind in kinds.items() if kind == "add"),
        remove=tuple(name for name, kind in kinds.items() if kind == "remove"),
    )


def applied(edit: HeaderEdit | None, headers: Fields) -> Fields:
    """The headers as Envoy leaves them: removals first, then what is set, then what is added, in order."""
    if edit is None:
        return headers
    kept = [pair for pair in headers if pair[0] not in edit.remove]
    for name, value in edit.set:
        kept = [pair for pair in kept if pair[0] != name]
        kept.append((name, value))
    kept += edit.add
    return tuple(sorted(kept, key=lambda pair: pair[0]))


@given(
    first=st.none() | edits(),
    second=st.none() | edits(),
    headers=st.lists(st.tuples(NAMES, st.sampled_from("456")), max_size=6).map(tuple),
)
def test_one_change_for_two(first: HeaderEdit | None, second: HeaderEdit | None, headers: Fields) -> None:
    assert applied(then(first, second), headers) == applied(second, applied(first, headers))
