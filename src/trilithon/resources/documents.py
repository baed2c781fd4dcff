"""Brings a parsed document into the plain form that decoding works on, within limits of depth and size.

The form is what an API server would have received as JSON: mappings with text keys, lists, text, numbers, true
false and null.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trilithon.resources.wording import Finding, described, printable

# The deepest field of the kinds read here is 13 levels down; the rest is room for fields of later versions.
# YAML anchors can make a document contain itself, and then this limit ends the walk.
MAX_DEPTH = 64
# An API server takes requests of 3 MiB. YAML aliases can make a small file stand for a huge document.
MAX_CHARACTERS = 3 * 2**20
# An EndpointSlice of 1000 endpoints, the most there may be, has about 20,000 values.
MAX_VALUES = 100_000
# Whole numbers up to here are exact as floats, and "80.0" reaches an API server as 80.
_EXACT = 2**53

_Path = tuple[Any, ...]


class DocumentTooBig(Exception):
    """The document is deeper or larger than any object can be."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.finding = Finding("TooBig", path, message)


class _Walk:
    def __init__(self) -> None:
        self.values = 0
        self.characters = 0
        self.findings: list[Finding] = []

    def plain(self, value: Any, path: _Path, depth: int) -> Any:
        kind = type(value)
        if kind is int or kind is bool or value is None:
            return value
        if kind is str:
            return self._text(value, path)
        if depth > MAX_DEPTH:
            raise DocumentTooBig("", f"the document is nested more than {MAX_DEPTH} levels deep")
        # The plain types first: asking for the abstract one takes far longer.
        if kind is dict or (kind is not list and isinstance(value, Mapping)):
            return self._mapping(value, path, depth)
        if isinstance(value, (list, tuple)):
            self._count(len(value))
            return [self.plain(item, (path, index), depth + 1) for index, item in enumerate(value)]
        if isinstance(value, str):
            return self._text(str(value), path)
        if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT:
            return int(value)
        return value

    def _mapping(self, value: Mapping[Any, Any], path: _Path, depth: int) -> dict[str, Any]:
        self._count(len(value))
        found: dict[str, Any] = {}
        for written, item in value.items():
            name = written if type(written) is str else self._name(written, path)
            if name is None:
                continue
            if name is not written and name in found:
                self.findings.append(Finding("DuplicateName", rendered((path, name)), "the field is there twice"))
            self._text(name, path)
            found[name] = self.plain(item, (path, name), depth + 1)
        return found

    def _name(self, written: Any, path: _Path) -> str | None:
        """A key as text, the way Kubernetes' YAML reader turns numbers and booleans into text."""
        if isinstance(written, bool):
            return str(written).lower()
        if isinstance(written, str) or (isinstance(written, (int, float)) and abs(written) <= _EXACT):
            return str(written)
        message = f"a field name must be text, got {described(written)}"
        self.findings.append(Finding("WrongType", rendered(path), message))
        return None

    def _text(self, text: str, path: _Path) -> str:
        self.characters += len(text)
        if self.characters > MAX_CHARACTERS:
            raise DocumentTooBig(
                "", f"the document is larger than {MAX_CHARACTERS >> 20} MiB, the most an object may have"
            )
        if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
            message = "the text holds half of a character (a surrogate), which UTF-8 cannot write"
            self.findings.append(Finding("InvalidValue", rendered(path), message))
        return text

    def _count(self, more: int) -> None:
        self.values += more
        if self.values > MAX_VALUES:
            raise DocumentTooBig("", f"the document has more than {MAX_VALUES} values")


def plain(document: object) -> tuple[Any, tuple[Finding, ...]]:
    """A copy in plain form, and what could not be brought into it. Raises ``DocumentTooBig``.

    Values of types that JSON does not know stay as they are: no field takes them, so that they are reported in place.
    """
    walk = _Walk()
    return walk.plain(document, (), 0), tuple(walk.findings)


def rendered(path: _Path) -> str:
    """The path of a nested (parent, name or index) tuple as text, a dot before each name."""
    parts: list[str] = []
    while path:
        path, step = path
        parts.append(f"[{step}]" if isinstance(step, int) else f".{printable(step)}")
    return "".join(reversed(parts))
