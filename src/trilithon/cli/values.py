"""Read the values file of an installation; every mistake in it is told with its line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from trilithon.infrastructure.installation import Values
from trilithon.resources.documents import DocumentTooBig, plain
from trilithon.resources.names import qualified_name_problem
from trilithon.resources.rules import check_part
from trilithon.resources.shape import examine
from trilithon.resources.wording import Finding
from trilithon.sources.folder.field_lines import line_of
from trilithon.sources.folder.yaml_documents import Parsed, RawDocument, Unreadable, parse, split
from trilithon.translate.selectors import malformed


class ValuesUnusable(Exception):
    """A values file that cannot be read, or holds something else than values; the text has a line for each mistake."""


def read_values(file: Path) -> Values:
    """The values that a file chooses, all others as they are. Raises ValuesUnusable."""
    try:
        documents = split(file.read_bytes())
    except OSError as error:
        raise ValuesUnusable(f"{file} cannot be read: {error.strerror or error}") from error
    if not documents:
        return Values()
    if len(documents) > 1:
        raise ValuesUnusable(f"{file}:{documents[1].line}: values are one document, and here begins another")
    parsed = parse(documents[0])
    if isinstance(parsed, Unreadable):
        raise ValuesUnusable(f"{file}:{documents[0].line + parsed.line}: {_said('', parsed.message, parsed.hint)}")
    values, findings = _read(parsed.value)
    if values is None:
        raise ValuesUnusable("\n".join(_lines(file, documents[0], parsed, findings)))
    return values


def in_namespace(values: Values, namespace: str) -> Values:
    """The same values with another namespace. Raises ValuesUnusable."""
    changed, findings = _read({**msgspec.to_builtins(values), "namespace": namespace})
    if changed is None:
        raise ValuesUnusable("\n".join(f"--{_said(each.path, each.message, each.hint)}" for each in findings))
    return changed


def _read(written: object) -> tuple[Values | None, list[Finding]]:
    try:
        value, found = plain({} if written is None else written)
    except DocumentTooBig as error:
        return None, [error.finding]
    findings = [*found, *examine(value, Values, "").findings]
    if findings:
        return None, findings
    values = msgspec.convert(value, Values)
    findings = [*check_part(values, ""), *_labels(values.labels or {})]
    if problem := malformed(values.namespace_selector):
        findings.append(Finding("InvalidValue", "namespaceSelector", problem))
    return (None if findings else values), findings


def _labels(labels: dict[str, str]) -> Iterator[Finding]:
    for key in labels:
        if problem := qualified_name_problem(key):
            yield Finding("InvalidValue", "labels", problem)


def _lines(file: Path, document: RawDocument, parsed: Parsed, findings: Iterable[Finding]) -> Iterator[str]:
    placed = []
    for finding in findings:
        path = finding.path.removeprefix(".")
        message = "there is no such value" if finding.code == "UnknownField" else finding.message
        placed.append((document.line + line_of(parsed.root, path), _said(path, message, finding.hint)))
    yield from (f"{file}:{line}: {said}" for line, said in sorted(placed))


def _said(path: str, message: str, hint: str) -> str:
    told = f"{path}: {message}" if path else message
    return f"{told} ({hint})" if hint else told
