"""Read one page of a list, and take nothing else for one.

No IO.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct, field

from trilithon.kube.errors import NotUnderstood

# As client-go asks for: a page is then a megabyte or two.
PAGE_OBJECTS = 500


class _ListMetadata(Struct, frozen=True, gc=False, rename="camel"):
    """The metadata of a list: the version to watch from, and where the next page begins ("" after the last)."""

    resource_version: str = ""
    next_page: str = field(default="", name="continue")


class _List(Struct):
    kind: str = ""
    metadata: _ListMetadata = _ListMetadata()
    items: tuple[msgspec.Raw, ...] | None = None


class Page(Struct, frozen=True):
    """One page of a list. The items share the memory of the answer: decode or copy them at once."""

    items: tuple[msgspec.Raw, ...]
    resource_version: str
    next_page: str


def page_of(answer: bytes) -> Page:
    """The page that an answer holds. Raises NotUnderstood: what is no list must never pass for an empty one."""
    try:
        found = msgspec.json.decode(answer, type=_List)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise NotUnderstood("the API server's list is not understood") from None
    if not found.kind.endswith("List") or not found.metadata.resource_version:
        raise NotUnderstood("the API server's answer is not a list")
    return Page(found.items or (), found.metadata.resource_version, found.metadata.next_page)
