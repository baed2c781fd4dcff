"""Any file of at most 1 MB is read, told of and looked up again in work that follows its length, whatever is in it.

The bounds are generous: a second or two is what the slowest of these takes, minutes is what anything quadratic would.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sources.world import SYNTAX_ERROR, WRONG_TYPE, World, file_of, route, route_key, service
from trilithon.sources.folder.file_problems import MOST_DUPLICATES

MEGABYTE = 1_000_000
SECONDS = 60
CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
LIST = "apiVersion: v1\nkind: List\nitems:\n"
ITEM = "- {apiVersion: v1, kind: ConfigMap, metadata: {name: %s}}\n"


def filled(head: str, piece: str, tail: str = "") -> str:
    """A file of 1 MB out of many pieces; "%s" in a piece is its number."""
    room = MEGABYTE - len(head) - len(tail)
    number = room // len(piece.replace("%s", f"{0:07d}"))
    return head + "".join(piece.replace("%s", f"{each:07d}") for each in range(number)) + tail


SHAPES = {
    "copies of one object": filled("", CONFIG_MAP + "---\n"),
    "copies of one object in a List": filled(LIST, ITEM.replace("%s", "a")),
    "objects": filled("", CONFIG_MAP.replace("name: a", "name: c%s") + "---\n"),
    "objects in a List": filled(LIST, ITEM.replace("%s", "c%s")),
    "objects with a mistake": filled("", route("r%s", spec=WRONG_TYPE) + "---\n"),
    "documents that are no YAML": filled("", SYNTAX_ERROR + "---\n"),
    "documents of one letter": filled("", "a\n---\n"),
    "labels with a mistake": filled(CONFIG_MAP.replace("{name: a}", "\n  name: a\n  labels:"), "    '%s!': '%s!'\n"),
    "unknown fields": filled(route("r", spec="spec:\n"), "  f%s: 1\n"),
    "merges": filled("a: &a {x: 1}\nb: {<<: [", "*a, ", "]}\n"),
    "merges beside keys": filled(f"a: &a {{x: 1}}\nb:\n  <<: [{'*a, ' * 30_000}]\n", "  k%s: 1\n"),
    "merges of merges": filled("a0000000: &a {x: 1}\n", "b%s: &a {y%s: 1, <<: *a}\n"),
    "markers": filled("", "---\n"),
    "comments": filled("", "#\r\n"),
    "brackets": filled("a: ", "["),
    "one text": filled("a: |\n", " x\n"),
}


@pytest.mark.timeout(SECONDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_file_costs_what_it_is_long(tmp_path: Path, shape: str) -> None:
    assert len(SHAPES[shape]) <= MEGABYTE
    world = World(tmp_path)
    world.write("a.yaml", SHAPES[shape])
    for problem in world.look("a.yaml").problems:
        assert world.source.place_of(problem.problem) is not None
    for key in world.source.resources:
        world.source.position(key, "metadata.name")
    world.write("b.yaml", service("web"))
    assert world.look("b.yaml").upserts
    world.write("a.yaml", "# nothing\n")
    world.look("a.yaml")
    assert not world.source.problems()


@pytest.mark.timeout(SECONDS)
@pytest.mark.parametrize("broken", [SYNTAX_ERROR, route("new%s", spec=WRONG_TYPE)], ids=["garbled", "renamed"])
def test_breaking_every_document_of_a_file_costs_what_it_is_long(tmp_path: Path, broken: str) -> None:
    world = World(tmp_path)
    names = [f"r{number:04d}" for number in range(6_000)]
    world.write("a.yaml", *map(route, names))
    world.look("a.yaml")
    hint = "served as last read: HTTPRoute shop/r0000, HTTPRoute shop/r0001, HTTPRoute shop/r0002 and 5997 more"
    for step in range(2):
        world.write("a.yaml", *(broken.replace("%s", name) + f"# {step}\n" for name in names))
        change = world.look("a.yaml")
        assert (len(world.hosts), len(change.problems)) == (len(names), len(names))
        assert change.problems[0].problem.hint.endswith(hint)
    world.write("a.yaml", *map(route, names[::2]))
    assert world.look("a.yaml").removals == set(map(route_key, names[1::2]))


def test_of_many_copies_a_few_are_told_with_the_number_of_all(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.write("b.yaml", file_of(*[route("one")] * 1_000))
    world.look()
    world.write("a.yaml", route("one", "a.test"))
    problems = world.look().problems
    assert world.hosts == {"one": "a.test"}
    assert len(problems) == MOST_DUPLICATES
    served = f"{tmp_path}/b.yaml:1"
    assert problems[0].problem.message == (
        f"HTTPRoute shop/one is also in {served}, {tmp_path}/b.yaml:9, {tmp_path}/b.yaml:17 and 997 more places; "
        f"the one in {served} is served"
    )
