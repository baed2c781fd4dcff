"""The shape of a rule, and the rules that many fields share."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

from msgspec import Struct

from trilithon.resources.wording import Finding, quoted

# A rule takes a typed part, or the value of a field, and returns what breaks it: nothing where all is well.
Rule = Callable[[Any], Sequence[Finding]]


class UniqueBy(Struct, frozen=True):
    """Entries of a list differ in one field: the CRDs' list type "map" with that key.

    ``attribute`` is the field's name here, ``field`` the one in documents, ``what`` the word for it in messages.
    """

    attribute: str
    field: str
    what: str

    def __call__(self, entries: tuple[Struct, ...]) -> Sequence[Finding]:
        """Each entry whose key an earlier one has."""
        if len(entries) < 2:
            return ()
        return repeated((getattr(entry, self.attribute) for entry in entries), self.what, f".{self.field}")


class Unique(Struct, frozen=True):
    """Values of a list differ: the CRDs' list type "set"."""

    what: str

    def __call__(self, values: tuple[str | int, ...]) -> Sequence[Finding]:
        """Each value that is there already."""
        return repeated(values, self.what, "") if len(values) > 1 else ()


def repeated(keys: Iterable[Hashable], what: str, path: str) -> list[Finding]:
    """A finding for each key that was there before; ``path`` leads from an entry to its key."""
    first: dict[Hashable, int] = {}
    found = []
    for index, key in enumerate(keys):
        earlier = first.setdefault(key, index)
        if earlier != index:
            shown = quoted(key) if isinstance(key, str) else str(key)
            message = f"the {what} {shown} is already that of entry [{earlier}]"
            found.append(Finding("DuplicateName", f"[{index}]{path}", message))
    return found
