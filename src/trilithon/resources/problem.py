"""A mistake in an object, as a value."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from trilithon.resources.meta import Key

Severity = Literal["error", "warning"]


class Problem(Struct, frozen=True, gc=False):
    """One mistake: in which object, at which field, what is wrong and what helps.

    ``path`` is the field path as the API server prints it, from the object's root: ``spec.rules[0].matches[1].path``;
    "" means the object as a whole. ``key`` is None where no object could be read at all; ``place`` then says where, as
    "file:line", so that two alike mistakes in two files are two.
    """

    code: str
    key: Key | None
    path: str
    message: str
    hint: str = ""
    severity: Severity = "error"
    place: str = ""

    def __str__(self) -> str:
        where = " ".join(part for part in (str(self.key) if self.key else self.place, self.path) if part)
        return f"{where}: {self.message}" if where else self.message
