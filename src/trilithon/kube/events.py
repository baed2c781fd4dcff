"""What a watch says: one kind's objects as they come and go, and how much of that is known at the moment.

What was said of an object stays true until something else is said of it. Degraded, Missing and Gone take nothing
back: unknown is not empty.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from msgspec import Struct

from trilithon.kube.objects import ApiKind, ObjectName

T = TypeVar("T")


class Found(Struct, frozen=True, gc=False):
    """The API server serves the kind, in this version; its objects follow."""

    kind: ApiKind


class Upsert(Struct, Generic[T], frozen=True):
    """An object is new or different; ``value`` is what the decoder made of it."""

    name: ObjectName
    value: T


class Delete(Struct, frozen=True, gc=False):
    """An object is gone.

    ``is_swept`` if nobody said so, but a complete new list is without it; all of these come just before Synced.
    """

    name: ObjectName
    is_swept: bool = False


class Undecodable(Struct, frozen=True, gc=False):
    """An object exists and cannot be read; ``name`` is None if not even that could be."""

    name: ObjectName | None
    reason: str


class Synced(Struct, frozen=True, gc=False):
    """A list is complete: all of its ``count`` objects have been told of, now or earlier.

    ``newcomers`` of them have names that this watch did not know before the list.
    """

    count: int
    newcomers: int = 0


class Rewound(Struct, frozen=True, gc=False):
    """The API server's history went back, as when its etcd was restored from an old copy.

    Versions say nothing any more of which state of an object is the later. Everything that exists is told again, then
    Synced; until then what is known may be what never came to be.
    """


class Degraded(Struct, frozen=True, gc=False):
    """What is known may be old from now on, because of ``reason``; attempts go on."""

    reason: str
    is_forbidden: bool = False


class Missing(Struct, frozen=True, gc=False):
    """The API server does not serve the kind. It is looked for again every few seconds."""

    reason: str


class Gone(Struct, frozen=True, gc=False):
    """The API server served the kind and does not any more; otherwise as Missing."""

    reason: str


class Restored(Struct, frozen=True, gc=False):
    """What Degraded, Missing or Gone said is over: what is known is current again."""


Event = Found | Upsert[T] | Delete | Undecodable | Synced | Rewound | Degraded | Missing | Gone | Restored
