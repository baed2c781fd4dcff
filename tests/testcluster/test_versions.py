"""The versions in the one file are those that the go command reads."""

from __future__ import annotations

import re

from testcluster.cache import MODULES_FOLDER
from testcluster.versions import GO_AT_LEAST, KUBERNETES_STAGING, MODULES

REQUIRED = re.compile(r"^\s*(?:require )?(\S+) (v\S+)$", re.MULTILINE)
REPLACED = re.compile(r"^\s*(?:replace )?(k8s\.io/\S+) => \S+ (v\S+)$", re.MULTILINE)
FILES = sorted(MODULES_FOLDER.glob("*/go.mod"))


def test_modules_have_the_version_they_should() -> None:
    """Each that is named is required, in that version only."""
    found: dict[str, set[str]] = {}
    for file in FILES:
        for module, version in REQUIRED.findall(file.read_text()):
            found.setdefault(module, set()).add(version)
    assert {module: found[module] for module in MODULES} == {module: {version} for module, version in MODULES.items()}


def test_all_of_kubernetes_is_of_one_version() -> None:
    """The modules that it replaces in its own tree."""
    replaced = REPLACED.findall((MODULES_FOLDER / "kube" / "go.mod").read_text())
    assert len(replaced) > 20
    assert {version for _, version in replaced} == {KUBERNETES_STAGING}


def test_no_module_needs_a_newer_go_than_is_said() -> None:
    """Or the message about an old one would be wrong."""
    for file in FILES:
        wanted = re.search(r"^go (\d+)\.(\d+)", file.read_text(), re.MULTILINE)
        assert wanted
        assert (int(wanted[1]), int(wanted[2])) <= GO_AT_LEAST


def test_no_lock_names_an_address() -> None:
    """Whoever fetches modules chooses from where."""
    assert not [file for file in MODULES_FOLDER.glob("*/go.*") if "://" in file.read_text()]
