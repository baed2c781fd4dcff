"""From a parsed document to typed resources, or to problems that name the field.

Nothing raises: whatever a document holds, the answer is values. An object is refused whole if anything in it is
wrong, as the API server would refuse it; warnings do not refuse it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, get_type_hints

import msgspec
from msgspec import Struct

from trilithon.resources import core, gateways, parameters, policies, routes
from trilithon.resources.documents import MAX_DEPTH, DocumentTooBig, plain
from trilithon.resources.kinds import KINDS, Kind
from trilithon.resources.meta import Key
from trilithon.resources.metadata import check_metadata, normalised
from trilithon.resources.names import kind_problem, label_problem, subdomain_problem
from trilithon.resources.parts import UNUSED_METADATA, ObjectMeta
from trilithon.resources.problem import Problem
from trilithon.resources.rules import check_field, check_part
from trilithon.resources.shape import Sound, examine, unknown_field
from trilithon.resources.unread import unread
from trilithon.resources.wording import Finding, described

Resource = (
    gateways.GatewayClass
    | gateways.Gateway
    | routes.HTTPRoute
    | policies.ReferenceGrant
    | core.Resource
    | parameters.GatewayParameters
)

# More would only be scrolled past, and a hostile document could have a million.
MAX_PROBLEMS = 50
# A whole cluster in one List is read; nested Lists that share entries by YAML aliases are not unfolded without end.
MAX_OBJECTS = 50_000

_BY_NAME = {(api_version, kind.name): kind for kind in KINDS for api_version in kind.api_versions}
_TOP = ("apiVersion", "kind", "metadata", "status")


class Decoded(Struct, frozen=True, gc=False):
    """What one object came to: a resource unless a problem is an error, and its key as soon as it has a name.

    ``within`` is the object's own path in the document, such as ``items[3]`` in a List, else "". Paths of
    problems begin at the object.
    """

    resource: Resource | None
    key: Key | None
    problems: tuple[Problem, ...]
    within: str = ""

    @property
    def refused(self) -> bool:
        """Whether the object has an error; an object of an ignored kind has no resource and no error."""
        return any(problem.severity == "error" for problem in self.problems)


def decode(document: object, *, origin_namespace: str = "default") -> Decoded:
    """The one object of a document; ``origin_namespace`` is for objects that name none.

    A List of several objects is an error here: it is for ``decode_all``.
    """
    every = decode_all(document, origin_namespace=origin_namespace)
    if len(every) == 1:
        return every[0]
    message = f"expected one object, got a List of {len(every)}"
    return Decoded(None, None, (Problem("InvalidValue", None, "", message),))


def decode_all(document: object, *, origin_namespace: str = "default") -> tuple[Decoded, ...]:
    """Every object of a document: one, or those of a List (``List`` itself, ``HTTPRouteList`` and the like)."""
    found: list[Decoded] = []
    for within, item in _objects(document, "", {}, 0):
        if len(found) == MAX_OBJECTS:
            message = f"the List holds more than {MAX_OBJECTS} objects; the rest is not read"
            return (*found, Decoded(None, None, (Problem("TooBig", None, "", message),)))
        found.append(_decode(item, origin_namespace, within))
    return tuple(found)


def _objects(document: object, within: str, defaults: Mapping[str, str], depth: int) -> Iterator[tuple[str, object]]:
    """The objects of a document with their paths; entries of a typed list inherit its version and kind."""
    if not isinstance(document, Mapping):
        yield within, document
        return
    kind, items = document.get("kind"), document.get("items")
    if not (isinstance(kind, str) and kind.endswith("List") and isinstance(items, (list, tuple)) and depth < MAX_DEPTH):
        yield within, {**defaults, **document} if defaults else document
        return
    inherited: dict[str, str] = {}
    api_version = document.get("apiVersion")
    if kind != "List" and isinstance(api_version, str):
        inherited = {"apiVersion": api_version, "kind": kind.removesuffix("List")}
    prefix = f"{within}.items" if within else "items"
    for index, item in enumerate(items):
        yield from _objects(item, f"{prefix}[{index}]", inherited, depth + 1)


class _Reading:
    """One object while it is read: what was found so far."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.findings: list[Finding] = []

    @property
    def refused(self) -> bool:
        return any(finding.severity == "error" for finding in self.findings)

    def typed(self, written: Any, expected: type[Struct], path: str) -> Any:
        """The value as its type, its own rules checked; None with findings where it does not fit.

        In the common case that is one conversion: the type itself then bounds depth and size. Only where it
        fails is the value brought into plain form and examined field by field.
        """
        try:
            part = msgspec.convert(written, expected)
            # Fails on half a character, which a field without a pattern would take and UTF-8 cannot write.
            msgspec.json.encode(part)
        except (msgspec.ValidationError, UnicodeError):
            return self._examined(written, expected, path)
        self.findings += check_part(part, path)
        return part

    def _examined(self, written: Any, expected: type[Struct], path: str) -> Any:
        value, findings = plain(written)
        self.findings += [finding.under(path) for finding in findings]
        secret = self.kind.secret
        nulls_are_zero = expected is ObjectMeta or not self.kind.is_custom
        examined = examine(value, expected, path, secret=secret, nulls_are_zero=nulls_are_zero)
        self.findings += examined.findings
        if any(finding.severity == "error" for finding in examined.findings):
            for sound in examined.sound:
                self.findings += _rules_of(sound)
            return None
        try:
            part = msgspec.convert(value, expected)
        except msgspec.ValidationError as failure:
            # The examination knows every type used here. Should it miss a mistake, the object is still refused.
            self.findings.append(Finding("InvalidValue", path, "is not valid" if secret else str(failure)))
            return None
        self.findings += check_part(part, path)
        return part


