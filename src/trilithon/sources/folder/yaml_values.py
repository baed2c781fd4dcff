"""Turn YAML nodes into plain JSON values, as ``kubectl apply`` would read them, within limits.

Scalars become what JSON can hold: dates stay text, and so do octal, hexadecimal and sexagesimal numbers. Duplicate keys
are refused, merge keys ("<<") work, and no text can exhaust the stack or the memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

# No Kubernetes type nests deeper than about 30 fields.
MAX_DEPTH = 100
# libyaml's composer recurses on the C stack; an 8 MB stack holds this many levels several times over.
SAFE_COMPOSE_DEPTH = 2_000
# What aliases may add to one document: far above honest anchors, far below what a "billion laughs" needs to hurt.
MAX_ALIASED_VALUES = 100_000

_PREFIX = "tag:yaml.org,2002:"
_STR, _INT, _FLOAT, _BOOL, _NULL, _MERGE, _MAP, _SEQ = (
    _PREFIX + name for name in ("str", "int", "float", "bool", "null", "merge", "map", "seq")
)

# YAML 1.1's words without "y" and "n": kubectl takes these for booleans.
_BOOLS = {
    spelling: word in ("true", "yes", "on")
    for word in ("true", "yes", "on", "false", "no", "off")
    for spelling in (word, word.capitalize(), word.upper())
}
_NULLS = frozenset(("", "~", "null", "Null", "NULL"))
# Leading zeros, 0x, underscores and colons make no number: nobody's "0123" or "12:30" becomes another one, and where a
# number is needed the text is refused by name.
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})\Z")
_DECIMAL = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]{1,2})?\Z")
# Beyond this a JSON number is not exact.
_EXACT = 2**53

Value = dict[str, "Value"] | list["Value"] | str | int | float | bool | None


class Refused(Exception):
    """A document that cannot become a value: what is wrong, and the line it is in, from 0 in its text."""

    def __init__(self, code: str, line: int, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.line = line
        self.message = message
        self.hint = hint


class _Loader(yaml.CSafeLoader):
    """libyaml's composer with our own resolver."""

    def resolve(self, kind: type[Node], value: str, implicit: tuple[bool, bool]) -> str:
        """The tag of a node that has none written."""
        if kind is ScalarNode:
            return _tag_of(value) if implicit[0] else _STR
        return _MAP if kind is MappingNode else _SEQ


@lru_cache(maxsize=4096)
def _tag_of(text: str) -> str:
    if text in _NULLS:
        return _NULL
    if text in _BOOLS:
        return _BOOL
    if text == "<<":
        return _MERGE
    if _INTEGER.match(text):
        return _INT
    return _FLOAT if _DECIMAL.match(text) else _STR


def compose(text: bytes) -> Node:
    """The nodes of one document, safe to walk recursively.

    Raises Refused for nesting or aliases over the limits, yaml.YAMLError for broken syntax.
    """
    _refuse_depth(text)
    loader = _Loader(text)
    try:
        root: Node | None = loader.get_single_node()
    finally:
        loader.dispose()
    if root is None:
        raise Refused("YAMLSyntax", 0, "the document is empty")
    if b"&" in text and b"*" in text:
        _refuse_alias_bomb(root)
    return root


def _refuse_depth(text: bytes) -> None:
    """Refuse nesting that would overflow the composer's stack, counted by the parser, which does not recurse."""
    brackets = text.count(b"[") + text.count(b"{")
    if brackets <= SAFE_COMPOSE_DEPTH:
        # A block level takes a column, or half of one (a list may stand at its key's column).
        columns = max(map(len, text.splitlines()), default=0)
        if 2 * columns + brackets <= SAFE_COMPOSE_DEPTH:
            return
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise _too_deep(event.start_mark.line if event.start_mark else 0)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _too_deep(line: int) -> Refused:
    return Refused("YAMLLimit", line, f"nested deeper than {MAX_DEPTH} levels")


