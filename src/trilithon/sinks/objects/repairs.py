"""Say how often an object may be put back as it was: whoever changes it again and again is not to be fought."""

from __future__ import annotations

import random

from trilithon.kube.backoff import Backoff
from trilithon.kube.objects import ObjectPath

FIRST_SECONDS, LONGEST_SECONDS = 1.0, 300.0
# An object that was left alone for so long is repaired at once again.
FORGIVING_SECONDS = 900.0


class Repairs:
    """Counts the repairs of each object. Times are seconds of any one clock."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._of: dict[ObjectPath, tuple[float, float, Backoff]] = {}

    def not_before(self, path: ObjectPath) -> float:
        """When the object may be repaired again."""
        known = self._of.get(path)
        return known[1] if known is not None else float("-inf")

    def made(self, path: ObjectPath, now: float) -> None:
        """The object was repaired."""
        last, _, backoff = self._of.get(path, (now, now, Backoff(self._dice, FIRST_SECONDS, LONGEST_SECONDS)))
        if now - last > FORGIVING_SECONDS:
            backoff.reset()
        self._of[path] = (now, now + backoff.failed(), backoff)

    def forget(self, path: ObjectPath) -> None:
        """The object is not wanted any more."""
        self._of.pop(path, None)