def _rules_of(sound: Sound) -> Sequence[Finding]:
    """The rules of a part without a mistake, inside an object with one."""
    if not sound.attribute:
        return check_part(msgspec.convert(sound.value, sound.owner), sound.path)
    value = msgspec.convert(sound.value, _types_of(sound.owner)[sound.attribute])
    return check_field(sound.owner, sound.attribute, value, sound.path)


@cache
def _types_of(owner: type[Struct]) -> Mapping[str, Any]:
    return get_type_hints(owner, include_extras=True)


def _decode(document: object, origin_namespace: str, within: str) -> Decoded:
    if not isinstance(document, Mapping):
        message = f"an object is a mapping with apiVersion, kind and metadata; got {described(document)}"
        return Decoded(None, None, (Problem("WrongType", None, "", message),), within)
    api_version, name = document.get("apiVersion"), document.get("kind")
    kind = _BY_NAME.get((api_version, name)) if isinstance(api_version, str) and isinstance(name, str) else None
    if kind is None:
        named = isinstance(name, str) and not kind_problem(name)
        key = _key_of(document, str(name), subdomain_problem, origin_namespace) if named else None
        return Decoded(None, key, _problems(unread(api_version, name), key), within)
    key = _key_of(document, kind.name, kind.valid_name, origin_namespace if kind.namespaced else None)
    reading = _Reading(kind)
    try:
        resource = _read(document, kind, key, reading)
    except DocumentTooBig as too_big:
        return Decoded(None, key, _problems([too_big.finding], key), within)
    return Decoded(None if reading.refused else resource, key, _problems(reading.findings, key), within)


def _key_of(
    document: Mapping[Any, Any], kind: str, valid_name: Callable[[str], str], namespace: str | None
) -> Key | None:
    """The key of an object if its name and namespace are valid, so that a key can be shown without care.

    ``namespace`` is for an object that names none, None for a kind without namespaces.
    """
    metadata = document.get("metadata")
    if not isinstance(metadata, Mapping):
        return None
    name = metadata.get("name")
    if not isinstance(name, str) or valid_name(name):
        return None
    if namespace is None:
        return Key(kind, "", name)
    written = metadata.get("namespace") or namespace
    return None if not isinstance(written, str) or label_problem(written) else Key(kind, written, name)


def _problems(findings: Sequence[Finding], key: Key | None) -> tuple[Problem, ...]:
    """The findings as problems of the object, errors first, and not more than anybody reads."""
    ordered = sorted(findings, key=lambda finding: finding.severity != "error")
    problems = [
        Problem(finding.code, key, finding.path.removeprefix("."), finding.message, finding.hint, finding.severity)
        for finding in ordered[:MAX_PROBLEMS]
    ]
    if len(ordered) > MAX_PROBLEMS:
        more = f"and {len(ordered) - MAX_PROBLEMS} more problems in this object"
        problems.append(Problem("MoreProblems", key, "", more, "", ordered[MAX_PROBLEMS].severity))
    return tuple(problems)


def _read(document: Mapping[Any, Any], kind: Kind, key: Key | None, reading: _Reading) -> Resource | None:
    metadata = _metadata(document, kind, reading)
    part = _spec(document, kind, reading) if kind.has_spec else _top_fields(document, kind, reading)
    if key is None or metadata is None or part is None or reading.refused:
        return None
    resource: Resource
    resource, findings = kind.make(key, normalised(metadata), part)
    reading.findings += findings
    return resource


def _metadata(document: Mapping[Any, Any], kind: Kind, reading: _Reading) -> ObjectMeta | None:
    written = document.get("metadata")
    if isinstance(written, Mapping):
        written = {name: value for name, value in written.items() if name not in UNUSED_METADATA}
    metadata: ObjectMeta | None = reading.typed({} if written is None else written, ObjectMeta, "metadata")
    if metadata is None:
        return None
    found = check_metadata(metadata, kind.valid_name, is_namespaced=kind.namespaced, is_custom=kind.is_custom)
    reading.findings += [finding.under("metadata") for finding in found]
    if metadata.namespace and not kind.namespaced:
        message = f"a {kind.name} belongs to no namespace, so this has no effect"
        reading.findings.append(Finding("IgnoredField", "metadata.namespace", message, severity="warning"))
    return metadata


def _spec(document: Mapping[Any, Any], kind: Kind, reading: _Reading) -> Any:
    _known(document, (*_TOP, "spec"), "", reading)
    spec = document.get("spec")
    if spec is None:
        reading.findings.append(Finding("MissingField", "spec", "is required"))
        return None
    return reading.typed(spec, kind.part, "spec")


def _top_fields(document: Mapping[Any, Any], kind: Kind, reading: _Reading) -> Any:
    expected = kind.written or kind.part
    names = expected.__struct_encode_fields__
    _known(document, (*_TOP, *names), "", reading)
    written = reading.typed({name: document[name] for name in names if name in document}, expected, "")
    if written is None or kind.written is None:
        return written
    return msgspec.convert(msgspec.to_builtins(written), kind.part)


def _known(fields: Mapping[Any, Any], names: Sequence[str], path: str, reading: _Reading) -> None:
    """Warns of fields that do not exist."""
    for name in fields:
        if name not in names and isinstance(name, str):
            close = names if len(reading.findings) < MAX_PROBLEMS else ()
            reading.findings.append(unknown_field(name, close, path))
