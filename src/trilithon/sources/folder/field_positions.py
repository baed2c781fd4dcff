"""Lines of fields in files, found by reading the document again: texts are not kept in memory for the rare question."""

from __future__ import annotations

import yaml
from yaml.nodes import Node

from trilithon.sources.folder import scanning
from trilithon.sources.folder.last_good import Document
from trilithon.sources.folder.reading import line_in
from trilithon.sources.folder.scanning import Found
from trilithon.sources.folder.yaml_documents import digest_of
from trilithon.sources.folder.yaml_values import Refused, compose

# Answers that are remembered, of about 200 bytes each: whoever asks for all problems asks again.
MOST_ANSWERS = 20_000
# Texts whose nodes are kept for the next question; the last one is, whatever its size. Nodes are fifty times as large.
MOST_BYTES = 100_000


class Positions:
    """Answers questions about documents; the cost of one is its document's length, and little when asked again."""

    def __init__(self) -> None:
        # By digest: a document's lines never change, whatever becomes of its file.
        self._answers: dict[tuple[bytes, str, str], int] = {}
        self._nodes: dict[bytes, Node] = {}
        self._sizes: dict[bytes, int] = {}

    def forget(self) -> None:
        """Free what is only of use while many questions come at once."""
        self._nodes.clear()
        self._sizes.clear()

    def line(self, found: Found, document: Document, within: str, path: str) -> int | None:
        """The line, from 1, of a field of a document; None where its file has it no more."""
        question = document.digest, within, path
        line = self._answers.get(question)
        if line is None:
            root = self._nodes.get(document.digest) or self._read(found, document)
            if root is None:
                return None
            line = line_in(root, within, path)
            if len(self._answers) >= MOST_ANSWERS:
                self._answers.clear()
            self._answers[question] = line
        return document.line + line

    def _read(self, found: Found, document: Document) -> Node | None:
        text = scanning.read_part(found.real, found.within, document.start, document.size)
        if digest_of(text) != document.digest:
            return None
        try:
            root = compose(text)
        except (Refused, yaml.YAMLError):
            return None
        if sum(self._sizes.values()) + document.size > MOST_BYTES:
            self.forget()
        self._nodes[document.digest], self._sizes[document.digest] = root, document.size
        return root
