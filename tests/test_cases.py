"""Every case, four ways: at once, one by one, shuffled, and with each object removed and restored.

Each way must end with the same tables as a rebuild, and with what the case expects.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests import case_requests, case_status
from tests.casefile import CASES, Case, CaseError, Envoy, Line, State, load, paths
from trilithon import pipeline
from trilithon.incremental import Changes, Edit, Engine, Table
from trilithon.model.proxy import Proxy, Rejected
from trilithon.model.settings import Settings
from trilithon.model.tables import PROXIES
from trilithon.pipeline import PUBLISHED, Translation, acknowledged, build, edits
from trilithon.resources.meta import Key

SHUFFLES = 3
WHOLE = Envoy()
TABLES: tuple[Table[Any, Any], ...] = tuple(table for table in vars(pipeline).values() if isinstance(table, Table))


def _id(path: Path) -> str:
    return str(path.relative_to(CASES).with_suffix(""))


@pytest.mark.parametrize("path", [pytest.param(path, id=_id(path)) for path in paths()])
def test_case(path: Path) -> None:
    case = load(path)
    at_once = _World(case.settings)
    rebuilt = []
    for state in case.states:
        changes = at_once.change(state.upserts, state.removals, state.envoy)
        at_once.holds(state, "at once")
        at_once.equals_a_rebuild("at once", state)
        if state.expect.recomputed is not None:
            assert changes.recomputed <= state.expect.recomputed, f"{state.title}: {changes.recomputed_in}"
        rebuilt.append(at_once.tables())
    _in_turn(case, rebuilt, None)
    for seed in range(SHUFFLES):
        _in_turn(case, rebuilt, random.Random(seed))
    _removed_and_restored(at_once, case.states[-1], rebuilt[-1])


def _in_turn(case: Case, rebuilt: Sequence[object], shuffle: random.Random | None) -> None:
    """Each object on its own, Envoy answering in between."""
    way = "one by one" if shuffle is None else "shuffled"
    world = _World(case.settings)
    for state, expected in zip(case.states, rebuilt, strict=True):
        turns = [*state.upserts, *state.removals]
        if shuffle is not None:
            shuffle.shuffle(turns)
        for each in turns:
            world.change(() if isinstance(each, Key) else (each,), (each,) if isinstance(each, Key) else (), WHOLE)
        world.change((), (), state.envoy)
        world.holds(state, way)
        assert world.tables() == expected, f"{way}, {state.title}: the tables are not those of all at once"


def _removed_and_restored(world: _World, state: State, rebuilt: object) -> None:
    """Whatever goes is missed by all that used it, and nothing remembers that it was away."""
    for key, resource in sorted(world.resources.items()):
        world.change((), (key,), state.envoy)
        world.audit(f"without {key}")
        world.change((resource,), (), state.envoy)
        assert world.tables() == rebuilt, f"{key} was removed and restored"
    world.holds(state, "after every object was away")


class _World:
    """An engine, what it was given, and an Envoy that answers."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.engine = build(settings)
        self.resources: dict[Key, Any] = {}

    def change(self, upserts: Iterable[Any], removals: Iterable[Key], envoy: Envoy) -> Changes:
        """Apply a change and Envoy's answer; returns what the change alone did."""
        for resource in upserts:
            self.resources[resource.key] = resource
        for key in removals:
            del self.resources[key]
        changes = self.engine.apply(edits(upserts, removals))
        self.engine.apply(_answers(self.engine, envoy))
        return changes

    def tables(self) -> dict[str, dict[Any, Any]]:
        """Every row of every table."""
        return {table.name: dict(self.engine.rows(table)) for table in TABLES}

    def audit(self, way: str) -> None:
        """Nothing was read around the engine, and no row function raised."""
        assert not self.engine.faults, f"{way}: {list(self.engine.faults.values())}"
        differences = self.engine.audit()
        assert not differences, f"{way}: {differences[:3]}"

    def equals_a_rebuild(self, way: str, state: State) -> None:
        self.audit(f"{way}, {state.title}")
        fresh = _World(self.settings)
        fresh.change(self.resources.values(), (), state.envoy)
        assert fresh.tables() == self.tables(), f"{way}, {state.title}: the tables are not those of a rebuild"

    def holds(self, state: State, way: str) -> None:
        """What the case says of this state."""
        assert not self.engine.faults, f"{way}: {list(self.engine.faults.values())}"
        expect = state.expect
        translation = Translation(self.engine, self.settings)
        wrong = [why for line in expect.requests if (why := case_requests.check(translation, line)) is not None]
        wrong += [why for line in expect.status for why in case_status.check(self.engine, line)]
        if expect.problems is not None:
            wrong += case_status.check_problems(self.engine, state.refused, expect.problems)
        elif state.refused:
            wrong += [f"a manifest has the problem {case_status.spelled(each)}: {each}" for each in state.refused]
        assert not wrong, f"{way}, {state.title}:\n" + "\n".join(wrong)


def _answers(engine: Engine, envoy: Envoy) -> list[Edit[Any, Any]]:
    """What the Envoys say once they have everything."""
    if not envoy.connected:
        return [Edit(PROXIES, gateway, None) for gateway in engine.rows(PROXIES)]
    answers = acknowledged(engine)
    if not envoy.lacks:
        return answers
    return [msgspec.structs.replace(edit, row=_lacking(engine, edit.row, envoy)) for edit in answers]


def _lacking(engine: Engine, proxy: Proxy | None, envoy: Envoy) -> Proxy | None:
    if proxy is None:
        return None
    lacks = dict(envoy.lacks)
    refused = {
        Rejected(row.type_url, row.name, row.version, why)
        for table in PUBLISHED
        for key, row in engine.rows(table).items()
        if key[0].path == proxy.gateway and (why := lacks.get((row.type_url, row.name))) is not None
    }
    kept = tuple(each for each in proxy.acked if (each.type_url, each.name) not in lacks)
    return msgspec.structs.replace(proxy, acked=kept, rejected=tuple(sorted(refused)))


def test_every_table_is_compared() -> None:
    assert {table.name for table in TABLES} == {node.table for node in build(Settings()).graph()}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("GET a.test -> 404", "is not a URL", id="a request without a URL"),
        pytest.param("GET http://a.test/ => 404", "is not 'METHOD URL -> outcome'", id="another arrow"),
        pytest.param("GET http://a.test/ -> Servce a/b:80", "neither an outcome", id="a misspelt outcome"),
        pytest.param("GET http://a.test/ -> 404, be quick", "neither an outcome", id="an unknown clause"),
    ],
)
def test_a_request_line_that_cannot_be_read_is_an_error(text: str, message: str) -> None:
    world = _World(Settings())
    line = Line(text, "x.yaml:3")
    with pytest.raises(CaseError, match=rf"^x.yaml:3: .*{message}"):
        case_requests.check(Translation(world.engine, world.settings), line)
