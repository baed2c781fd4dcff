"""Read case files: manifests, what is expected of them, and steps that change them.

A case is YAML with comments that lead its sections::

    # A rule whose Service is missing answers 500; other rules keep working.
    # spec: HTTPRouteRule.backendRefs, "MUST receive a 500 status code"
    # use: _shop.yaml
    ...manifests...
    ---
    # expect
    requests: ["GET http://a.test/cart -> 500 BackendNotFound"]
    status: ["HTTPRoute shop/web @ infra/gw: not ResolvedRefs (BackendNotFound)"]
    problems: ["HTTPRoute shop/web spec.rules[0].backendRefs[0]: BackendNotFound"]
    ---
    # step: the Service appears
    # delete: HTTPRoute shop/old
    ...manifests to apply...
    ---
    # expect
    requests: ["GET http://a.test/cart -> Service shop/cart:80"]
    recomputed: at most 8 rows

``# use:`` adds the manifests of files beside the cases. ``# envoy: silent`` has no Envoy answer, ``# envoy: refuses
listener port-80: WHY`` has it refuse one resource and ``# envoy: lacks routes port-80`` not acknowledge one yet, from
that section on; the types are listener, routes, secret, cluster and endpoints. ``# settings: port_offset=8000`` changes
the process. ``{{certificate NAME...}}`` and ``{{key NAME...}}`` stand for a certificate good for these names.
"""

from __future__ import annotations

import base64
import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import trustme

from trilithon.model.settings import Settings
from trilithon.resources.decode import decode_all
from trilithon.resources.meta import Key
from trilithon.resources.problem import Problem
from trilithon.sources.folder.yaml_documents import Unreadable, parse, split
from trilithon.xds.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET

CASES = Path(__file__).parent / "cases"

_MARKER = re.compile(r"^# (expect|step: (?P<step>.+))$")
_DIRECTIVE = re.compile(r"^# (?P<name>spec|use|delete|envoy|settings): (?P<value>.+)$")
_OBJECT = re.compile(r"(?P<kind>[A-Za-z]+) (?:(?P<namespace>[a-z0-9-]+)/)?(?P<name>[a-z0-9.-]+)")
_PLACEHOLDER = re.compile(r"\{\{(certificate|key) ([^}]+)\}\}")
_RECOMPUTED = re.compile(r"at most (\d+) rows")
_TYPES = {"listener": LISTENER, "routes": ROUTE, "secret": SECRET, "cluster": CLUSTER, "endpoints": ENDPOINT}
_ANSWER = re.compile(rf"(?:lacks|refuses) (?P<type>{'|'.join(_TYPES)}) (?P<name>\S+?)(?:: (?P<why>.+))?")


class CaseError(Exception):
    """A case file is not written as it must be; the message names file and line."""


class Line(msgspec.Struct, frozen=True):
    """One expectation, and where it stands."""

    text: str
    place: str


class Expectations(msgspec.Struct, frozen=True):
    """What holds in one state. ``problems`` None does not look at them, except that every manifest must be accepted."""

    requests: tuple[Line, ...] = ()
    status: tuple[Line, ...] = ()
    problems: tuple[Line, ...] | None = None
    recomputed: int | None = None


class Envoy(msgspec.Struct, frozen=True):
    """How the Envoy of every Gateway answers: (type URL, name) of what it has not got, with the message if refused."""

    connected: bool = True
    lacks: tuple[tuple[tuple[str, str], str | None], ...] = ()


class State(msgspec.Struct, frozen=True):
    """One state of a case: what comes and goes, and what then holds. ``refused`` is what is wrong with manifests."""

    title: str
    upserts: tuple[Any, ...]
    removals: tuple[Key, ...]
    refused: tuple[Problem, ...]
    envoy: Envoy
    expect: Expectations


class Case(msgspec.Struct, frozen=True):
    """A whole case: its first state, then its steps."""

    path: Path
    law: str
    settings: Settings
    states: tuple[State, ...]


class _Section(msgspec.Struct):
    """A run of lines under one marker."""

    marker: str
    line: int
    lines: list[str]
    directives: list[tuple[str, str, int]]


def paths() -> list[Path]:
    """Every case file, in order; those whose name starts with "_" are only used by others."""
    return sorted(path for path in CASES.rglob("*.yaml") if not path.name.startswith("_"))


@functools.cache
def load(path: Path) -> Case:
    """Read one case. Raises CaseError."""
    sections = list(_sections(path))
    head = sections[0]
    law = " ".join(line.removeprefix("# ") for line in _comment(head.lines) if not _DIRECTIVE.match(line))
    if not law or not any(name == "spec" for name, _, _ in head.directives):
        raise CaseError(f"{path}:1: a case begins with a comment: its law, and '# spec: ' with the sentence's source")
    states: list[State] = []
    envoy = Envoy()
    for manifests, expected in _paired(path, sections):
        envoy = _envoy(path, manifests, envoy)
        upserts, refused = _resources(path, manifests)
        title = manifests.marker.removeprefix("step: ") or "at first"
        states.append(State(title, upserts, _removals(path, manifests), refused, envoy, _expectations(path, expected)))
    return Case(path, law, _settings(path, head), tuple(states))


def _sections(path: Path) -> Iterator[_Section]:
    section = _Section("", 1, [], [])
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if marker := _MARKER.match(line):
            yield section
            section = _Section(marker[1], number + 1, [], [])
            continue
        if directive := _DIRECTIVE.match(line):
            section.directives.append((directive["name"], directive["value"], number))
        elif re.match(r"^#\s*(expect|step|delete|envoy|settings|use|spec)\b\s*:?", line):
            raise CaseError(f"{path}:{number}: {line!r} is almost a marker")
        section.lines.append(line)
    yield section


