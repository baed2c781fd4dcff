"""Durations as GEP-2257 has them."""

from __future__ import annotations

import pytest

from trilithon.resources.duration import parse_duration


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("0s", 0),
        ("10ms", 10),
        ("15s", 15_000),
        ("1h30m", 5_400_000),
        ("1m1m", 120_000),
        ("1ms2s3m4h", 14_582_001),
        ("99999h", 359_996_400_000),
    ],
)
def test_a_duration_is_the_sum_of_its_parts(text: str, milliseconds: int) -> None:
    assert parse_duration(text) == milliseconds


@pytest.mark.parametrize(
    "text", ["", "1", "s", "1.5s", "-1s", "100000s", "1d", "1s1s1s1s1s", " 1s", "1s\n", "1µs", "\u0661s"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)
