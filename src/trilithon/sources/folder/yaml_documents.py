"""Split a YAML file into documents, each of which is parsed only when it changes.

Splitting is textual and cheap, and tells documents apart by a digest of their text. JSON is YAML too.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

import yaml
from msgspec import Struct
from msgspec.structs import replace
from yaml.nodes import Node

from trilithon.sources.folder.yaml_values import Refused, Value, compose, value_of

# A marker at the start of a line ends every open construct, block scalars and quoted text included (YAML 1.2, 9.1.2).
_MARKER = re.compile(rb"^(---|\.\.\.)(?=[ \t\r\n]|\Z)", re.MULTILINE)
# Possessive, because a comment's "\r" can be read in two ways: n lines must not be tried in 2**n.
_COMMENTS = rb"(?:[ \t]*+(?:#[^\n]*+)?+\r?+\n)*+"
_DIRECTIVES = re.compile(rb"(?:" + _COMMENTS + rb"%[^\n]*+\n)++" + _COMMENTS + rb"\Z")
_EMPTY = re.compile(rb"(?:(?:(?:---|\.\.\.)(?=[ \t\r\n]|\Z))?+[ \t]*+(?:#[^\n]*+)?+\r?+(?:\n|\Z))*+\Z")
# A "%" behind it would become a directive without it.
_BARE_MARKER = re.compile(rb"---[ \t]*\r?\n(?!%)")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_UTF32 = (b"\xff\xfe\0\0", b"\0\0\xfe\xff")
_NOT_UTF8 = (*_UTF32, b"\xff\xfe", b"\xfe\xff")

TEMPLATE_HINT = "looks like a Helm template; render it first"


class RawDocument(Struct, frozen=True, gc=False):
    """One document as text. ``line`` is the number of its first line in the file, from 1; ``start`` its first byte."""

    line: int
    text: bytes
    digest: bytes
    start: int = 0
    is_unfinished: bool = False


class Parsed(Struct, frozen=True):
    """A document's value, and its nodes for finding lines."""

    value: Value
    root: Node


class Unreadable(Struct, frozen=True, gc=False):
    """Why a document has no value; ``line`` counts from 0 at the document's first."""

    code: str
    line: int
    message: str
    hint: str = ""


def split(data: bytes) -> tuple[RawDocument, ...]:
    """The documents of a file in order, without those that hold only comments."""
    if data.startswith(_NOT_UTF8):
        return (RawDocument(1, data, digest_of(data)),)
    text = data.removeprefix(_BYTE_ORDER_MARK)
    start, line = len(data) - len(text), 1
    documents = []
    for piece in _pieces(text):
        # Without its marker a document is the same wherever it stands in the file, the first place included.
        bare = _BARE_MARKER.match(piece)
        skipped = bare.end() if bare else 0
        rest = piece[skipped:]
        if not _EMPTY.match(rest):
            documents.append(RawDocument(line + 1 if bare else line, rest, digest_of(rest), start + skipped))
        start += len(piece)
        line += piece.count(b"\n")
    return tuple(documents)


def unfinished(document: RawDocument) -> RawDocument:
    """A document whose end may be missing: it differs from the same text once that is known to be all."""
    return replace(document, digest=document.digest + b" and more", is_unfinished=True)


def digest_of(text: bytes) -> bytes:
    """What tells a document's text apart from every other."""
    return hashlib.blake2b(text, digest_size=16).digest()


def _pieces(data: bytes) -> Iterator[bytes]:
    """The file, cut before each "---" and after each "..." line; directives stay with the document they are for."""
    start = 0
    has_directives = data.startswith(b"%") or b"\n%" in data
    for marker in _MARKER.finditer(data):
        if marker[1] == b"...":
            newline = data.find(b"\n", marker.end())
            end = len(data) if newline < 0 else newline + 1
        elif has_directives and _DIRECTIVES.match(data, start, marker.start()):
            continue
        else:
            end = marker.start()
        if end > start:
            yield data[start:end]
            start = end
    if start < len(data):
        yield data[start:]


def parse(document: RawDocument) -> Parsed | Unreadable:
    """The document's value, or why it has none; never raises, whatever the bytes are."""
    if document.text.startswith(_NOT_UTF8):
        encoding = "UTF-32" if document.text.startswith(_UTF32) else "UTF-16"
        return Unreadable("YAMLSyntax", 0, f"the file is {encoding}", "save it as UTF-8")
    try:
        root = compose(document.text)
        return Parsed(value_of(root, document.line), root)
    except Refused as refused:
        hint = refused.hint or (TEMPLATE_HINT if b"{{" in _line_at(document, refused.line) else "")
        return Unreadable(refused.code, refused.line, refused.message, hint)
    except yaml.YAMLError as error:
        return _syntax(error, document)


def _syntax(error: yaml.YAMLError, document: RawDocument) -> Unreadable:
    """libyaml's message with the place in our own words."""
    if isinstance(error, yaml.reader.ReaderError):
        line = document.text.count(b"\n", 0, error.position)
        return Unreadable("YAMLSyntax", line, f"unreadable character: {error.reason}", "save the file as UTF-8")
    if not isinstance(error, yaml.MarkedYAMLError):
        return Unreadable("YAMLSyntax", 0, str(error))
    mark = error.problem_mark or error.context_mark
    # At the end of the text libyaml points behind the last line.
    last = document.text.rstrip().count(b"\n")
    line = min(mark.line, last) if mark else 0
    message = error.problem or "not YAML"
    if error.context:
        begun = min(error.context_mark.line, last) if error.context_mark else line
        message += f" {error.context}" + (f" that began in line {document.line + begun}" if begun != line else "")
    text = _line_at(document, line)
    if b"\t" in text[: len(text) - len(text.lstrip())]:
        return Unreadable("YAMLSyntax", line, message, "YAML indents with spaces, not tabs")
    return Unreadable("YAMLSyntax", line, message, TEMPLATE_HINT if b"{{" in text else "")


def _line_at(document: RawDocument, line: int) -> bytes:
    return next(iter(document.text.splitlines()[line : line + 1]), b"")
