"""A file as it was read last."""

from __future__ import annotations

from msgspec import Struct

from trilithon.sources.folder.last_good import Document
from trilithon.sources.folder.scanning import UNKNOWN, Found, Refusal, Signature


class KnownFile(Struct, frozen=True, gc=False):
    """What a file said: its documents by their places, in the order they are written in, or why it was refused."""

    found: Found
    signature: Signature = UNKNOWN
    inode: int = 0
    documents: dict[int, Document] = {}
    refusal: Refusal | None = None
    # It has no text, and what it held is still served.
    is_blank: bool = False
    # It is being written, and something waits for its end: until then, by the source's clock.
    unfinished_until: float | None = None

    @property
    def holding(self) -> bool:
        """Whether any of its documents stands for an object."""
        return any(document.holds for document in self.documents.values())

    @property
    def is_troubled(self) -> bool:
        """Whether anything is wrong with it."""
        return self.refusal is not None or any(document.reading.problems for document in self.documents.values())
