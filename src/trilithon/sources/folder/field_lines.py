"""Find the line of a field in a document's nodes, only when somebody asks."""

from __future__ import annotations

import re

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

_INDEX = re.compile(r"\[(\d+)\]")
_BRACKETED = re.compile(r"\[([^\[\]]*)\]")


def line_of(root: Node, path: str) -> int:
    """The line of a field, from 0 at the document's first line.

    ``path`` is as the API server prints it: ``spec.rules[0].backendRefs[1].name``; the keys of a map may hold dots
    (``metadata.labels.app.kubernetes.io/name``) or stand in brackets. For an absent field it is the line of the nearest
    field around it.
    """
    node, line = root, _line(root)
    rest = path
    while rest:
        step = _index(node, rest) if rest.startswith("[") else None
        step = step or _field(node, rest)
        if step is None:
            return line
        node, line, rest = step
    return line


def _line(node: Node) -> int:
    line: int = node.start_mark.line
    return line


def _index(node: Node, rest: str) -> tuple[Node, int, str] | None:
    found = _INDEX.match(rest)
    if found is None or not isinstance(node, SequenceNode) or int(found[1]) >= len(node.value):
        return None
    item = node.value[int(found[1])]
    return item, _line(item), rest[found.end() :].removeprefix(".")


def _field(node: Node, rest: str) -> tuple[Node, int, str] | None:
    """The longest key of the mapping that the path goes on with: keys may hold dots."""
    if not isinstance(node, MappingNode):
        return None
    bracketed = _BRACKETED.match(rest)
    best: tuple[Node, int, str] | None = None
    longest = -1
    for key, value in node.value:
        if not isinstance(key, ScalarNode):
            continue
        name: str = key.value
        if bracketed and bracketed[1] == name:
            return value, _line(key), rest[bracketed.end() :].removeprefix(".")
        if rest.startswith(name) and rest[len(name) : len(name) + 1] in ("", ".", "[") and len(name) > longest:
            best, longest = (value, _line(key), rest[len(name) :].removeprefix(".")), len(name)
    return best or _merged_field(node, rest)


def _merged_field(node: MappingNode, rest: str) -> tuple[Node, int, str] | None:
    """A field that came by a merge key."""
    for key, value in node.value:
        if key.value == "<<":
            for source in value.value if isinstance(value, SequenceNode) else (value,):
                if found := _field(source, rest):
                    return found
    return None
