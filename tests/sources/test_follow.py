"""Changes of files are heard of from the kernel, at once, whatever way they are written, and none is missed."""

from __future__ import annotations

import asyncio
import errno
import os
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.sources.test_files import mount_config_map
from tests.sources.world import SYNTAX_ERROR, file_of, route, route_key
from trilithon.resources.meta import Key
from trilithon.resources.routes import HTTPRoute
from trilithon.sources.folder import inotify_watch, watching
from trilithon.sources.folder.files import HOLD_SECONDS, FileSource, Look, SourceChange
from trilithon.sources.folder.follow import follow

# A change is served within milliseconds; only a machine that is held up altogether takes longer than this.
DEADLINE = 20
QUEUE = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())


class Observed(FileSource):
    """Tells when it is looked at for the first time after loading: then the watches stand."""

    def load(self) -> SourceChange:
        self.looked = asyncio.Event()
        change = super().load()
        self.looked.clear()
        return change

    def accept(self, look: Look) -> SourceChange:
        self.looked.set()
        return super().accept(look)


class Reader:
    """Follows a source and remembers all it heard."""

    def __init__(self, source: FileSource) -> None:
        self.source = source
        self.history: list[SourceChange] = []
        self.heard = asyncio.Condition()

    async def read(self) -> None:
        async with aclosing(follow(self.source)) as changes:
            async for change in changes:
                async with self.heard:
                    self.history.append(change)
                    self.heard.notify_all()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until the source is as expected."""
        async with self.heard, asyncio.timeout(DEADLINE):
            await self.heard.wait_for(condition)

    async def until_hosts(self, **hosts: str) -> None:
        await self.until(lambda: self.hosts == hosts)

    @property
    def hosts(self) -> dict[str, str]:
        routes = [row for row in self.source.resources.values() if isinstance(row, HTTPRoute)]
        return {row.key.name: row.spec.hostnames[0] for row in routes}

    @property
    def removed(self) -> set[Key]:
        return {key for change in self.history for key in change.removals}


@asynccontextmanager
async def following(*paths: Path) -> AsyncGenerator[Reader, None]:
    source = Observed(paths)
    source.load()
    reader = Reader(source)
    task = asyncio.create_task(reader.read())
    try:
        async with asyncio.timeout(DEADLINE):
            await source.looked.wait()
        yield reader
    finally:
        task.cancel()
        await asyncio.wait({task})


@pytest.fixture
async def reader(tmp_path: Path) -> AsyncGenerator[Reader, None]:
    (tmp_path / "a.yaml").write_text(route("one"))
    async with following(tmp_path) as reader:
        yield reader


async def test_a_change_between_loading_and_watching_is_not_missed(tmp_path: Path) -> None:
    source = FileSource([tmp_path])
    source.load()
    (tmp_path / "a.yaml").write_text(route("one"))
    async with aclosing(follow(source)) as changes:
        assert route_key("one") in (await anext(changes)).upserts


def save_in_place(path: Path, text: str) -> None:
    path.write_text(text)


def save_by_rename(path: Path, text: str) -> None:
    """As most editors do."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text)
    temporary.rename(path)


def save_after_moving_away(path: Path, text: str) -> None:
    """As vim does with ``backupcopy=no``."""
    backup = path.with_name(f"{path.name}~")
    path.rename(backup)
    path.write_text(text)
    backup.unlink()


def save_after_deleting(path: Path, text: str) -> None:
    path.unlink()
    path.write_text(text)


def save_by_link(path: Path, text: str) -> None:
    """A hard link is a file that nobody writes or closes."""
    temporary = path.with_name("new")
    temporary.write_text(text)
    path.unlink()
    os.link(temporary, path)


SAVES = [save_in_place, save_by_rename, save_after_moving_away, save_after_deleting, save_by_link]


@pytest.mark.parametrize("save", SAVES)
@pytest.mark.parametrize("is_named", [False, True], ids=["in a folder", "named by itself"])
async def test_every_way_to_save_is_one_change(
    tmp_path: Path, save: Callable[[Path, str], None], is_named: bool
) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(route("one"))
    async with following(path if is_named else tmp_path) as reader:
        for step in range(3):
            save(path, route("one", f"{step}.test"))
            await reader.until_hosts(one=f"{step}.test")
        assert not reader.removed
        assert not [one for change in reader.history for one in change.problems]


