"""What a view makes of what its watch says, where a whole API server would be too much to say it."""

from __future__ import annotations

from typing import Any

import pytest

from trilithon.kube.events import Delete, Gone, Rewound, Synced, Undecodable, Upsert
from trilithon.kube.objects import ApiKind, ObjectName
from trilithon.sources.kubernetes.guard import CONFIRM_SECONDS, MANY, Guard
from trilithon.sources.kubernetes.holders import Slices
from trilithon.sources.kubernetes.kinds import Scope, watched
from trilithon.sources.kubernetes.trouble import Troubles
from trilithon.sources.kubernetes.views import View

NAMES = tuple(ObjectName("shop", str(number)) for number in range(2 * MANY))
LONE = NAMES[0]


class Rows:
    """A holder that only knows which objects there are."""

    slices: Slices | None = None

    def __init__(self) -> None:
        self.names: set[ObjectName] = set()

    def decode(self, written: Any) -> Any:
        return written

    def upsert(self, _api_kind: ApiKind | None, name: ObjectName, _value: Any, _now: float) -> None:
        self.names.add(name)

    def delete(self, name: ObjectName, _now: float) -> None:
        self.names.discard(name)

    def forget_version(self, _name: ObjectName) -> None:
        """Versions are none of its business."""


@pytest.fixture
def rows() -> Rows:
    return Rows()


@pytest.fixture
def view(rows: Rows) -> View:
    """One that has listed every name."""
    (routes,) = (each for each in watched(Scope()) if each.name == "HTTPRoute")
    one = View(routes, rows, Troubles(lambda _message: None), Guard())
    one.begin()
    there(one, *NAMES)
    one.hear(Synced(len(NAMES), len(NAMES)), 0.0)
    return one


def there(view: View, *names: ObjectName) -> None:
    for name in names:
        view.hear(Upsert(name, None), 0.0)


def missing(view: View, *names: ObjectName) -> None:
    for name in names:
        view.hear(Delete(name, is_swept=True), 0.0)


@pytest.mark.parametrize("evidence", [Rewound(), Gone("not served")])
def test_a_list_that_cannot_say_what_is_gone_uses_no_evidence_up(
    view: View, rows: Rows, evidence: Rewound | Gone
) -> None:
    view.hear(evidence, 1.0)
    view.hear(Undecodable(None, "no name"), 1.0)
    view.hear(Synced(1), 1.0)
    missing(view, LONE)
    view.hear(Synced(len(NAMES) - 1), 2.0)
    assert (LONE in rows.names, view.held.names) == (True, {LONE})
    missing(view, NAMES[1])
    view.hear(Synced(len(NAMES) - 2), 3.0)
    assert NAMES[1] not in rows.names, "without more evidence"


def test_what_is_new_in_a_list_counts_against_what_is_missing(view: View, rows: Rows) -> None:
    new = tuple(ObjectName("shop", f"new-{number}") for number in range(MANY))
    there(view, *new)
    missing(view, *NAMES[:MANY])
    view.hear(Synced(2 * MANY, MANY), 1.0)
    assert rows.names == {*NAMES[MANY:], *new}


def test_what_was_new_before_the_list_does_not(view: View, rows: Rows) -> None:
    """An event told of it, and it was there when the others were."""
    new = tuple(ObjectName("shop", f"new-{number}") for number in range(MANY))
    there(view, *new)
    missing(view, *NAMES)
    view.hear(Synced(MANY, 0), 1.0)
    assert rows.names == {*NAMES, *new}
    view.hear(Synced(MANY, 0), 1.0 + CONFIRM_SECONDS)
    assert rows.names == {*new}


def test_a_lone_connection_that_breaks_is_no_evidence(view: View, rows: Rows) -> None:
    view.begin()
    there(view, *NAMES[1:])
    view.hear(Synced(len(NAMES) - 1, len(NAMES) - 1), 1.0)
    assert rows.names == {*NAMES[1:]}
