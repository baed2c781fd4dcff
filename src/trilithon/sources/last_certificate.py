"""Remember the last certificate of a Secret that could be used, while the Secret holds one that cannot.

A renewal that writes the certificate and its key one after the other, or writes the wrong ones, must not end what is
served. A Secret that is gone is forgotten with all that it held, also where nobody saw it go: another one of its name
tells. Files have no such mark, and whatever is written in an object's place is that object.
"""

from __future__ import annotations

from typing import TypeVar

from msgspec.structs import replace

from trilithon.resources.core import Secret
from trilithon.translate.certificates import can_be_used

Row = TypeVar("Row")


def remembering(row: Row, before: object) -> Row:
    """A row as a source tells it over the one that it has told before: a Secret with what it held before, if need be.

    ``before`` is None for a row that was not there.
    """
    if not isinstance(row, Secret) or not isinstance(before, Secret) or row.uid != before.uid:
        return row
    # The order saves work: most often a Secret is as it was, or as good as it was.
    if (row.type, row.data) == (before.type, before.data):
        former = before.former
    elif can_be_used(row):
        former = ()
    else:
        former = before.data if can_be_used(before) else before.former
    return replace(row, former=former)
