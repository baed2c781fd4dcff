"""How long to wait before the next attempt: longer after every failure, and never in step with others."""

from __future__ import annotations

import random

FIRST_SECONDS = 0.5
# An API server that returns is noticed within this time.
LONGEST_SECONDS = 8.0
# A server may ask for more patience than that, but not for any.
LONGEST_ASKED_SECONDS = 120.0


class Backoff:
    """Doubles from ``first`` to ``longest`` seconds; each wait is between half of that and all of it."""

    def __init__(self, dice: random.Random, first: float = FIRST_SECONDS, longest: float = LONGEST_SECONDS) -> None:
        self._dice = dice
        self._first = first
        self._longest = longest
        self._failures = 0

    def reset(self) -> None:
        """Something succeeded."""
        self._failures = 0

    def failed(self, asked: float | None = None) -> float:
        """Seconds to wait after one more failure; at least what the server ``asked`` for, within reason."""
        wait = min(self._longest, self._first * 2.0 ** min(self._failures, 30))
        self._failures += 1
        wait *= self._dice.uniform(0.5, 1.0)
        if asked is None:
            return wait
        # Those who were turned away together do not return together.
        return max(wait, min(asked, LONGEST_ASKED_SECONDS) + self._dice.uniform(0.0, self._first))
