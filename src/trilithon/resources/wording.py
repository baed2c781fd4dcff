"""How mistakes in a document are put into words: values short and harmless, wrong names with the nearest right one."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable

from msgspec import Struct

from trilithon.resources.problem import Severity

# Long enough to recognise a value by, short enough for a line of a terminal.
SHOWN_CHARACTERS = 60


class Finding(Struct, frozen=True, gc=False):
    """A mistake in some part of a document.

    ``path`` continues the path of that part: "" is the part itself, others begin with "." or "[". The codes are few and
    stable: MissingField, WrongType, InvalidValue, TooMany, TooFew, DuplicateName, ConflictingFields, UnknownField.
    """

    code: str
    path: str
    message: str
    hint: str = ""
    severity: Severity = "error"

    def under(self, prefix: str) -> Finding:
        """The same mistake seen from further out."""
        return Finding(self.code, prefix + self.path, self.message, self.hint, self.severity)


def join(prefix: str, path: str) -> str:
    """Two paths as one; "" is the document itself, so that a field of it has no dot before it."""
    return (prefix + path).removeprefix(".")


def printable(text: str) -> str:
    """The text without anything that could steer a terminal, cut to a length that fits a line."""
    short = text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 3] + "..."
    return short if short.isprintable() else short.encode("unicode_escape").decode("ascii")


def quoted(text: str) -> str:
    """The text in quotes, fit for a message."""
    return f'"{printable(text)}"'


def described(value: object, *, secret: bool = False) -> str:
    """What was written, for "expected a number, got ..."; the value itself is left out where it is secret."""
    match value:
        case None:
            return "nothing (null)"
        case str():
            return "a text" if secret else f"the text {quoted(value)}"
        case bool():
            return "true or false" if secret else f"the value {str(value).lower()}"
        case int() | float():
            return "a number" if secret else f"the number {number(value)}"
        case list():
            return "a list"
        case dict():
            return "a mapping"
        case _:
            return f"a value of type {type(value).__name__}"


def number(value: float) -> str:
    """The number as text; Python refuses to print whole numbers of several thousand digits."""
    is_long = value.bit_length() > 1000 if isinstance(value, int) else math.isinf(value)
    return "beyond 300 digits" if is_long else str(value)


def nearest(name: str, names: Iterable[str], *, likeness: float = 0.7) -> str:
    """The one of the names that this was probably meant to be, or ""; ``likeness`` is 1 for equal names."""
    if len(name) > SHOWN_CHARACTERS:
        return ""
    by_lower = {known.lower(): known for known in names}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=likeness)
    return by_lower[close[0]] if close else ""


def meant(name: str, names: Iterable[str]) -> str:
    """A hint with the nearest name, or ""."""
    close = nearest(name, names)
    return f"did you mean {close}?" if close else ""


def counted(count: int, word: str) -> str:
    """The number with the word in singular or plural."""
    if count == 1:
        return f"1 {word}"
    return f"{count} {word[:-1]}ies" if word.endswith("y") else f"{count} {word}s"
