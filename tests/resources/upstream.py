"""The published Go modules of Gateway API, whose CRDs and manifests are what the resources are compared with."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

VERSION = "v1.6.1"
MODULE = "sigs.k8s.io/gateway-api"


@functools.cache
def module_folder(module: str) -> Path:
    """Where the module's files are, downloaded if need be; without a Go toolchain the test is skipped, and says so."""
    go = shutil.which("go")
    if go is None:
        pytest.skip(f"install Go to include what is compared with {module}@{VERSION} (its CRDs, examples and tests)")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "go.mod").write_text("module example.test/manifests\n")
        command = [go, "mod", "download", "-json", f"{module}@{VERSION}"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100, check=False)
    found = json.loads(done.stdout) if done.stdout.startswith("{") else {}
    if done.returncode or "Dir" not in found:
        pytest.skip(f"{module}@{VERSION} could not be downloaded: {found.get('Error') or done.stderr.strip()}")
    return Path(found["Dir"])


# The conformance suite fills these in before it applies its manifests.
PLACEHOLDERS = {
    "{GATEWAY_CONTROLLER_NAME}": "trilithon.dev/gateway-controller",
    "PLACEHOLDER_UNUSABLE_ADDRS": "192.0.2.1",
    "PLACEHOLDER_USABLE_ADDRS": "127.0.0.1",
}


def manifests(folder: Path) -> Iterator[tuple[Path, Any]]:
    """Every document below the folder, with its file."""
    for file in sorted(folder.rglob("*.yaml")):
        text = file.read_text()
        for placeholder, value in PLACEHOLDERS.items():
            text = text.replace(placeholder, value)
        for document in yaml.load_all(text, Loader=yaml.CSafeLoader):
            if document is not None:
                yield file, document


def schema(channel: str, plural: str, version: str = "v1") -> dict[str, Any]:
    """The schema of a kind's CRD."""
    found: dict[str, Any] = _schemas(channel, plural)[version]
    return found


@functools.cache
def _schemas(channel: str, plural: str) -> dict[str, Any]:
    file = module_folder(MODULE) / f"config/crd/{channel}/gateway.networking.k8s.io_{plural}.yaml"
    crd = yaml.load(file.read_text(), Loader=yaml.CSafeLoader)
    return {entry["name"]: entry["schema"]["openAPIV3Schema"] for entry in crd["spec"]["versions"]}
