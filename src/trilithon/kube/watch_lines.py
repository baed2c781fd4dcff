"""Cut a watch's answer into its events, whatever the pieces in which it comes.

No IO. One event is one line of JSON.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import Struct

from trilithon.kube.errors import NotUnderstood

# Far beyond what etcd stores as one object.
MAX_LINE_BYTES = 32 * 1024 * 1024


class WatchLine(Struct, frozen=True):
    """One event as it is written; ``object`` shares the memory of its line."""

    type: str
    object: msgspec.Raw


class _BookmarkMetadata(Struct, rename="camel"):
    resource_version: str
    annotations: dict[str, str] | None = None


class Bookmark(Struct):
    """The object of a BOOKMARK: no more than a version and a mark."""

    metadata: _BookmarkMetadata

    @property
    def ends_list(self) -> bool:
        """Whether all that existed when the stream began has been told."""
        return (self.metadata.annotations or {}).get("k8s.io/initial-events-end") == "true"


_LINE = msgspec.json.Decoder(WatchLine)
_BOOKMARK = msgspec.json.Decoder(Bookmark)


class WatchLines:
    """The lines of one stream."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0

    @property
    def is_cut(self) -> bool:
        """Whether a line has begun and not ended."""
        return bool(self._pieces)

    def received(self, piece: bytes) -> Iterator[WatchLine]:
        """The events that this piece completes. Raises NotUnderstood."""
        first, *others = piece.split(b"\n")
        if first:
            self._pieces.append(first)
            self._size += len(first)
        if self._size > MAX_LINE_BYTES:
            raise NotUnderstood(f"the API server sent an event of more than {MAX_LINE_BYTES} bytes")
        for other in others:
            line = b"".join(self._pieces)
            self._pieces = [other] if other else []
            self._size = len(other)
            if line.strip():
                yield _decoded(line)


def bookmark_of(line: WatchLine) -> Bookmark:
    """The bookmark of a line of that type. Raises NotUnderstood."""
    try:
        return _BOOKMARK.decode(line.object)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise NotUnderstood("the API server sent a bookmark that is not understood") from None


def _decoded(line: bytes) -> WatchLine:
    try:
        return _LINE.decode(line)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise NotUnderstood("the API server sent an event that is not understood") from None
