"""What cannot be read keeps its last good objects; what is gone is withdrawn; nothing else is touched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.sources.world import SYNTAX_ERROR, WRONG_TYPE, World, file_of, route, route_key, service
from trilithon.resources.core import Namespace
from trilithon.resources.meta import Key
from trilithon.sources.folder.files import EMPTY_MARKER, HOLD_SECONDS, FileSource
from trilithon.sources.folder.served import NAME_LABEL
from trilithon.sources.folder.writers import WRITING_SECONDS


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


# --- edits ---


def test_a_change_names_exactly_what_differs(world: World) -> None:
    world.write("a.yaml", route("one"), route("two"))
    assert world.look().keys >= {route_key("one"), route_key("two")}
    world.write("a.yaml", route("one"), route("two", "b.test"))
    change = world.look("a.yaml")
    assert change.upserts == {route_key("two"): world.source.resources[route_key("two")]}
    assert not change.removals
    assert not world.look().keys


def test_comments_order_and_place_change_nothing(world: World) -> None:
    world.write("a.yaml", route("one"), route("two"), service("web"))
    world.look()
    world.write("a.yaml", "# new\n" + service("web"), route("two"))
    world.write("b/c.yml", route("one") + "# moved\n")
    assert not world.look().keys


def test_a_removed_document_and_a_deleted_file_are_withdrawn(world: World) -> None:
    world.write("a.yaml", route("one"), route("two"))
    world.write("b.yaml", route("three"))
    world.look()
    world.write("a.yaml", route("one"))
    assert world.look("a.yaml").removals == {route_key("two")}
    (world.folder / "b.yaml").unlink()
    assert world.look("b.yaml").removals == {route_key("three")}


def test_a_list_holds_objects(world: World) -> None:
    world.write("a.json", '{"apiVersion": "v1", "kind": "List",\n "items": [\n' + ",\n".join(
        f'{{"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {{"name": "{name}", '
        f'"namespace": "shop"}},\n"spec": {{"hostnames": ["{name}.test"]}}}}' for name in ("one", "two")
    ) + "]}")  # fmt: skip
    world.look()
    assert world.hosts == {"one": "one.test", "two": "two.test"}
    assert world.source.position(route_key("two"), "spec.hostnames[0]") == (str(world.folder / "a.json"), 6)


# --- broken documents ---


@pytest.mark.parametrize(
    "broken", [SYNTAX_ERROR, route("two", spec=WRONG_TYPE), "kind: Nonsense\n", "- 1\n", "a: \x01\n"]
)
def test_a_broken_document_keeps_its_object_and_the_others_go_on(world: World, broken: str) -> None:
    world.write("a.yaml", route("one"), route("two"), route("three"))
    world.look()
    world.write("a.yaml", route("one", "new.test"), broken, route("three", "new.test"))
    change = world.look("a.yaml")
    assert world.hosts == {"one": "new.test", "two": "a.test", "three": "new.test"}
    assert route_key("two") not in change.keys
    (problem,) = [one for one in change.problems if one.problem.severity == "error"][:1]
    assert 8 <= problem.line <= 14
    assert "served as last read: HTTPRoute shop/two" in problem.problem.hint

    world.write("a.yaml", route("one", "new.test"), route("two", "new.test"), route("three", "new.test"))
    assert world.look("a.yaml").keys == {route_key("two")}
    assert not world.source.problems()


def test_a_broken_document_that_is_deleted_lets_go(world: World) -> None:
    world.write("a.yaml", route("one"), route("two"))
    world.look()
    world.write("a.yaml", route("one"), SYNTAX_ERROR)
    world.look()
    world.write("a.yaml", route("one"))
    assert world.look().removals == {route_key("two")}


def test_a_document_stays_kept_however_often_it_is_broken_anew(world: World) -> None:
    world.write("a.yaml", route("one"), route("two"), route("three"))
    world.look()
    for step in range(5):
        world.write("a.yaml", route("one"), f"{SYNTAX_ERROR}# {step}\n", route("three"), *[route("four")] * (step % 2))
        world.look()
        assert world.hosts["two"] == "a.test"


def test_a_lost_marker_loses_neither_neighbour(world: World) -> None:
    world.write("a.yaml", route("one"), route("two"), route("three"))
    world.look()
    world.write("a.yaml", route("one") + route("two"), route("three"))
    change = world.look()
    assert not change.keys
    assert "given twice" in change.problems[0].problem.message
    world.write("a.yaml", route("one"), route("two", "new.test"), route("three"))
    assert world.look().keys == {route_key("two")}


def test_an_object_that_is_moved_and_broken_stays(world: World) -> None:
    world.write("a.yaml", route("one"), route("two"))
    world.look()
    world.write("a.yaml", route("one"))
    world.write("b.yaml", route("two", spec=WRONG_TYPE))
    assert not world.look().keys
    world.write("b.yaml", route("two", "new.test"))
    assert world.look().keys == {route_key("two")}


def test_a_broken_file_that_is_renamed_still_keeps(world: World) -> None:
    world.write("a.yaml", route("one"), route("two"))
    world.look()
    world.write("a.yaml", route("one"), SYNTAX_ERROR)
    world.look()
    (world.folder / "a.yaml").rename(world.folder / "b.yaml")
    assert not world.look("a.yaml", "b.yaml").keys
    assert world.hosts == {"one": "a.test", "two": "a.test"}


def test_a_broken_document_that_never_was_good_serves_nothing(world: World) -> None:
    world.write("a.yaml", route("one"), SYNTAX_ERROR, route("two", spec=WRONG_TYPE))
    world.look()
    assert world.hosts == {"one": "a.test"}


def test_a_garbled_item_of_a_list_keeps_only_itself(world: World) -> None:
    def listed(*documents: str) -> str:
        items = "".join("- " + text.replace("\n", "\n  ").rstrip() + "\n" for text in documents)
        return f"apiVersion: v1\nkind: List\nitems:\n{items}"

    world.write("a.yaml", listed(route("one"), route("two"), route("three")))
    world.look()
    world.write("a.yaml", listed(route("one", "new.test"), route("two", spec=WRONG_TYPE)))
    world.look()
    assert world.hosts == {"one": "new.test", "two": "a.test"}


# --- files that cannot be read ---


def test_a_file_that_grows_too_large_keeps_its_objects(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(route("one"))
    source = FileSource([tmp_path], max_file_bytes=1000)
    source.load()
    with (tmp_path / "a.yaml").open("ab") as file:
        file.truncate(100_000_000)
    change = source.refresh()
    assert not change.keys
    assert [one.problem.code for one in change.problems] == ["FileTooLarge"]
    assert "served as last read" in change.problems[0].problem.hint


@pytest.mark.parametrize("kind", ["fifo", "folder link", "device link", "outside link", "dangling link", "loop"])
def test_what_is_no_ordinary_file_is_never_opened(
    world: World, tmp_path_factory: pytest.TempPathFactory, kind: str
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret.yaml").write_text(route("secret"))
    world.write("a.yaml", route("one"))
    path = world.folder / "b.yaml"
    if kind == "fifo":
        os.mkfifo(path)
    else:
        targets = {
            "folder link": outside,
            "device link": Path("/dev/zero"),
            "outside link": outside / "secret.yaml",
            "dangling link": world.folder / "nothing.yaml",
            "loop": path,
        }
        path.symlink_to(targets[kind])
    change = world.look()
    assert world.hosts == {"one": "a.test"}
    assert [one.file for one in change.problems] == [str(path)]
    # Once more as a change of that path alone, then mended.
    assert world.look("b.yaml").problems == change.problems
    path.unlink()
    world.write("b.yaml", route("two"))
    assert world.look("b.yaml").keys == {route_key("two")}
    assert not world.source.problems()


def test_an_ordinary_file_that_becomes_a_link_outside_keeps_its_objects(world: World) -> None:
    path = world.write("a.yaml", route("one"))
    world.look()
    path.unlink()
    path.symlink_to("/etc/hostname")
    change = world.look("a.yaml")
    assert not change.keys
    assert [one.problem.code for one in change.problems] == ["OutsideFolder"]


def test_links_inside_the_folder_are_followed_once(world: World) -> None:
    world.write("a.yaml", route("one"))
    world.write("sub/b.yaml", route("two"))
    (world.folder / "link.yaml").symlink_to("a.yaml")
    (world.folder / "again").symlink_to("sub")
    (world.folder / "sub" / "up").symlink_to("..")
    change = world.look()
    assert world.hosts == {"one": "a.test", "two": "a.test"}
    assert not change.problems


def mount_config_map(folder: Path, version: str, files: dict[str, str]) -> None:
    """Write a volume as a kubelet does: files link to "..data", which is renamed from version to version."""
    (folder / f"..{version}").mkdir()
    for name, text in files.items():
        (folder / f"..{version}" / name).write_text(text)
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")
    (folder / "..data_tmp").symlink_to(f"..{version}")
    (folder / "..data_tmp").rename(folder / "..data")


def test_a_config_map_mount_is_read_and_keeps_what_breaks(world: World) -> None:
    mount_config_map(world.folder, "1", {"a.yaml": file_of(route("one"), route("two"))})
    world.look()
    assert world.hosts == {"one": "a.test", "two": "a.test"}
    mount_config_map(world.folder, "2", {"a.yaml": file_of(route("one", "new.test"), SYNTAX_ERROR)})
    world.look()
    assert world.hosts == {"one": "new.test", "two": "a.test"}
    assert world.source.position(route_key("one")) == (str(world.folder / "a.yaml"), 1)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_listed_has_not_lost_its_files(world: World) -> None:
    world.write("a.yaml", route("one"))
    world.write("sub/b.yaml", route("two"))
    world.look()
    (world.folder / "sub").chmod(0)
    try:
        change = world.look()
        assert not change.keys
        assert [one.problem.code for one in change.problems] == ["FolderUnreadable"]
    finally:
        (world.folder / "sub").chmod(0o755)


@pytest.mark.parametrize(
    "name", [".hidden.yaml", ".git/a.yaml", "a.yaml~", "#a.yaml#", ".#a.yaml", "a.yaml.swp", "a.txt"]
)
def test_hidden_files_and_backups_are_passed_over(world: World, name: str) -> None:
    world.write(name, route("one"))
    assert not world.look().keys
    assert not world.look(name).keys


def test_a_name_that_would_forge_a_log_line_is_not_read(world: World) -> None:
    world.write("a\nERROR all is lost.yaml", route("one"))
    change = world.look()
    assert not change.keys
    assert [(one.problem.code, "\n" in one.file) for one in change.problems] == [("FileUnreadable", False)]


def test_a_file_named_by_itself_may_have_any_name(tmp_path: Path) -> None:
    (tmp_path / "routes.conf").write_text(route("one"))
    (tmp_path / "link").symlink_to("routes.conf")
    for name in ("routes.conf", "link"):
        assert route_key("one") in FileSource([tmp_path / name]).load().keys


def test_a_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    change = FileSource([tmp_path / "nothing"]).load()
    assert [(one.problem.code, one.file) for one in change.problems] == [("PathNotFound", str(tmp_path / "nothing"))]


def test_paths_are_shown_as_they_were_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "a.yaml").write_text(SYNTAX_ERROR)
    monkeypatch.chdir(tmp_path)
    for typed, shown in (("conf", "conf/a.yaml"), (".", "conf/a.yaml"), ("conf/a.yaml", "conf/a.yaml")):
        assert {one.file for one in FileSource([Path(typed)]).load().problems} == {shown}


# --- duplicates ---


def test_a_duplicate_is_reported_on_both_places_and_what_is_served_stays(world: World) -> None:
    world.write("b.yaml", route("one", "b.test"))
    world.look()
    world.write("a.yaml", "# first\n" + route("one", "a.test"))
    change = world.look()
    assert world.hosts == {"one": "b.test"}
    assert world.codes() == [("DuplicateObject", "a.yaml", 2), ("DuplicateObject", "b.yaml", 1)]
    assert (
        f"also in {world.folder}/b.yaml:1; the one in {world.folder}/b.yaml:1 is served"
        in change.problems[0].problem.message
    )
    assert "this one is served" in change.problems[1].problem.message
    # An edit of the other changes nothing that is served; an edit of this one does.
    world.write("a.yaml", route("one", "c.test"))
    assert not world.look().keys
    world.write("b.yaml", route("one", "d.test"))
    assert world.look().keys == {route_key("one")}
    (world.folder / "b.yaml").unlink()
    world.look()
    assert world.hosts == {"one": "c.test"}
    assert not world.source.problems()


def test_of_duplicates_found_together_the_first_by_path_and_line_is_served(world: World) -> None:
    world.write("b.yaml", route("one", "b.test"))
    world.write("a.yaml", route("one", "first.test"), route("one", "second.test"))
    world.look()
    assert world.hosts == {"one": "first.test"}
    assert [code for code, _, _ in world.codes()] == ["DuplicateObject"] * 3


# --- emptied folders ---


def test_an_emptied_folder_is_held_until_a_second_look(world: World) -> None:
    path = world.write("a.yaml", route("one"))
    world.look()
    path.unlink()
    change = world.look("a.yaml")
    assert (change.keys, change.look_again) == (frozenset(), HOLD_SECONDS)
    assert [(one.problem.code, one.problem.severity) for one in change.problems] == [("FolderEmptied", "warning")]
    world.clock.now += HOLD_SECONDS - 0.5
    assert world.look().look_again == pytest.approx(0.5)
    world.clock.now += 0.5
    change = world.look()
    assert (route_key("one") in change.removals, change.look_again, change.problems) == (True, None, ())


def test_an_emptied_folder_that_fills_again_lost_nothing(world: World) -> None:
    path = world.write("a.yaml", route("one"), route("two"))
    world.look()
    path.unlink()
    world.look()
    world.clock.now += HOLD_SECONDS / 2
    world.write("b.yaml", route("two"))
    change = world.look("b.yaml")
    assert change.keys == change.removals == {route_key("one")}
    assert change.look_again is None


def test_a_folder_that_vanishes_is_held_too(world: World) -> None:
    world.write("a.yaml", route("one"))
    world.look()
    away = world.folder.rename(world.folder.with_name("away"))
    change = world.look()
    assert not change.keys
    assert "is gone" in change.problems[0].problem.message
    away.rename(world.folder)
    assert (world.look().keys, world.source.problems()) == (frozenset(), ())


def test_a_marker_confirms_an_empty_folder_at_once(world: World) -> None:
    path = world.write("a.yaml", route("one"))
    world.look()
    path.unlink()
    world.look()
    (world.folder / EMPTY_MARKER).touch()
    assert route_key("one") in world.look().removals


def test_each_folder_is_held_by_itself(tmp_path: Path) -> None:
    left, right = World(tmp_path / "left"), World(tmp_path / "right")
    left.write("a.yaml", route("one"))
    right.write("a.yaml", route("two"))
    source = FileSource([left.folder, right.folder])
    source.load()
    (left.folder / "a.yaml").unlink()
    right.write("a.yaml", route("two", "new.test"))
    assert source.refresh().keys == {route_key("two")}
    assert route_key("one") in source.resources


def test_a_file_without_any_text_keeps_its_objects(world: World) -> None:
    world.write("a.yaml", route("one"))
    world.write("b.yaml", route("two"))
    world.look()
    world.write("a.yaml", "")
    change = world.look("a.yaml")
    assert (change.keys, [one.problem.code for one in change.problems]) == (frozenset(), ["FileEmptied"])
    assert change.look_again is None
    world.clock.now += 3600
    assert not world.look().keys
    world.write("a.yaml", route("one", "new.test"))
    change = world.look("a.yaml")
    assert change.keys == {route_key("one")}
    assert change.problems == ()
    world.write("b.yaml", route("two"), route("three"))
    world.look()
    world.write("b.yaml", "# nothing here\n")
    world.write("c.yaml", route("four"))
    assert world.look().removals == {route_key("two"), route_key("three")}


def test_an_object_of_an_empty_file_may_move(world: World) -> None:
    world.write("a.yaml", route("one"), route("two"))
    world.look()
    world.write("a.yaml", "")
    world.look()
    world.write("b.yaml", route("one", "new.test"))
    change = world.look()
    assert world.hosts == {"one": "new.test", "two": "a.test"}
    assert [one.problem.code for one in change.problems] == ["FileEmptied"]
    (world.folder / "a.yaml").unlink()
    assert world.look("a.yaml").removals == {route_key("two")}


def test_an_empty_file_lets_go_where_that_is_meant(world: World) -> None:
    world.write("a.yaml", route("one"))
    world.write("b.yaml", route("two"))
    world.look()
    world.write("a.yaml", "")
    world.look()
    (world.folder / EMPTY_MARKER).touch()
    assert world.look().removals == {route_key("one")}


# --- files that are being written ---


def test_a_file_that_is_being_written_adds_and_changes_and_withdraws_nothing(world: World) -> None:
    path = world.write("a.yaml", route("one"), route("two"), route("three"))
    world.look()
    world.source.writers.wrote(path)
    # The last document may go on: nothing of it is served yet.
    world.write("a.yaml", route("one", "new.test"), route("zero"), route("two", "half"))
    change = world.look("a.yaml")
    assert world.hosts == {"zero": "a.test", "one": "new.test", "two": "a.test", "three": "a.test"}
    assert [one.problem.code for one in change.problems] == ["FileUnfinished"]
    assert change.look_again == WRITING_SECONDS
    assert not world.look().keys
    world.write("a.yaml", route("one", "new.test"), route("zero"), route("two", "half.test"))
    world.source.writers.closed(path)
    change = world.look("a.yaml")
    assert change.keys == {route_key("two"), route_key("three")}
    assert change.removals == {route_key("three")}
    assert (change.problems, change.look_again) == ((), None)


def test_a_file_is_not_written_for_ever(world: World) -> None:
    path = world.write("a.yaml", route("one"), route("two"))
    world.look()
    world.source.writers.wrote(path)
    world.write("a.yaml", route("one", "new.test"))
    assert not world.look("a.yaml").keys
    world.clock.now += WRITING_SECONDS - 1
    world.source.writers.wrote(path)
    assert world.look().look_again == pytest.approx(1)
    world.clock.now += 1
    change = world.look()
    assert change.keys == {route_key("one"), route_key("two")}
    assert change.removals == {route_key("two")}
    assert (change.problems, change.look_again) == ((), None)


def test_the_same_text_is_taken_once_its_file_is_closed(world: World) -> None:
    path = world.folder / "a.yaml"
    world.source.writers.wrote(path)
    world.write("a.yaml", route("one"))
    assert (world.look().keys, world.hosts) == (frozenset(), {})
    world.source.writers.closed(path)
    world.look("a.yaml")
    assert world.hosts == {"one": "a.test"}


# --- as an API server would hold it ---


def test_generations_count_changes_of_the_spec(world: World) -> None:
    def generation() -> int:
        return world.source.resources[route_key("one")].generation

    world.write("a.yaml", route("one").replace("  name:", "  generation: 7\n  name:"), service("web"))
    world.look()
    assert generation() == 1
    world.write("a.yaml", route("one").replace("  name:", "  labels: {a: b}\n  name:"), service("web"))
    assert (world.look().keys, generation()) == (frozenset(), 1)
    world.write("a.yaml", route("one", "b.test"), service("web"))
    world.look()
    assert generation() == 2
    world.write("a.yaml", SYNTAX_ERROR, service("web"))
    world.look()
    world.write("a.yaml", route("one"), service("web"))
    world.look()
    assert generation() == 3
    world.write("a.yaml", service("web"))
    world.look()
    world.write("a.yaml", route("one", "c.test"), service("web"))
    world.look()
    assert generation() == 1


def namespace(name: str) -> Key:
    return Key("Namespace", "", name)


def labels(world: World, name: str) -> dict[str, str]:
    resource = world.source.resources[namespace(name)]
    assert isinstance(resource, Namespace)
    return dict(resource.labels)


def test_a_namespace_exists_as_long_as_an_object_lives_in_it(world: World) -> None:
    world.write(
        "a.yaml", route("one"), route("two", namespace="other"), route("three").replace("  namespace: shop\n", "")
    )
    world.look()
    assert {key.name for key in world.source.resources if key.kind == "Namespace"} == {"shop", "other", "default"}
    assert labels(world, "other") == {NAME_LABEL: "other"}
    world.write("a.yaml", route("one"), SYNTAX_ERROR)
    assert not world.look().keys
    world.write("a.yaml", route("one"))
    assert world.look().removals >= {namespace("other"), namespace("default"), route_key("two", "other")}
    assert world.source.position(namespace("shop")) is None


def test_a_written_namespace_takes_the_place_of_the_implied_one(world: World) -> None:
    world.write("a.yaml", route("one"))
    world.look()
    world.write("n.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {team: red}}\n")
    assert world.look().keys == {namespace("shop")}
    assert labels(world, "shop") == {NAME_LABEL: "shop", "team": "red"}
    assert world.source.position(namespace("shop"), "metadata.labels.team") == (str(world.folder / "n.yaml"), 3)
    (world.folder / "n.yaml").unlink()
    change = world.look()
    assert (set(change.upserts), change.removals) == ({namespace("shop")}, frozenset())
    assert labels(world, "shop") == {NAME_LABEL: "shop"}


# --- positions ---


def test_positions_follow_edits_above(world: World) -> None:
    world.write("a.yaml", "# one\n", route("one"), route("two"))
    world.look()
    file = str(world.folder / "a.yaml")
    assert world.source.position(route_key("two"), "spec.hostnames[0]") == (file, 17)
    assert world.source.position(route_key("two")) == (file, 11)
    world.write("a.yaml", "# one\n# two\n# three\n", route("one"), route("two"))
    world.look()
    assert world.source.position(route_key("two"), "spec.hostnames[0]") == (file, 19)
    assert world.source.position(route_key("two"), "spec.rules[0].matches") == (file, 18)
    assert world.source.position(route_key("three")) is None


def test_alike_mistakes_in_two_files_are_two_each_with_its_place(world: World) -> None:
    for name in ("a.yaml", "b.yaml"):
        world.write(name, SYNTAX_ERROR)
    world.look()
    problems = [found.problem for found in world.source.problems() if found.problem.code == "YAMLSyntax"]
    assert len(set(problems)) == len(problems) == 2
    places = [world.source.place_of(problem) for problem in problems]
    assert [Path(place[0]).name for place in places if place is not None] == ["a.yaml", "b.yaml"]
