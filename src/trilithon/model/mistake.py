"""What a kind of mistake is, and the one kind that an object of every kind can have."""

from __future__ import annotations

from msgspec import Struct

from trilithon.resources.meta import Key
from trilithon.resources.problem import Problem, Severity


class Mistake(Struct, frozen=True):
    """One kind of mistake.

    ``condition`` and ``reason`` are the spec's words, "" where a mistake does not touch a condition. ``message`` and
    ``hint`` are templates for ``str.format``.
    """

    code: str
    condition: str
    reason: str
    message: str
    hint: str = ""
    severity: Severity = "error"

    def at(self, key: Key, path: str, **words: object) -> Problem:
        """This mistake in this object at this field; a hint may be given as the word ``hint``."""
        hint = words.pop("hint", None)
        return Problem(
            code=self.code,
            key=key,
            path=path,
            message=self.message.format(**words),
            hint=str(hint) if hint is not None else self.hint.format(**words),
            severity=self.severity,
        )


FIELD_UNSUPPORTED = Mistake(
    "FieldUnsupported",
    "",
    "",
    "{field} is not supported yet and has no effect",
    severity="warning",
)
