"""Read the API's durations (GEP-2257): one to four numbers with a unit, such as 1h30m or 500ms."""

from __future__ import annotations

import re

_PART = re.compile(r"([0-9]{1,5})(ms|h|m|s)")
_MILLISECONDS = {"h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}


def parse_duration(text: str) -> int:
    """Milliseconds of a duration that fits the API's pattern; parts of one unit add up."""
    return sum(int(number) * _MILLISECONDS[unit] for number, unit in _PART.findall(text))
