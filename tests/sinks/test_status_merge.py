"""What is merged into a stored status: ours as it is wanted, everything else byte for byte as it was."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sinks.statuses import (
    BEFORE,
    NOW,
    OURS,
    THEIRS,
    Object,
    after,
    condition,
    parent,
    ref,
    since,
    stored,
)
from trilithon.sinks.objects.status_merge import (
    ABSENCE_SECONDS,
    CHANGE_SECONDS,
    MAX_CONDITIONS,
    MAX_PARENTS,
    OWN_PARENT_CONDITIONS,
    PASSING_SECONDS,
    generation_of,
    merged,
    patience,
    without_ours,
)

PENDING = condition("Accepted", "Unknown", reason="Pending", message="Waiting for controller", generation=0)
GATEWAY = {
    "addresses": [{"type": "IPAddress", "value": "10.0.0.1"}],
    "conditions": [condition("Accepted"), condition("Programmed")],
    "listeners": [
        {
            "name": "http",
            "supportedKinds": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute"}],
            "attachedRoutes": 2,
            "conditions": [condition("Accepted"), condition("Programmed")],
        }
    ],
}


def test_a_first_status_is_written_with_the_time_of_now() -> None:
    wanted = {"parents": [parent()]}
    assert after(b"", merged(b"", wanted, OURS, NOW).fields) == since(NOW, wanted)


@pytest.mark.parametrize("wanted", [{"parents": [parent()]}, GATEWAY, {"parents": []}])
def test_nothing_is_written_where_all_is_said(wanted: Object) -> None:
    assert merged(stored(wanted), wanted, OURS, NOW).fields == {}


@pytest.mark.parametrize(
    "status", [b"", b"{}", b"null", b'{"parents":null}', b'{"conditions":null}', b'{"parents":[]}']
)
def test_empty_statuses_of_any_form_are_filled(status: bytes) -> None:
    for wanted in ({"parents": [parent()]}, GATEWAY):
        fields = merged(status, wanted, OURS, NOW).fields
        assert {name: after(status, fields)[name] for name in wanted} == since(NOW, wanted)


def test_order_is_no_difference() -> None:
    accepted, resolved = condition("Accepted"), condition("ResolvedRefs")
    there = {"parents": [parent(ref("b")), parent(ref("a"), resolved, accepted)]}
    assert merged(stored(there), {"parents": [parent(ref("a")), parent(ref("b"))]}, OURS, NOW).fields == {}


def test_a_reference_without_its_defaults_is_the_same() -> None:
    there = {"parents": [parent({"name": "gateway"})]}
    assert merged(stored(there), {"parents": [parent()]}, OURS, NOW).fields == {}


@pytest.mark.parametrize("other", [{"namespace": "n"}, {"sectionName": "s"}, {"port": 80}])
def test_references_that_differ_are_different_parents(other: Object) -> None:
    wanted = {"parents": [parent(ref(**other))]}
    assert after(b"", merged(stored({"parents": [parent()]}), wanted, OURS, NOW).fields) == since(NOW, wanted)


@pytest.mark.parametrize(
    ("status", "time"), [("True", BEFORE), ("False", NOW), ("Unknown", NOW)], ids=["same", "flip", "unknown"]
)
def test_the_time_of_transition_changes_with_the_status_alone(status: str, time: str) -> None:
    wanted = {"parents": [parent(None, condition("Accepted", status, generation=2, reason="New", message="new"))]}
    there = stored({"parents": [parent(None, condition("Accepted"))]})
    assert after(there, merged(there, wanted, OURS, NOW).fields) == since(time, wanted)


def test_a_changed_entry_stays_in_its_place_and_costs_the_others_nothing() -> None:
    there = stored({"parents": [parent(ref("a")), parent(controller=THEIRS), parent(ref("b"))]})
    changed = parent(ref("a"), condition("Accepted", "False"), condition("ResolvedRefs"))
    names = after(there, merged(there, {"parents": [parent(ref("b")), changed]}, OURS, NOW).fields)["parents"]
    assert [entry["parentRef"]["name"] for entry in names] == ["a", "gateway", "b"]
    assert names[1:] == since(BEFORE, [parent(controller=THEIRS), parent(ref("b"))])


def test_entries_for_parents_that_are_gone_go() -> None:
    there = stored({"parents": [parent(ref("gone")), parent(controller=THEIRS), parent()]})
    left = after(there, merged(there, {"parents": [parent()]}, OURS, NOW).fields)
    assert left == since(BEFORE, {"parents": [parent(controller=THEIRS), parent()]})


def test_entries_twice_become_one() -> None:
    there = stored({"parents": [parent(), parent()]})
    assert after(there, merged(there, {"parents": [parent()]}, OURS, NOW).fields) == since(
        BEFORE, {"parents": [parent()]}
    )
    wanted = {"parents": [parent(), parent(None, condition("Accepted", "False"))]}
    assert after(b"", merged(b"", wanted, OURS, NOW).fields) == since(NOW, {"parents": [parent()]})


def test_our_conditions_that_are_not_wanted_go_and_foreign_ones_stay() -> None:
    foreign = condition("example.com/Scanned")
    there = stored({"parents": [parent(None, condition("PartiallyInvalid"), foreign, condition("Accepted"))]})
    wanted = {"parents": [parent(None, condition("Accepted"))]}
    left = after(there, merged(there, wanted, OURS, NOW).fields)
    assert left == since(BEFORE, {"parents": [parent(None, foreign, condition("Accepted"))]})


def test_the_defaults_of_the_api_server_are_overwritten() -> None:
    there = stored({"conditions": [PENDING, {**PENDING, "type": "Programmed"}]}, "1970-01-01T00:00:00Z")
    assert after(there, merged(there, GATEWAY, OURS, NOW).fields) == since(NOW, GATEWAY)


def test_conditions_of_others_on_a_gateway_and_its_listeners_stay() -> None:
    foreign = since(BEFORE, condition("example.com/Paid", "False"))
    there = msgspec.json.encode(
        {
            "conditions": [foreign, since(BEFORE, condition("InsecureFrontendValidationMode"))],
            "listeners": [
                {"name": "gone", "attachedRoutes": 0, "conditions": [foreign]},
                {"name": "http", "attachedRoutes": 0, "conditions": [foreign, since(BEFORE, condition("Conflicted"))]},
            ],
            "attachedListenerSets": 3,
        }
    )
    left = after(there, merged(there, GATEWAY, OURS, NOW).fields)
    assert left["conditions"] == [foreign, *since(NOW, GATEWAY["conditions"])]
    assert [listener["name"] for listener in left["listeners"]] == ["http"]
    assert left["listeners"][0]["conditions"] == [foreign, *since(NOW, GATEWAY["conditions"])]
    assert left["listeners"][0]["attachedRoutes"] == 2
    assert left["attachedListenerSets"] == 3


def test_only_fields_that_differ_are_written() -> None:
    there = stored({**GATEWAY, "addresses": []})
    assert merged(there, GATEWAY, OURS, NOW).fields == {"addresses": GATEWAY["addresses"]}


def test_an_empty_list_and_none_are_one_thing() -> None:
    listener = {"name": "odd", "supportedKinds": [], "attachedRoutes": 0, "conditions": [condition("Accepted")]}
    there = stored({"conditions": GATEWAY["conditions"], "listeners": [{**listener}]})
    bare = msgspec.json.decode(there)
    del bare["listeners"][0]["supportedKinds"]
    wanted = {"addresses": [], "conditions": GATEWAY["conditions"], "listeners": [listener]}
    assert merged(msgspec.json.encode(bare), wanted, OURS, NOW).fields == {}


def test_at_most_32_parents_and_those_of_others_stay() -> None:
    theirs = [parent(ref(f"other-{index}"), controller=THEIRS) for index in range(30)]
    merge = merged(stored({"parents": theirs}), {"parents": [parent(ref(f"g{n}")) for n in range(5)]}, OURS, NOW)
    entries = after(b"", merge.fields)["parents"]
    assert entries == since(BEFORE, theirs) + since(NOW, [parent(ref("g0")), parent(ref("g1"))])
    assert (len(entries), merge.left_out) == (MAX_PARENTS, 3)


def test_what_had_no_room_is_not_tried_again_and_again() -> None:
    theirs = [parent(ref(f"other-{index}"), controller=THEIRS) for index in range(MAX_PARENTS)]
    merge = merged(stored({"parents": theirs}), {"parents": [parent()]}, OURS, NOW)
    assert (merge.fields, merge.left_out) == ({}, 1)


def test_at_most_8_conditions_and_those_of_others_stay() -> None:
    theirs = [condition(f"example.com/C{index}") for index in range(7)]
    there = stored({"parents": [parent(None, *theirs)]})
    merge = merged(there, {"parents": [parent()]}, OURS, NOW)
    conditions = after(there, merge.fields)["parents"][0]["conditions"]
    assert conditions == [*since(BEFORE, theirs), since(NOW, condition("Accepted"))]
    assert (len(conditions), merge.left_out) == (MAX_CONDITIONS, 1)


def test_messages_are_cut() -> None:
    wanted = {"parents": [parent(None, condition("Accepted", message="x" * 40_000))]}
    written = after(b"", merged(b"", wanted, OURS, NOW).fields)
    assert len(written["parents"][0]["conditions"][0]["message"]) == 32_768
    assert merged(msgspec.json.encode(written), wanted, OURS, NOW).fields == {}


def test_nothing_of_ours_is_left_where_we_say_nothing() -> None:
    there = stored({"parents": [parent(), parent(controller=THEIRS)]})
    assert after(there, without_ours(there, OURS).fields) == since(BEFORE, {"parents": [parent(controller=THEIRS)]})


@pytest.mark.parametrize("status", [b"", stored(GATEWAY), stored({"parents": [parent(controller=THEIRS)]})])
def test_what_is_not_known_to_be_ours_is_left_alone(status: bytes) -> None:
    assert without_ours(status, OURS).fields == {}


def test_the_generation_is_read_from_conditions() -> None:
    wanted = {"parents": [parent(None, condition("Accepted", generation=7))]}
    assert (generation_of(wanted), generation_of(GATEWAY), generation_of({"parents": []})) == (7, 1, None)


def test_what_is_not_acknowledged_yet_is_told_later_and_much_later_of_what_was_programmed() -> None:
    pending = {"conditions": [condition("Programmed", "False", reason="Pending")]}
    assert patience(b"", pending) == PASSING_SECONDS
    assert patience(stored(pending), pending) == PASSING_SECONDS
    assert patience(stored({"conditions": [condition("Programmed")]}), pending) == ABSENCE_SECONDS
    newer = {"conditions": [condition("Programmed", "False", reason="Pending", generation=2)]}
    assert patience(stored({"conditions": [condition("Programmed")]}), newer) == CHANGE_SECONDS
    assert patience(b"", GATEWAY) == 0
    assert patience(b"", {"parents": [parent(None, condition("Accepted"))]}) == 0


# Laws

NAMES = st.sampled_from(["a", "b", "c"])
TYPES = st.sampled_from(["Accepted", "ResolvedRefs", "PartiallyInvalid", "example.com/X", "Y"])
STATUSES = st.sampled_from(["True", "False", "Unknown"])
# Written as nobody here would write them: other blanks, orders, escapes, and fields that are not known.
BLANKS = st.sampled_from(["", " ", "\n  "])


@st.composite
def foreign_condition(draw: st.DrawFn, types: st.SearchStrategy[str] = TYPES) -> bytes:
    blank = draw(BLANKS)
    values: Object = {
        "status": draw(STATUSES),
        "type": draw(types),
        "message": draw(st.text(max_size=5)),
        "lastTransitionTime": BEFORE,
    }
    if draw(st.booleans()):
        values["observedGeneration"] = draw(st.integers(0, 3))
    members = draw(
        st.permutations([f'"{name}":{blank}{msgspec.json.encode(value).decode()}' for name, value in values.items()])
    )
    return f"{{{blank}{f',{blank}'.join(members)}}}".encode()


@st.composite
def entry(draw: st.DrawFn, controller: str) -> bytes:
    conditions = draw(st.lists(foreign_condition(), max_size=4, unique_by=lambda raw: msgspec.json.decode(raw)["type"]))
    named = f'"parentRef":{{"name":"{draw(NAMES)}"}},"controllerName":"{controller}"'
    extra = draw(st.sampled_from(["", ',"new":[1.0,{"x":null}]', ',"n":1e2']))
    return f'{{{named}{extra},{draw(BLANKS)}"conditions":['.encode() + b",".join(conditions) + b"]}"


ENTRIES = st.lists(st.sampled_from([OURS, THEIRS, "a/b"]).flatmap(entry), max_size=6)
WANTED = st.lists(
    st.builds(
        lambda name, types: parent(ref(name), *[condition(type_, status) for type_, status in types.items()]),
        NAMES,
        st.dictionaries(st.sampled_from(sorted(OWN_PARENT_CONDITIONS)), STATUSES, min_size=1),
    ),
    max_size=3,
    unique_by=lambda each: str(each["parentRef"]["name"]),
)


@given(ENTRIES, WANTED)
def test_foreign_entries_survive_byte_for_byte_and_a_second_merge_writes_nothing(
    entries: list[bytes], wanted: list[Object]
) -> None:
    status = b'{"parents": [' + b" , ".join(entries) + b"]}"
    merge = merged(status, {"parents": wanted}, OURS, NOW)
    written = msgspec.json.encode({**msgspec.json.decode(status, type=dict[str, msgspec.Raw]), **merge.fields})
    left = msgspec.json.decode(written, type=dict[str, list[msgspec.Raw]])["parents"]
    assert [bytes(raw) for raw in left if OURS not in bytes(raw).decode()] == [
        raw for raw in entries if OURS not in raw.decode()
    ]
    again = merged(written, {"parents": wanted}, OURS, "2027-01-01T00:00:00Z")
    assert again.fields == {}
    ours = [each for each in msgspec.json.decode(written)["parents"] if each["controllerName"] == OURS]
    assert sorted(each["parentRef"]["name"] for each in ours) == sorted(each["parentRef"]["name"] for each in wanted)
    gone = without_ours(written, OURS)
    assert OURS.encode() not in msgspec.json.encode({**msgspec.json.decode(written), **gone.fields})


@given(st.lists(foreign_condition(), max_size=6, unique_by=lambda raw: str(msgspec.json.decode(raw)["type"])), STATUSES)
def test_foreign_conditions_survive_byte_for_byte(conditions: list[bytes], accepted: str) -> None:
    status = b'{"conditions":[' + b", ".join(conditions) + b"]}"
    wanted = {"conditions": [condition("Accepted", accepted)]}
    merge = merged(status, wanted, OURS, NOW)
    written = msgspec.json.encode(
        {"conditions": merge.fields.get("conditions", [msgspec.Raw(raw) for raw in conditions])}
    )
    left = [bytes(raw) for raw in msgspec.json.decode(written, type=dict[str, list[msgspec.Raw]])["conditions"]]
    foreign = ("example.com/X", "Y", "PartiallyInvalid")
    assert [raw for raw in left if msgspec.json.decode(raw)["type"] in foreign] == [
        raw for raw in conditions if msgspec.json.decode(raw)["type"] in foreign
    ]
    assert merged(written, wanted, OURS, "2027-01-01T00:00:00Z").fields == {}
