"""Decide when a change in a folder is announced: at once when it is alone, together with others when many come.

Pure: time is an argument, in seconds of any clock that only grows.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

# The gaps in a `git checkout`, a `cp -r` or an editor's save are far smaller.
QUIET_SECONDS = 0.020
# Nobody who changes files all the time may keep an older change from being served.
LONGEST_SECONDS = 0.250

What = TypeVar("What", bound=Hashable)


class Holdoff(Generic[What]):
    """Collects what has changed until it is due.

    - The first change after a quiet time is due at once: somebody edits one file and waits for it.
    - Those that follow are due together, when nothing has come for ``quiet`` seconds, or ``longest`` seconds after the
      first of them.
    - What is gone is due after ``quiet`` seconds: editors move a file away just before they write it anew.
    - What is unfinished, a file whose writer has not closed it, is due after ``longest`` seconds: half a file is rarely
      what anybody means.
    """

    def __init__(self, quiet: float = QUIET_SECONDS, longest: float = LONGEST_SECONDS) -> None:
        self._quiet = quiet
        self._longest = longest
        self._changed: set[What] = set()
        self._due = self._last = float("-inf")
        # By when the changes that are waiting now must be announced, whatever happens to them meanwhile.
        self._latest: float | None = None
        self._gone: dict[What, float] = {}
        self._unfinished: dict[What, float] = {}

    def changed(self, what: What, now: float) -> None:
        """Something has changed and is complete."""
        self._gone.pop(what, None)
        self._unfinished.pop(what, None)
        if self._latest is None:
            is_alone = now - self._last >= self._quiet
            self._latest = now if is_alone else now + self._longest
        self._changed.add(what)
        self._due = min(now + self._quiet, self._latest)
        self._last = now

    def gone(self, what: What, now: float) -> None:
        """Something has been deleted or moved away, perhaps to come back in a moment."""
        self._unfinished.pop(what, None)
        self._changed.discard(what)
        self._gone.setdefault(what, now + self._quiet)

    def unfinished(self, what: What, now: float) -> None:
        """Something changes and is not complete yet."""
        self._gone.pop(what, None)
        latest = now + self._longest
        if what in self._changed and self._latest is not None:
            # A change that was waiting anyway does not wait longer because there is more of it.
            latest = min(latest, max(self._latest, now + self._quiet))
            self._changed.discard(what)
        self._unfinished.setdefault(what, latest)

    def due(self) -> float | None:
        """When ``take`` will give something; None when nothing is waiting. A time in the past means now."""
        times = [*self._gone.values(), *self._unfinished.values()]
        if self._changed:
            times.append(self._due)
        return min(times, default=None)

    def take(self, now: float) -> frozenset[What]:
        """All that is due now, once."""
        taken: set[What] = set()
        if self._changed and self._due <= now:
            taken, self._changed = self._changed, set()
        for waiting in (self._gone, self._unfinished):
            late = [what for what, due in waiting.items() if due <= now]
            for what in late:
                del waiting[what]
            taken.update(late)
        if taken:
            self._last = now
            if not self._changed:
                self._latest = None
        return frozenset(taken)