def _refuse_alias_bomb(root: Node) -> None:
    """Refuse aliases that contain themselves or multiply the document."""
    sizes: dict[int, int] = {}
    above: set[int] = set()

    def size(node: Node) -> int:
        known = sizes.get(id(node))
        if known is not None:
            return known
        if id(node) in above:
            raise Refused("YAMLLimit", _line(node), "an anchor contains an alias of itself")
        if len(above) > MAX_DEPTH:
            raise _too_deep(_line(node))
        above.add(id(node))
        total = sizes[id(node)] = 1 + sum(size(child) for child in _children(node))
        above.discard(id(node))
        return total

    if size(root) - len(sizes) > MAX_ALIASED_VALUES:
        message = f"its aliases stand for more than {MAX_ALIASED_VALUES:,} values"
        raise Refused("YAMLLimit", _line(root), message, "write the values out, or split the document")


def _children(node: Node) -> Iterator[Node]:
    if isinstance(node, MappingNode):
        for pair in node.value:
            yield from pair
    elif isinstance(node, SequenceNode):
        yield from node.value


def _line(node: Node) -> int:
    line: int = node.start_mark.line
    return line


def value_of(node: Node, first_line: int) -> Value:
    """The plain value of a document's root; ``first_line`` is the document's in its file, for messages.

    Raises Refused where something has no JSON value.
    """
    return _value(node, first_line, MAX_DEPTH)


def _value(node: Node, first_line: int, depth: int) -> Value:
    if depth == 0:
        raise _too_deep(_line(node))
    if isinstance(node, ScalarNode):
        return _scalar(node)
    if isinstance(node, MappingNode) and node.tag == _MAP:
        return _mapping(node, first_line, depth)
    if isinstance(node, SequenceNode) and node.tag == _SEQ:
        return [_value(item, first_line, depth - 1) for item in node.value]
    raise _wrong_tag(node)


def _wrong_tag(node: Node) -> Refused:
    tag = str(node.tag)
    shown = "!!" + tag.removeprefix(_PREFIX) if tag.startswith(_PREFIX) else tag
    return Refused("YAMLSyntax", _line(node), f"the tag {shown[:80]} is not allowed here")


def _mapping(node: MappingNode, first_line: int, depth: int) -> dict[str, Value]:
    result: dict[str, Value] = {}
    lines: dict[str, int] = {}
    merged: list[Node] = []
    for key_node, value_node in node.value:
        key = _key(key_node)
        if key in lines:
            first, again = lines[key] + first_line, _line(key_node) + first_line
            places = f"line {first}" if first == again else f"lines {first} and {again}"
            raise Refused("YAMLSyntax", _line(key_node), f'the key "{key[:80]}" is given twice, in {places}')
        lines[key] = _line(key_node)
        if key_node.tag == _MERGE:
            merged += value_node.value if isinstance(value_node, SequenceNode) else (value_node,)
        else:
            result[key] = _value(value_node, first_line, depth - 1)
    for source in merged:
        if not isinstance(source, MappingNode):
            raise Refused("YAMLSyntax", _line(source), '"<<" merges mappings only')
        # Written keys win over merged ones, earlier merges over later ones (YAML's merge key type). Each entry is taken
        # up once, so the work is what the aliases stand for, and that is limited.
        for key, value in _value_mapping(source, first_line, depth).items():
            result.setdefault(key, value)
    return result


def _value_mapping(node: MappingNode, first_line: int, depth: int) -> dict[str, Value]:
    if depth == 1:
        raise _too_deep(_line(node))
    return _mapping(node, first_line, depth - 1)


def _key(node: Node) -> str:
    """A mapping's key as JSON writes it."""
    if not isinstance(node, ScalarNode) or node.tag == _NULL:
        raise Refused("YAMLSyntax", _line(node), "a key must be text")
    value = _scalar(node)
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(value)


def _scalar(node: ScalarNode) -> str | int | float | bool | None:
    text: str = node.value
    match node.tag:
        case "tag:yaml.org,2002:str" | "tag:yaml.org,2002:merge":
            return text
        case "tag:yaml.org,2002:int" | "tag:yaml.org,2002:float":
            return _number(node, text)
        case "tag:yaml.org,2002:bool" if text in _BOOLS:
            return _BOOLS[text]
        case "tag:yaml.org,2002:null" if text in _NULLS:
            return None
    raise _wrong_tag(node)


def _number(node: ScalarNode, text: str) -> int | float:
    if _INTEGER.match(text):
        return int(text)
    if not _DECIMAL.match(text):
        raise Refused("YAMLSyntax", _line(node), f'"{text[:40]}" is not a number')
    number = float(text)
    # JSON has one kind of number: 80.0 is a port.
    return int(number) if number.is_integer() and abs(number) < _EXACT else number
