"""Built programs: a key for everything that could make one different, and help when one cannot be built."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from testcluster import build as building
from testcluster.builds import BUILDS, Files, Program
from testcluster.cache import MODULES_FOLDER, cache_folder, command_of, is_built, key_of, place_of
from testcluster.failure import Failure

PROGRAM = Program("thing", "module")


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    folder = tmp_path / "go" / "module"
    folder.mkdir(parents=True)
    (folder / "main.go").write_text("package main")
    return tmp_path / "go"


def test_the_key_is_of_all_that_matters(modules: Path) -> None:
    """Its module's files, by name and content, and its line in the table."""
    key = key_of(PROGRAM, modules)
    assert key == key_of(PROGRAM, modules)
    assert key != key_of(Program("thing", "module", link_flags="-X a=b"), modules)
    assert key != key_of(Files("thing", "module", "example.com", "folder"), modules)
    (modules / "module" / "main.go").write_text("package other")
    changed = key_of(PROGRAM, modules)
    (modules / "module" / "main.go").rename(modules / "module" / "other.go")
    assert len({key, changed, key_of(PROGRAM, modules)}) == 3


def test_the_cache_is_where_one_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Ours, else the user's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    monkeypatch.delenv("TRILITHON_TESTCLUSTER_CACHE", raising=False)
    assert cache_folder() == tmp_path / "user" / "trilithon-testcluster"
    monkeypatch.setenv("TRILITHON_TESTCLUSTER_CACHE", str(tmp_path / "ours"))
    assert cache_folder() == tmp_path / "ours"
    assert not is_built(BUILDS[0])


@pytest.mark.parametrize("one", BUILDS, ids=lambda one: one.name)
def test_every_line_of_the_table_has_its_module(one: Program | Files) -> None:
    """With a lock of everything that it fetches."""
    assert (MODULES_FOLDER / one.module / "go.mod").is_file()
    assert (MODULES_FOLDER / one.module / "go.sum").is_file()


def test_a_program_depends_on_no_place(tmp_path: Path) -> None:
    """Two checkouts share what they built."""
    command = command_of(PROGRAM, tmp_path / "thing")
    assert "-trimpath" in command
    assert command[-1] == "."
    assert command_of(Program("thing", "module", is_test=True), tmp_path / "thing")[:3] == ["go", "test", "-c"]


def test_what_is_not_built_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that builds it; what is built is linked, again and again."""
    monkeypatch.setenv("TRILITHON_TESTCLUSTER_CACHE", str(tmp_path))
    with pytest.raises(Failure, match=r"not built yet: etcd.*make cluster-build"):
        building.link(tmp_path / "bin", BUILDS[:1])
    place = place_of(BUILDS[0])
    place.parent.mkdir(parents=True)
    place.write_text("program")
    for _ in range(2):
        building.link(tmp_path / "bin", BUILDS[:1])
        assert (tmp_path / "bin" / "etcd").read_text() == "program"


def test_without_go_one_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And which version."""
    monkeypatch.setenv("TRILITHON_TESTCLUSTER_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Failure, match=r"no go command.*Go 1\.\d+ or newer"):
        building.build(BUILDS[:1])


@pytest.mark.parametrize(
    ("version", "toolchain", "is_enough"),
    [
        ("go1.26.0", "auto", True),
        ("go1.27rc1", "local", True),
        ("go1.22.3", "auto", True),
        ("go1.22.3", "local", False),
        ("go1.19.8", "", False),
        ("devel go1.28-abcdef", "local", True),
    ],
)
def test_an_old_go_will_do_if_it_fetches_a_newer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, toolchain: str, is_enough: bool
) -> None:
    """From 1.21 on it does, unless it was told not to."""
    go = tmp_path / "go"
    go.write_text(f"#!/bin/sh\nprintf '%s\\n' '{version}' '{toolchain}'\n")
    go.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    if is_enough:
        building.check_go()
    else:
        with pytest.raises(Failure, match=version):
            building.check_go()


@pytest.mark.parametrize(
    ("output", "advice"),
    [
        ('Get "https://example.com/": dial tcp: lookup example.com: no such host', "GOPROXY"),
        ("write /tmp/x: no space left on device", "disk is full"),
        ("main.go:3: undefined: x", "undefined"),
    ],
)
def test_a_failed_build_says_what_to_do(output: str, advice: str) -> None:
    """And what the go command said."""
    text = building.explained("etcd could not be built", output)
    assert text.startswith("etcd could not be built")
    assert advice in text
    assert output in text


def test_progress_is_plain_where_nobody_watches() -> None:
    """A line at the start; no control characters."""
    output = io.StringIO()
    with building.Progress("build: thing", output) as progress:
        progress.note("go: downloading example.com v1.0.0\n")
        progress.note("example.com/thing\n")
    assert output.getvalue() == "build: thing\n"
