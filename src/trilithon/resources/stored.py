"""Read objects as an API server stores them, straight from their bytes.

The server has checked them, fills in defaults and gives each a name, so the way is short: one typed reading, and the
rules between fields, which an older definition of the kind may not have. Whatever does not fit goes the long way of any
document (``decode``), which says what is wrong and where; both ways give the same resource.

What a definition has let in that is newer than this release, or older, is not refused as a document is: of a route, a
Gateway or a class that much is read as is understood, and its flaws say what is not, unknown fields included.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from trilithon.resources.cut import is_within
from trilithon.resources.decode import Resource, decode
from trilithon.resources.kinds import Kind
from trilithon.resources.meta import Key
from trilithon.resources.metadata import normalised
from trilithon.resources.parts import ObjectMeta
from trilithon.resources.problem import Problem
from trilithon.resources.rules import check_stored
from trilithon.resources.understood import understood


class StoredMetadata(ObjectMeta, kw_only=True, forbid_unknown_fields=False):
    """The metadata of a stored object, reduced to what is used."""

    uid: str = ""
    resource_version: str = ""
    finalizers: tuple[str, ...] = ()


class StoredObject(Struct, frozen=True):
    """One object; ``status`` is raw JSON or b"". Where ``resource`` is None, ``problems`` say why.

    The flaws of a resource are not among its problems: translation makes of them what they are.
    """

    key: Key
    metadata: StoredMetadata
    status: bytes
    resource: Resource | None
    problems: tuple[Problem, ...] = ()


class _Head(Struct, frozen=True):
    metadata: StoredMetadata
    status: Raw = Raw()


_METADATA_NAMES = ObjectMeta.__struct_encode_fields__
# What is wrong with one object must cost no other.
_UNFIT = (msgspec.MsgspecError, UnicodeError, RecursionError)


class ObjectReader:
    """Reads the objects of one kind. Callable with the bytes of one; raises msgspec.MsgspecError if it has no name."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._head = msgspec.json.Decoder(_Head)
        whole: Any = msgspec.defstruct("_Whole", [("spec", kind.part)]) if kind.has_spec else kind.part
        self._whole: msgspec.json.Decoder[Any] = msgspec.json.Decoder(whole)

    def __call__(self, written: Raw | bytes) -> StoredObject:
        """One object."""
        head = self._head.decode(written)
        metadata = head.metadata
        if not metadata.name:
            raise msgspec.ValidationError("the object has no name")
        namespace = (metadata.namespace or "") if self._kind.namespaced else ""
        key = Key(self._kind.name, namespace, metadata.name)
        # A view would keep the whole answer in memory of which it is a part.
        status = bytes(head.status)
        resource = self._typed(written, key, metadata)
        if resource is not None:
            return StoredObject(key, metadata, status, resource)
        return StoredObject(key, metadata, status, *self._examined(written, key, metadata))

    def _typed(self, written: Raw | bytes, key: Key, metadata: StoredMetadata) -> Resource | None:
        """The resource, if nothing at all is to be said of it."""
        try:
            whole = self._whole.decode(written)
        except _UNFIT:
            return None
        part = whole.spec if self._kind.has_spec else whole
        if check_stored(part, ""):
            return None
        resource: Resource
        resource, findings = self._kind.make(key, normalised(metadata), part)
        return None if findings else resource

    def _examined(
        self, written: Raw | bytes, key: Key, metadata: StoredMetadata
    ) -> tuple[Resource | None, tuple[Problem, ...]]:
        try:
            found = msgspec.json.decode(written)
            head = {name: found["metadata"][name] for name in _METADATA_NAMES if name in found["metadata"]}
            names = ("spec",) if self._kind.has_spec else self._kind.part.__struct_encode_fields__
            fields = {name: found[name] for name in names if name in found}
            kind = {"apiVersion": self._kind.api_versions[0], "kind": self._kind.name}
            decoded = decode({**fields, **kind, "metadata": head})
            spec, flaws = understood(found.get("spec"), self._kind.part)
        except _UNFIT as error:
            return None, (Problem("InvalidValue", key, "", f"the object cannot be read ({type(error).__name__})"),)
        if spec is None:
            return decoded.resource, decoded.problems
        resource, _ = self._kind.make(key, normalised(metadata), spec)
        # What is wrong with the spec, its flaws tell.
        others = tuple(problem for problem in decoded.problems if not is_within(problem.path, "spec"))
        return replace(resource, flaws=flaws), others
