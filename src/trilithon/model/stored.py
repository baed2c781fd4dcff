"""What an API server holds of an object besides its spec."""

from __future__ import annotations

from msgspec import Struct

from trilithon.kube.objects import ObjectPath


class Stored(Struct, frozen=True, gc=False):
    """Where an object is, which of its versions was seen last, and what stands in its status.

    ``status`` is the raw JSON of ``.status``, b"" where there is none. No row of the engine holds this: a status that
    we wrote ourselves must not cause a translation.
    """

    path: ObjectPath
    uid: str
    resource_version: str
    generation: int
    finalizers: tuple[str, ...] = ()
    status: bytes = b""
