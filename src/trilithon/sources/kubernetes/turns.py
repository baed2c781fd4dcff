"""Keys in lines that take turns: a long line makes nobody in another one wait.

No IO.
"""

from __future__ import annotations

from collections import deque

from trilithon.resources.meta import Key


class Turns:
    """One line for each name; in a line, who came first is first."""

    def __init__(self) -> None:
        self._lines: dict[str, deque[Key]] = {}
        # Every line that is not empty, the next one first.
        self._order: deque[str] = deque()

    def put(self, line: str, key: Key) -> None:
        """To the end of a line."""
        waiting = self._lines.get(line)
        if waiting is None:
            waiting = self._lines[line] = deque()
            self._order.append(line)
        waiting.append(key)

    def take(self) -> Key | None:
        """The first of the line whose turn it is; None if nobody waits."""
        if not self._order:
            return None
        line = self._order.popleft()
        waiting = self._lines[line]
        key = waiting.popleft()
        if waiting:
            self._order.append(line)
        else:
            del self._lines[line]
        return key
