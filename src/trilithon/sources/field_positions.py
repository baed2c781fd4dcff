"""Lines of fields in files, found by reading the file again: texts are not kept in memory for the rare question."""

from __future__ import annotations

from functools import lru_cache

import yaml
from yaml.nodes import Node

from trilithon.sources import folder_scan
from trilithon.sources.folder_scan import Contents, Found
from trilithon.sources.reading import line_in
from trilithon.sources.yaml_documents import RawDocument, split
from trilithon.sources.yaml_values import Refused, compose


class Positions:
    """Answers many questions about one file with one reading of it; ``forget`` after each look at the files."""

    def __init__(self) -> None:
        self._found: Found | None = None
        self._documents: dict[bytes, RawDocument] = {}

    def forget(self) -> None:
        """Read the file again for the next question."""
        self._found = None
        self._documents = {}

    def line(self, found: Found, max_bytes: int, digest: bytes, within: str, path: str) -> int | None:
        """The line, from 1, of a field of the document with this digest; None where the file has it no more."""
        if found != self._found:
            contents = folder_scan.read_manifest(found.real, found.within, max_bytes)
            data = contents.data if isinstance(contents, Contents) else b""
            self._found, self._documents = found, {document.digest: document for document in split(data)}
        document = self._documents.get(digest)
        root = _nodes(document.text) if document else None
        return document.line + line_in(root, within, path) if document and root else None


@lru_cache(maxsize=16)
def _nodes(text: bytes) -> Node | None:
    try:
        return compose(text)
    except (Refused, yaml.YAMLError):
        return None
