"""What is shipped beside the program agrees with it: the kustomize base, and the recipe of the image."""

from __future__ import annotations

import re
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.invoking import trilithon
from trilithon.infrastructure import installation, pods

ROOT = Path(__file__).parents[2]
IMAGE = (ROOT / "Dockerfile").read_text()


def instructions(name: str) -> list[str]:
    """The arguments of every instruction of a name; continued lines are one."""
    lines = IMAGE.replace("\\\n", " ").splitlines()
    return [line.partition(" ")[2].strip() for line in lines if line.startswith(f"{name} ")]


def test_the_base_is_what_install_prints() -> None:
    printed = trilithon("install").stdout
    written = (ROOT / "deploy/trilithon.yaml").read_text()
    assert written == printed, "bring it up to date: .venv/bin/trilithon install > deploy/trilithon.yaml"


@pytest.mark.parametrize("folder", ["deploy", "deploy/roles"])
def test_each_base_names_every_file_beside_it(folder: str) -> None:
    base: dict[str, Any] = yaml.safe_load((ROOT / folder / "kustomization.yaml").read_text())
    files = {file.name for file in (ROOT / folder).glob("*.yaml")} - {"kustomization.yaml"}
    assert set(base["resources"]) == files


def test_the_image_has_one_stage_and_no_registry_in_its_name() -> None:
    (image,) = instructions("FROM")
    assert re.fullmatch(r"python:3\.\d+-slim", image)


def test_the_image_runs_as_the_user_of_the_pods() -> None:
    (user,) = instructions("USER")
    assert user == f"{installation.USER}:{installation.USER}"
    assert installation.USER == pods.USER > 0


def test_the_image_holds_what_the_lock_names_by_hash() -> None:
    (install, _) = instructions("RUN")
    assert "--require-hashes -r requirements.lock" in install
    locked = re.findall(
        r"^[a-z0-9._-]+==\S+.*?(?=^\S|\Z)",
        (ROOT / "requirements.lock").read_text(),
        re.MULTILINE | re.DOTALL | re.IGNORECASE,
    )
    assert len(locked) > 20
    assert all("--hash=sha256:" in entry for entry in locked)


@pytest.mark.parametrize("source", [copied.split()[0] for copied in instructions("COPY")])
def test_what_the_image_is_made_of_is_there(source: str) -> None:
    assert (ROOT / source).exists()
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert any(fnmatch(source, line.removeprefix("!")) for line in lines if line.startswith("!"))


def test_the_image_needs_no_more_than_the_runtime_dependencies() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    named = re.search(r"^dependencies = \[(.*?)^\]", project, re.MULTILINE | re.DOTALL)
    assert named is not None
    names = re.findall(r'^    "([A-Za-z0-9._-]+)', named[1], re.MULTILINE)
    locked = {
        name.lower()
        for name in re.findall(r"^([A-Za-z0-9._-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    }
    assert {name.lower().replace("_", "-") for name in names} <= {name.replace("_", "-") for name in locked}
