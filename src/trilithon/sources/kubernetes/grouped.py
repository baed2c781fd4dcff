"""Keys by something that they have in common, in the order in which they came.

No IO.
"""

from __future__ import annotations

from trilithon.resources.meta import Key


class Grouped:
    """Groups of keys; a group without any is none."""

    def __init__(self) -> None:
        self._groups: dict[str, dict[Key, None]] = {}

    def __getitem__(self, group: str) -> tuple[Key, ...]:
        return tuple(self._groups.get(group, ()))

    def add(self, group: str, key: Key) -> None:
        """It belongs to this group too."""
        self._groups.setdefault(group, {})[key] = None

    def discard(self, group: str, key: Key) -> None:
        """It does not belong there any more, if it did."""
        keys = self._groups.get(group)
        if keys is not None and key in keys:
            del keys[key]
            if not keys:
                del self._groups[group]
