"""Reduce samples to the few numbers that are reported."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import median

from msgspec import Struct


class Spread(Struct, frozen=True):
    """How samples are spread: half are at most ``p50``; ``worst`` is the largest. In the unit of the samples."""

    count: int
    p50: float
    p99: float
    worst: float


class Fault(Exception):
    """A measurement could not be made; the message says why."""


def quantile(samples: Sequence[float], share: float) -> float:
    """The smallest sample that at least this share of all samples does not exceed (0 < share <= 1)."""
    if not samples:
        raise Fault("there are no samples")
    if not 0 < share <= 1:
        raise ValueError(f"{share} is no share")
    ordered = sorted(samples)
    # Rounded against floating point: 0.99 * 100 must be the 99th sample, not the 100th.
    return ordered[math.ceil(round(share * len(ordered), 9)) - 1]


def spread(samples: Iterable[float]) -> Spread:
    """The spread of at least one sample."""
    values = sorted(samples)
    p99 = quantile(values, 0.99)
    return Spread(len(values), median(values), p99, values[-1])


def ratio(ours: float, theirs: float) -> float | None:
    """Ours divided by theirs, or None where that says nothing."""
    return ours / theirs if theirs else None
