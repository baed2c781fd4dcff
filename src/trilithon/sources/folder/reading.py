"""What one document says: the resources in it, and the mistakes with the lines they are in."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace
from yaml.nodes import Node

from trilithon.resources.decode import Decoded, Resource, decode_all
from trilithon.resources.meta import Key
from trilithon.resources.problem import Problem
from trilithon.sources.folder.field_lines import line_of
from trilithon.sources.folder.yaml_documents import Parsed, RawDocument, Unreadable, parse


class Placed(Struct, frozen=True, gc=False):
    """A resource, its own path in the document (``items[3]`` in a List, else ""), and its line."""

    key: Key
    resource: Resource
    within: str
    line: int


class Reading(Struct, frozen=True, gc=False):
    """A document as understood. Lines count from 0 at the document's first."""

    good: tuple[Placed, ...] = ()
    # Objects that are named but could not be read, and whether there may be others whose name is not even known.
    broken: frozenset[Key] = frozenset()
    has_unnamed: bool = False
    problems: tuple[tuple[Problem, int], ...] = ()
    # Its end may be missing still: what it names waits, and nothing is wrong with it yet.
    is_unfinished: bool = False

    @property
    def names(self) -> frozenset[Key]:
        """Every object whose name could be read."""
        return self.broken.union(placed.key for placed in self.good)


def line_in(root: Node, within: str, path: str) -> int:
    """The line of a field of one object of a document; the path starts at the object."""
    return line_of(root, f"{within}.{path}" if within and path else within or path)


def read_document(raw: RawDocument) -> Reading:
    """Parse and decode one document; its mistakes are values."""
    if raw.is_unfinished:
        reading = read_document(replace(raw, is_unfinished=False))
        return Reading(broken=reading.names, has_unnamed=reading.has_unnamed, is_unfinished=True)
    parsed = parse(raw)
    if isinstance(parsed, Unreadable):
        problem = Problem(parsed.code, None, "", parsed.message, parsed.hint)
        return Reading(has_unnamed=True, problems=((problem, parsed.line),))
    if parsed.value is None:
        return Reading()
    return _reading(parsed, decode_all(parsed.value))


def _reading(parsed: Parsed, objects: tuple[Decoded, ...]) -> Reading:
    good: list[Placed] = []
    refused: list[Key | None] = []
    problems: list[tuple[Problem, int]] = []
    for decoded in objects:
        problems += ((one, line_in(parsed.root, decoded.within, one.path)) for one in decoded.problems)
        if decoded.resource is not None:
            # The file's own metadata.generation means nothing, as on an API server: revisions are counted by whoever
            # serves the object.
            resource = replace(decoded.resource, generation=1)
            good.append(Placed(resource.key, resource, decoded.within, line_in(parsed.root, decoded.within, "")))
        elif decoded.refused:
            refused.append(decoded.key)
    broken = frozenset(key for key in refused if key)
    return Reading(tuple(good), broken, None in refused, tuple(problems))
