"""What a watch has been told of its objects: says what differs, and after a new list what is gone.

No IO. Only the version of each object is kept, not the object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

import msgspec

from trilithon.kube.events import Delete, Undecodable, Upsert
from trilithon.kube.objects import Metadata, ObjectHead, ObjectName, is_before

T = TypeVar("T")

# Takes the bytes of one object. Whatever it raises makes that object Undecodable.
Decoder = Callable[[msgspec.Raw], T]
ObjectEvent = Upsert[T] | Delete | Undecodable

_HEAD = msgspec.json.Decoder(ObjectHead)
_NEVER_SEEN = ("", "")


class WatchedObjects(Generic[T]):
    """The objects of one watch; while a list is read (``begin`` to ``finish``) those that it names are marked."""

    def __init__(self, decode: Decoder[T]) -> None:
        self._decode = decode
        # Name -> (uid, resource version).
        self._known: dict[ObjectName, tuple[str, str]] = {}
        self._marked: set[ObjectName] = set()
        self._is_unnamed = False
        # Whether a list, be it one that was not completed, had an earlier version of an object than was known.
        self.is_rewound = False
        # How many names of the list were not known before it.
        self.newcomers = 0

    def __len__(self) -> int:
        return len(self._known)

    def begin(self) -> None:
        """A new list begins; an unfinished one is forgotten, and nothing is gone because of it."""
        self._marked = set()
        self.newcomers = 0
        self._is_unnamed = False

    def finish(self) -> Iterator[Delete]:
        """The list is complete: what it did not name is gone."""
        # An object without a readable name may be any of those that were not named.
        if not self._is_unnamed:
            for name in [name for name in self._known if name not in self._marked]:
                del self._known[name]
                yield Delete(name, is_swept=True)
        self._marked = set()

    def forget_versions(self) -> None:
        """From now on versions mean something else: all objects are to be told of again."""
        self._known = dict.fromkeys(self._known, _NEVER_SEEN)
        self.is_rewound = False

    def upsert(self, written: msgspec.Raw) -> Iterator[ObjectEvent[T]]:
        """An object is there."""
        metadata = self._metadata(written)
        if metadata is None:
            self._is_unnamed = True
            yield Undecodable(None, "the object has no readable metadata")
            return
        name, version = metadata.object_name, (metadata.uid, metadata.resource_version)
        self._marked.add(name)
        self.newcomers += name not in self._known
        # Without a version nothing says that it is the same.
        known = self._known.get(name, _NEVER_SEEN)
        if metadata.resource_version and known == version:
            return
        self.is_rewound |= known[0] == metadata.uid and is_before(metadata.resource_version, known[1])
        self._known[name] = version
        try:
            value = self._decode(written)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one object, the others go on
            yield Undecodable(name, _reason(error))
            return
        yield Upsert(name, value)

    def delete(self, written: msgspec.Raw) -> Iterator[ObjectEvent[T]]:
        """An object is gone."""
        metadata = self._metadata(written)
        if metadata is None:
            yield Undecodable(None, "the deleted object has no readable metadata")
            return
        name = metadata.object_name
        self._marked.discard(name)
        if self._known.pop(name, None) is not None:
            yield Delete(name)

    def _metadata(self, written: msgspec.Raw) -> Metadata | None:
        try:
            metadata = _HEAD.decode(written).metadata
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return None
        return metadata if metadata.name else None


def _reason(error: Exception) -> str:
    """What a decoder says, where that is about the object's form; other errors may quote anything."""
    if isinstance(error, msgspec.MsgspecError):
        return str(error)
    return f"it cannot be decoded ({type(error).__name__})"
