"""A container's image is found whatever its registry and tag."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from testcluster.kubelet.images import Image, Images, image_name


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("trilithon", "trilithon"),
        ("trilithon:1.2", "trilithon"),
        ("library/trilithon:1.2", "library/trilithon"),
        ("registry.example/gateway-api/echo-basic:v1", "gateway-api/echo-basic"),
        ("localhost:5000/a/b@sha256:0123", "a/b"),
        ("localhost/a", "a"),
        ("localhost:5000/a", "a"),
    ],
)
def test_only_the_name_counts(image: str, name: str) -> None:
    """Neither host, port, tag nor digest."""
    assert image_name(image) == name


def test_the_table_is_read_again_when_it_changes(tmp_path: Path) -> None:
    """Its commands have the variables filled in, and its users."""
    table = tmp_path / "images.toml"
    table.write_text('"a/b" = ["{bin}/b", "-x"]\n')
    images = Images(table, {"bin": "/programs"})
    assert images.find("host.example/a/b:1") == Image(("/programs/b", "-x"))
    assert images.find("other") is None
    table.write_text('other = {command = ["o"], user = 7}\n')
    os.utime(table, ns=(1, 1))
    assert images.find("other") == Image(("o",), 7)
    assert images.find("a/b") is None