def _paired(path: Path, sections: list[_Section]) -> Iterator[tuple[_Section, _Section]]:
    if len(sections) % 2:
        raise CaseError(f"{path}:{sections[-1].line}: each state needs its '# expect'")
    for manifests, expected in zip(sections[::2], sections[1::2], strict=True):
        if manifests.marker == "expect" or expected.marker != "expect":
            raise CaseError(f"{path}:{expected.line}: '# expect' must follow the manifests of each state")
        yield manifests, expected


def _comment(lines: list[str]) -> Iterator[str]:
    for line in lines:
        if not line.startswith("# "):
            return
        yield line


def _settings(path: Path, head: _Section) -> Settings:
    fields: dict[str, Any] = {}
    for name, value, line in head.directives:
        if name == "settings":
            for pair in value.split():
                field, _, text = pair.partition("=")
                if field not in Settings.__struct_fields__:
                    raise CaseError(f"{path}:{line}: no setting is named {field}")
                fields[field] = text
    return msgspec.convert(fields, Settings, strict=False)


def _envoy(path: Path, section: _Section, before: Envoy) -> Envoy:
    lacks: list[tuple[tuple[str, str], str | None]] = []
    envoy = before
    for name, value, line in section.directives:
        if name != "envoy":
            continue
        if value == "silent":
            envoy = Envoy(connected=False)
        elif value == "healthy":
            envoy = Envoy()
        elif (answer := _ANSWER.fullmatch(value)) and value.startswith("refuses") == (answer["why"] is not None):
            lacks.append(((_TYPES[answer["type"]], answer["name"]), answer["why"]))
            envoy = Envoy(lacks=tuple(lacks))
        else:
            raise CaseError(f"{path}:{line}: an Envoy is silent, healthy, refuses TYPE NAME: WHY or lacks TYPE NAME")
    return envoy


def _removals(path: Path, section: _Section) -> tuple[Key, ...]:
    removals = []
    for name, value, line in section.directives:
        if name == "delete":
            for text in value.split(", "):
                found = _OBJECT.fullmatch(text)
                if found is None:
                    raise CaseError(f"{path}:{line}: {text!r} is no object; write Kind namespace/name")
                removals.append(Key(found["kind"], found["namespace"] or "", found["name"]))
    return tuple(removals)


def _resources(path: Path, section: _Section) -> tuple[tuple[Any, ...], tuple[Problem, ...]]:
    upserts: dict[Key, Any] = {}
    refused: list[Problem] = []
    used = [value for name, value, _ in section.directives if name == "use"]
    texts = [(CASES / name, 1, (CASES / name).read_text()) for value in used for name in value.split(", ")]
    texts.append((path, section.line, "\n".join(section.lines)))
    for origin, first, text in texts:
        for document in split(_expanded(text).encode()):
            place = f"{origin}:{first + document.line - 1}"
            parsed = parse(document)
            if isinstance(parsed, Unreadable):
                raise CaseError(f"{place}: {parsed.message}")
            for decoded in decode_all(parsed.value):
                refused += decoded.problems
                if decoded.resource is not None:
                    if decoded.resource.key in upserts and origin == path:
                        # A case may change what it uses.
                        del upserts[decoded.resource.key]
                    upserts[decoded.resource.key] = decoded.resource
    return tuple(upserts.values()), tuple(refused)


def _expectations(path: Path, section: _Section) -> Expectations:
    documents = split("\n".join(section.lines).encode())
    if len(documents) != 1:
        raise CaseError(f"{path}:{section.line}: one mapping of expectations must follow, not {len(documents)}")
    parsed = parse(documents[0])
    if isinstance(parsed, Unreadable):
        raise CaseError(f"{path}:{section.line + documents[0].line - 1 + parsed.line}: {parsed.message}")
    fields = parsed.value
    if not isinstance(fields, dict) or not set(fields) <= {"requests", "status", "problems", "recomputed"}:
        raise CaseError(f"{path}:{section.line}: expectations are requests, status, problems and recomputed")
    at_most = _RECOMPUTED.fullmatch(str(fields.get("recomputed", "at most 0 rows")))
    if at_most is None:
        raise CaseError(f"{path}:{section.line}: write 'recomputed: at most N rows'")
    return Expectations(
        requests=_lines(path, section, fields.get("requests", [])),
        status=_lines(path, section, fields.get("status", [])),
        problems=_lines(path, section, fields["problems"]) if "problems" in fields else None,
        recomputed=int(at_most[1]) if "recomputed" in fields else None,
    )


def _lines(path: Path, section: _Section, values: Any) -> tuple[Line, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise CaseError(f"{path}:{section.line}: expectations are lists of text (quote a text that holds ': ')")
    return tuple(Line(value, f"{path}:{_number(section, value)}") for value in values)


def _number(section: _Section, text: str) -> int:
    return next((section.line + at for at, line in enumerate(section.lines) if text in line), section.line)


def _expanded(text: str) -> str:
    """The text with certificates in the place of their names, base64 as a Secret holds them."""

    def pem(found: re.Match[str]) -> str:
        certificate, key = _certificate(tuple(found[2].split()))
        return base64.b64encode(certificate if found[1] == "certificate" else key).decode()

    return _PLACEHOLDER.sub(pem, text)


@functools.cache
def _authority() -> trustme.CA:
    return trustme.CA(key_type=trustme.KeyType.ECDSA)


@functools.cache
def _certificate(names: tuple[str, ...]) -> tuple[bytes, bytes]:
    """A chain and its key, good for these names."""
    issued = _authority().issue_cert(*names, key_type=trustme.KeyType.ECDSA)
    return b"".join(blob.bytes() for blob in issued.cert_chain_pems), issued.private_key_pem.bytes()
