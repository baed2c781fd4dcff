"""What an API server holds of an object besides its spec."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from trilithon.kube.objects import ObjectPath


class Stored(Struct, frozen=True, gc=False):
    """Where an object is, which of its versions was seen last, and what stands in its status.

    ``status`` is the raw JSON of ``.status``, b"" where there is none. ``is_read`` is False where nothing can be made
    of the spec, so that nobody knows what is to be said of it. ``is_doubtful`` where it is not known any more what the
    API server holds, be it later or earlier: that will be told, or that the object is gone. No row of the engine holds
    this: a status that we wrote ourselves must not cause a translation.
    """

    path: ObjectPath
    uid: str
    resource_version: str
    generation: int
    finalizers: tuple[str, ...] = ()
    status: bytes = b""
    is_read: bool = True
    is_doubtful: bool = False


class StoredCondition(Struct, frozen=True, gc=False, rename="camel"):
    """A condition as an API server holds it, as far as anybody here asks."""

    type: str = ""
    status: str = "Unknown"
    reason: str = ""
    message: str = ""
    observed_generation: int = 0


class _Conditions(Struct):
    conditions: tuple[StoredCondition, ...] | None = ()


def condition_in(status: bytes, type_: str) -> StoredCondition | None:
    """The condition of a type in the raw JSON of a status; None where there is none, or it cannot be read."""
    try:
        found = msgspec.json.decode(status or b"{}", type=_Conditions).conditions or ()
    except msgspec.MsgspecError:
        return None
    return next((each for each in found if each.type == type_), None)
