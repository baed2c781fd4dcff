"""The limits of a container, as control groups of either version tell them."""

from __future__ import annotations

from pathlib import Path

import pytest

from trilithon.sinks.envoy.container_limits import memory_limit, open_files_limit
from trilithon.xds.bootstrap import EnvoyLimits, heap_within


@pytest.mark.parametrize(
    ("written", "limit"),
    [
        pytest.param("536870912\n", 512 << 20, id="a limit"),
        pytest.param("max\n", None, id="none in version 2"),
        pytest.param("9223372036854771712\n", None, id="none in version 1"),
        pytest.param("", None, id="nothing"),
    ],
)
def test_the_memory_limit_is_read(tmp_path: Path, written: str, limit: int | None) -> None:
    (tmp_path / "memory.max").write_text(written)
    assert memory_limit((tmp_path / "missing", tmp_path / "memory.max")) == limit


def test_load_is_shed_before_the_memory_is_used_up() -> None:
    assert heap_within(EnvoyLimits(), 512 << 20).heap_bytes == int((512 << 20) * 0.8)
    assert heap_within(EnvoyLimits(), 64 << 30) == EnvoyLimits()


def test_files_may_be_opened() -> None:
    assert open_files_limit() > 0