async def test_half_a_file_is_not_a_change(reader: Reader, tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(file_of(route("two"), route("three")))
    await reader.until_hosts(one="a.test", two="a.test", three="a.test")
    with (tmp_path / "b.yaml").open("w") as file:
        file.write(route("two", "new.test") + "---\n")
        file.flush()
        # Something else is served meanwhile.
        (tmp_path / "a.yaml").write_text(route("one", "new.test"))
        await reader.until(lambda: reader.hosts["one"] == "new.test")
        file.write(route("three", "new.test"))
    await reader.until_hosts(one="new.test", two="new.test", three="new.test")
    assert not reader.removed


async def test_a_file_that_is_written_slowly_withdraws_nothing(reader: Reader, tmp_path: Path) -> None:
    path = tmp_path / "b.yaml"
    path.write_text(file_of(route("two"), route("three")))
    await reader.until_hosts(one="a.test", two="a.test", three="a.test")
    with path.open("w") as file:
        await reader.until(lambda: [one.problem.code for one in reader.source.problems()] == ["FileEmptied"])
        file.write(file_of(route("zero"), route("two", "new.test")))
        file.flush()
        await reader.until_hosts(zero="a.test", one="a.test", two="a.test", three="a.test")
        assert [one.problem.code for one in reader.source.problems()] == ["FileUnfinished"]
    await reader.until_hosts(zero="a.test", one="a.test", two="new.test")
    assert reader.removed == {route_key("three")}
    assert not reader.source.problems()


async def test_a_new_folder_is_watched_and_read_at_once(reader: Reader, tmp_path: Path) -> None:
    for step in range(5):
        folder = tmp_path / f"sub{step}" / "deep" / "deeper"
        folder.mkdir(parents=True)
        (folder / "b.yaml").write_text(route(f"new{step}"))
        await reader.until(lambda step=step: f"new{step}" in reader.hosts)  # type: ignore[misc]
        (folder / "b.yaml").write_text(route(f"new{step}", "again.test"))
        await reader.until(lambda step=step: reader.hosts[f"new{step}"] == "again.test")  # type: ignore[misc]


async def test_folders_may_be_moved_about(
    reader: Reader, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside") / "sub"
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.yaml").write_text(route("two"))
    await reader.until_hosts(one="a.test", two="a.test")
    (tmp_path / "sub").rename(tmp_path / "other")
    (tmp_path / "other" / "b.yaml").write_text(route("two", "moved.test"))
    await reader.until_hosts(one="a.test", two="moved.test")
    (tmp_path / "other" / "b.yaml").write_text(route("two", "later.test"))
    await reader.until_hosts(one="a.test", two="later.test")
    assert not reader.removed
    (tmp_path / "other").rename(outside)
    await reader.until_hosts(one="a.test")
    (outside / "b.yaml").write_text(route("two", "outside.test"))
    outside.rename(tmp_path / "sub")
    await reader.until_hosts(one="a.test", two="outside.test")


async def test_deleted_files_are_withdrawn(reader: Reader, tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(route("two"))
    await reader.until_hosts(one="a.test", two="a.test")
    (tmp_path / "b.yaml").unlink()
    await reader.until_hosts(one="a.test")


async def test_a_renamed_file_changes_nothing(reader: Reader, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").rename(tmp_path / "b.yaml")
    (tmp_path / "c.yaml").write_text(route("two"))
    await reader.until_hosts(one="a.test", two="a.test")
    assert reader.source.position(route_key("one")) == (str(tmp_path / "b.yaml"), 1)
    assert not reader.removed
    assert not [one for change in reader.history for one in change.problems]


def move_away(folder: Path) -> Path:
    return folder.rename(folder.with_name("away"))


def put_back(folder: Path) -> None:
    folder.mkdir()
    (folder / "a.yaml").write_text(route("one", "back.test"))


async def test_a_folder_that_is_replaced_lost_nothing(reader: Reader, tmp_path: Path) -> None:
    away = move_away(tmp_path)
    await reader.until(lambda: bool(reader.source.problems()))
    assert reader.hosts == {"one": "a.test"}
    put_back(tmp_path)
    await reader.until_hosts(one="back.test")
    (tmp_path / "a.yaml").write_text(route("one", "again.test"))
    await reader.until_hosts(one="again.test")
    (away / "a.yaml").write_text(route("one", "nobody looks here.test"))
    assert not reader.removed


async def test_an_emptied_folder_is_looked_at_again(reader: Reader, tmp_path: Path) -> None:
    began = time.monotonic()
    (tmp_path / "a.yaml").unlink()
    await reader.until(lambda: reader.removed >= {route_key("one")})
    assert time.monotonic() - began >= HOLD_SECONDS
    assert not reader.source.problems()


async def test_a_folder_that_does_not_exist_yet_is_waited_for(tmp_path: Path) -> None:
    async with following(tmp_path / "some" / "where") as reader:
        (tmp_path / "some" / "where" / "deep").mkdir(parents=True)
        (tmp_path / "some" / "where" / "deep" / "a.yaml").write_text(route("one"))
        await reader.until_hosts(one="a.test")
        (tmp_path / "some" / "where" / "deep" / "a.yaml").write_text(route("one", "new.test"))
        await reader.until_hosts(one="new.test")


async def test_a_config_map_mount_is_followed_from_version_to_version(tmp_path: Path) -> None:
    mount_config_map(tmp_path, "1", {"a.yaml": route("one")})
    async with following(tmp_path) as reader:
        for version in range(2, 6):
            mount_config_map(tmp_path, f"{version}", {"a.yaml": route("one", f"{version}.test")})
            await reader.until_hosts(one=f"{version}.test")
        assert not reader.removed


def point_to(link: Path, release: str) -> None:
    """As `ln -sfn` does it without a moment in between; the temporary link lies elsewhere and is not seen."""
    temporary = link.parent / ".releases" / "next"
    temporary.symlink_to(f".releases/{release}")
    temporary.rename(link)


async def test_links_are_followed_to_where_they_lead_now(tmp_path: Path) -> None:
    for release in ("1", "2"):
        (tmp_path / ".releases" / release / "conf").mkdir(parents=True)
        (tmp_path / ".releases" / release / "conf" / "a.yaml").write_text(route("one", f"{release}.test"))
    point_to(tmp_path / "current", "1")
    async with following(tmp_path) as above, following(tmp_path / "current" / "conf") as through:
        await above.until_hosts(one="1.test")
        point_to(tmp_path / "current", "2")
        await above.until_hosts(one="2.test")
        await through.until_hosts(one="2.test")
        (tmp_path / ".releases" / "2" / "conf" / "a.yaml").write_text(route("one", "new.test"))
        await above.until_hosts(one="new.test")
        await through.until_hosts(one="new.test")


async def test_a_file_may_be_linked_through_a_hidden_link(tmp_path: Path) -> None:
    for release in ("1", "2"):
        (tmp_path / ".releases" / release).mkdir(parents=True)
        (tmp_path / ".releases" / release / "a.yaml").write_text(route("one", f"{release}.test"))
    point_to(tmp_path / ".current", "1")
    (tmp_path / "a.yaml").symlink_to(".current/a.yaml")
    async with following(tmp_path) as reader:
        point_to(tmp_path / ".current", "2")
        await reader.until_hosts(one="2.test")
        (tmp_path / ".releases" / "2" / "a.yaml").write_text(route("one", "new.test"))
        await reader.until_hosts(one="new.test")
        assert not reader.removed


def grow(folder: Path, number: int) -> None:
    for each in range(number):
        deep = folder / f"sub{each}" / "a" / "b"
        deep.mkdir(parents=True)
        (deep / "c.yaml").write_text(route(f"r{each}"))


def edit_all(folder: Path, number: int) -> None:
    for each in range(number):
        (folder / f"sub{each}" / "a" / "b" / "c.yaml").write_text(route(f"r{each}", "new.test"))


async def test_folders_that_grow_while_they_are_looked_at_are_read_and_watched(reader: Reader, tmp_path: Path) -> None:
    await asyncio.to_thread(grow, tmp_path, 200)
    await reader.until(lambda: len(reader.hosts) == 201)
    edit_all(tmp_path, 200)
    await reader.until(lambda: list(reader.hosts.values()).count("new.test") == 200)


async def test_an_overflowing_queue_loses_nothing(reader: Reader, tmp_path: Path) -> None:
    # Nobody reads events while this loop runs; the names are of no interest, the events come all the same.
    for number in range(QUEUE + 200):
        (tmp_path / f"noise{number % 100}.txt").touch()
    (tmp_path / "b.yaml").write_text(route("two"))
    await reader.until_hosts(one="a.test", two="a.test")


async def test_broken_files_are_heard_of_and_healed(reader: Reader, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(SYNTAX_ERROR)
    await reader.until(lambda: bool(reader.source.problems()))
    assert reader.hosts == {"one": "a.test"}
    (tmp_path / "a.yaml").write_text(route("one", "mended.test"))
    await reader.until_hosts(one="mended.test")
    assert not reader.source.problems()


async def test_what_changes_nothing_is_not_told(reader: Reader, tmp_path: Path) -> None:
    told = len(reader.history)
    (tmp_path / "a.yaml").write_text("# a comment\n" + route("one", "a.test"))
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / ".b.yaml").write_text(route("hidden"))
    (tmp_path / "z.yaml").write_text(route("last"))
    await reader.until(lambda: "last" in reader.hosts)
    assert [set(change.keys) for change in reader.history[told:]] == [{route_key("last")}]


async def test_a_burst_is_few_changes_and_none_is_missed(reader: Reader, tmp_path: Path) -> None:
    told = len(reader.history)
    for number in range(200):
        (tmp_path / f"b{number}.yaml").write_text(route(f"r{number}"))
        if number % 10 == 0:
            await asyncio.sleep(0)
    await reader.until(lambda: len(reader.hosts) == 201)
    assert len(reader.history) - told < 60


async def test_the_loop_goes_on_while_much_is_read(reader: Reader, tmp_path: Path) -> None:
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    turning = asyncio.create_task(turn())
    (tmp_path / "b.yaml").write_text(file_of(*(route(f"r{number}") for number in range(2_000))))
    async with reader.heard:
        before = turns
        # What is known is told meanwhile.
        assert reader.source.position(route_key("one")) == (str(tmp_path / "a.yaml"), 1)
    await reader.until(lambda: len(reader.hosts) == 2_001)
    turning.cancel()
    # Read in one piece, it would have been a handful.
    assert turns - before > 100
    assert route_key("r7") in reader.history[-1].upserts


def test_a_look_that_was_given_up_and_overtaken_is_not_what_is_served(tmp_path: Path) -> None:
    source = FileSource([tmp_path])
    source.load()
    (tmp_path / "a.yaml").write_text(file_of(*(route(f"r{number}") for number in range(2_000))))
    given_up: list[bool] = []

    def is_given_up() -> bool:
        given_up.append(len(given_up) >= 3)
        return given_up[-1]

    look = source.look(None, is_given_up)
    assert len(source.resources) == 1
    # A look that another one has overtaken, or that was given up, is not what is served.
    source.refresh()
    assert not source.accept(look).keys
    assert len(source.resources) == 2_002


async def test_without_inotify_files_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(paths: object, writers: object) -> AsyncGenerator[None, None]:
        yield None
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(inotify_watch, "watch_by_inotify", refused)
    monkeypatch.setattr(watching, "POLL_SECONDS", 0.01)
    with capture_logs() as logs:
        async with following(tmp_path) as reader:
            (tmp_path / "a.yaml").write_text(route("one"))
            await reader.until_hosts(one="a.test")
            (tmp_path / "a.yaml").write_text(route("one", "new.test"))
            await reader.until_hosts(one="new.test")
    assert [(entry["log_level"], "max_user_watches" in entry["remedy"]) for entry in logs] == [("warning", True)]
