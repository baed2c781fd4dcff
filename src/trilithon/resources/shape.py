"""Says all that is wrong with the shape of a part of a document: types, limits, patterns, missing and unknown fields.

msgspec stops at the first mistake and words it for programmers. So it only answers whether a part fits its
type; where it does not, the walk here goes over the same type once more, finds every mistake and names it in
plain words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sized
from functools import cache
from typing import Any

from msgspec import Struct, inspect

from trilithon.resources.wording import Finding, counted, described, join, meant, number, quoted

MAX_HINTS = 50


class Sound(Struct, frozen=True, gc=False):
    """The largest part without a mistake around a mistake elsewhere: its own rules can still be checked.

    It is the value of a field of the struct ``owner``, or where ``attribute`` is "" a value of the type
    ``owner`` itself.
    """

    path: str
    value: Any
    owner: type[Struct]
    attribute: str = ""


class Examined(Struct, frozen=True):
    """What is wrong, and which parts are sound. Without an error the whole value fits its type."""

    findings: tuple[Finding, ...]
    sound: tuple[Sound, ...]


def examine(
    value: Any, expected: type[Struct], path: str, *, secret: bool = False, nulls_are_zero: bool = False
) -> Examined:
    """Every mistake in a value of plain form. Unknown fields and nulls are taken out of it (``value`` is changed).

    ``secret`` keeps all values out of the messages. ``nulls_are_zero`` is for metadata and the kinds of Kubernetes
    itself, where a null entry of a list or a table is an empty text, zero or nothing.
    """
    walk = _Walk(secret, nulls_are_zero)
    walk.value(value, _type_info(expected), path)
    return Examined(tuple(walk.findings), tuple(walk.sound))


# A duration's numbers have five digits at most.
MAX_SECONDS = 99_999


@cache
def _type_info(expected: type[Struct]) -> inspect.Type:
    return inspect.type_info(expected)


class _Walk:
    """Each method returns whether the value fits."""

    def __init__(self, secret: bool, nulls_are_zero: bool) -> None:
        self.secret = secret
        self.nulls_are_zero = nulls_are_zero
        self.findings: list[Finding] = []
        self.sound: list[Sound] = []

    def value(self, value: Any, expected: inspect.Type, path: str) -> bool:
        words = ""
        if isinstance(expected, inspect.Metadata):
            words = (expected.extra_json_schema or {}).get("description", "")
            expected = expected.type
        match expected:
            case inspect.UnionType():
                return self._union(value, expected, path)
            case inspect.StructType():
                return self._struct(value, expected, path)
            case inspect.VarTupleType():
                return self._list(value, expected, path)
            case inspect.DictType():
                return self._mapping(value, expected, path)
            case inspect.StrType():
                return self._text(value, expected, path, words)
            case inspect.IntType():
                return self._number(value, expected, path)
            case inspect.BoolType():
                return isinstance(value, bool) or self._wrong_type(value, "true or false", path)
            case inspect.LiteralType():
                return self._choice(value, expected.values, path)
            case inspect.AnyType():
                return True
            case _:
                raise TypeError(f"no rule for {type(expected).__name__} at {path}")

    def _say(self, code: str, path: str, message: str, hint: str = "") -> bool:
        self.findings.append(Finding(code, path, message, hint))
        return False

    def _wrong_type(self, value: Any, expected: str, path: str, hint: str = "") -> bool:
        if not hint and expected == "a text" and isinstance(value, (bool, int, float)):
            hint = "put it in quotes"
        elif isinstance(value, str) and expected in ("a number", "true or false"):
            hint = "remove the quotes" if value.isdecimal() or value in ("true", "false") else ""
        elif expected == "a list" and value is not None:
            hint = "begin each entry with a dash"
        got = described(value, secret=self.secret)
        return self._say("WrongType", path, f"expected {expected}, got {got}", hint)

    def _union(self, value: Any, expected: inspect.UnionType, path: str) -> bool:
        """Types here are X | None, where an absent field is the only None, choices of text, or a number or text."""
        kinds = [kind for kind in expected.types if not isinstance(kind, inspect.NoneType)]
        if all(isinstance(kind, inspect.LiteralType) for kind in kinds):
            values = [value for kind in kinds if isinstance(kind, inspect.LiteralType) for value in kind.values]
            return self._choice(value, values, path)
        if isinstance(value, str):
            kinds.sort(key=lambda kind: not isinstance(kind, inspect.StrType))
        return self.value(value, kinds[0], path)

    def _choice(self, value: Any, choices: Iterable[str | int | bool | None], path: str) -> bool:
        known = tuple(choices)
        if type(value) is not type(known[0]):
            return self._wrong_type(value, "a text" if isinstance(known[0], str) else "a number", path)
        if value in known:
            return True
        what = "this value" if self.secret else quoted(value) if isinstance(value, str) else described(value)
        names = [str(choice) for choice in known]
        allowed = f"{', '.join(names[:-1])} or {names[-1]}" if len(names) > 1 else names[0]
        return self._say("InvalidValue", path, f"{what} is not one of {allowed}", meant(str(value)[:80], names))

    def _text(self, value: Any, expected: inspect.StrType, path: str, words: str) -> bool:
        if not isinstance(value, str):
            is_seconds = type(value) is int and 0 <= value <= MAX_SECONDS and words.startswith("a duration")
            return self._wrong_type(value, "a text", path, f"write {value}s" if is_seconds else "")
        if len(value) < (expected.min_length or 0):
            return self._say("InvalidValue", path, "must not be empty")
        if expected.max_length is not None and len(value) > expected.max_length:
            message = f"is {len(value)} characters long, and {expected.max_length} are allowed"
            return self._say("InvalidValue", path, message)
        if expected.pattern is not None and not re.search(expected.pattern, value):
            what = "the text" if self.secret else quoted(value)
            return self._say("InvalidValue", path, f"{what} is not {words or 'of the form ' + expected.pattern}")
        return True

    def _number(self, value: Any, expected: inspect.IntType, path: str) -> bool:
        if type(value) is not int:
            whole = "a whole number" if isinstance(value, float) else "a number"
            return self._wrong_type(value, whole, path)
        low, high = expected.ge, expected.le
        if (low is not None and value < low) or (high is not None and value > high):
            what = "the number" if self.secret else f"the number {number(value)}"
            bounds = f"between {low} and {high}" if high is not None else f"at least {low}"
            return self._say("InvalidValue", path, f"{what} is not {bounds}")
        return True

    def _size(self, value: Sized, expected: inspect.VarTupleType | inspect.DictType, path: str) -> bool:
        if expected.min_length is not None and len(value) < expected.min_length:
            return self._say("TooFew", path, f"needs at least {counted(expected.min_length, 'entry')}")
        if expected.max_length is not None and len(value) > expected.max_length:
            message = f"has {counted(len(value), 'entry')}, and {expected.max_length} are allowed"
            return self._say("TooMany", path, message)
        return True

    def _list(self, value: Any, expected: inspect.VarTupleType, path: str) -> bool:
        if not isinstance(value, list):
            return self._wrong_type(value, "a list", path)
        self._fill_nulls(value, enumerate(value), expected.item_type)
        fits = self._size(value, expected, path)
        # Entries beyond the limit are not read: the list is refused anyway, and it can be as long as a document.
        entries = value[: expected.max_length] if expected.max_length is not None else value
        each = [self.value(item, expected.item_type, f"{path}[{index}]") for index, item in enumerate(entries)]
        if fits and all(each):
            return True
        if isinstance(expected.item_type, inspect.StructType):
            cls = expected.item_type.cls
            self.sound += [Sound(f"{path}[{index}]", entries[index], cls) for index, good in enumerate(each) if good]
        return False

    def _mapping(self, value: Any, expected: inspect.DictType, path: str) -> bool:
        if not isinstance(value, dict):
            return self._wrong_type(value, "a mapping", path)
        self._fill_nulls(value, value.items(), expected.value_type)
        _drop_nulls(value)
        fits = self._size(value, expected, path)
        entries = list(value.items())[: expected.max_length] if expected.max_length is not None else value.items()
        # Each is looked at, also after a mistake.
        each = [self.value(item, expected.value_type, f"{path}[{_step(key)}]") for key, item in entries]
        return fits and all(each)

    def _struct(self, value: Any, expected: inspect.StructType, path: str) -> bool:
        if not isinstance(value, dict):
            return self._wrong_type(value, "a mapping", path)
        self._unknown(value, expected, path)
        _drop_nulls(value)
        fits = True
        good: list[Sound] = []
        for field in expected.fields:
            at = join(path, f".{field.encode_name}")
            if field.encode_name not in value:
                if field.required:
                    fits = self._say("MissingField", at, "is required")
            elif self.value(value[field.encode_name], field.type, at):
                good.append(Sound(at, value[field.encode_name], expected.cls, field.name))
            else:
                fits = False
        if not fits:
            self.sound += good
        return fits

    def _fill_nulls(self, holder: Any, entries: Iterable[tuple[Any, Any]], expected: inspect.Type) -> None:
        if self.nulls_are_zero:
            for key in [key for key, entry in entries if entry is None]:
                holder[key] = _zero(expected)

    def _unknown(self, value: dict[str, Any], expected: inspect.StructType, path: str) -> None:
        names = [field.encode_name for field in expected.fields]
        for name in [name for name in value if name not in names]:
            del value[name]
            if expected.forbid_unknown_fields:
                # Looking for near names is slow, and nobody reads a hint to the thousandth mistake.
                close = names if len(self.findings) < MAX_HINTS else []
                self.findings.append(unknown_field(name, close, path))


def unknown_field(name: str, known: Iterable[str], path: str) -> Finding:
    """The warning that a field does not exist: it is left out, as an API server leaves it out."""
    at = join(path, f".{_step(name)}")
    return Finding("UnknownField", at, "there is no such field, so it has no effect", meant(name, known), "warning")


def _drop_nulls(value: dict[str, Any]) -> None:
    for name in [name for name, entry in value.items() if entry is None]:
        del value[name]


def _zero(expected: inspect.Type) -> Any:
    match expected:
        case inspect.Metadata():
            return _zero(expected.type)
        case inspect.StructType() | inspect.DictType():
            return {}
        case inspect.StrType() | inspect.LiteralType():
            return ""
        case inspect.IntType():
            return 0
        case _:
            return None


def _step(name: str) -> str:
    return quoted(name)[1:-1]
