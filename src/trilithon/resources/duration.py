"""Durations as Gateway API writes them (GEP-2257): one to four whole numbers, each with a unit."""

from __future__ import annotations

import re

_SHAPE = re.compile(r"(?:[0-9]{1,5}(?:h|m|s|ms)){1,4}")
_PARTS = re.compile(r"([0-9]{1,5})(h|ms|m|s)")
_MILLISECONDS = {"h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}


def parse_duration(text: str) -> int:
    """The duration in milliseconds; a unit may come twice and in any order, and the parts add up.

    Raises ``ValueError`` for anything that the pattern of the CRDs refuses.
    """
    if not _SHAPE.fullmatch(text):
        raise ValueError(f"{text!r} is not a duration such as 15s, 200ms or 1h30m")
    return sum(int(number) * _MILLISECONDS[unit] for number, unit in _PARTS.findall(text))
