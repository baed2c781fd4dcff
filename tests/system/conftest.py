"""Folders that the system tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.system.manifests import Folder


@pytest.fixture
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the program's sockets are: their paths have to be short, unlike those of tests."""
    return tmp_path_factory.mktemp("run")


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """An empty folder of manifests."""
    path = tmp_path / "manifests"
    path.mkdir()
    return Folder(path)


@pytest.fixture(scope="module")
def shared_runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same for a program that serves all tests of a module."""
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """The same for a program that serves all tests of a module."""
    return Folder(tmp_path_factory.mktemp("manifests"))
