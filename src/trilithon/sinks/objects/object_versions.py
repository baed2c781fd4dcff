"""Say which of two states of an object is the later one.

Versions of one object grow (they are etcd's), but only until a server goes back to a copy of its data: whoever watches
it then says that nothing is known any more, so that nothing is compared with a state from before.
"""

from __future__ import annotations

from trilithon.model.stored import Stored


def is_newer(one: Stored, other: Stored) -> bool:
    """Whether one is another state than the other, and not an earlier one.

    Where versions are no numbers, what was heard last is newest.
    """
    if one.uid != other.uid or not (one.resource_version.isdigit() and other.resource_version.isdigit()):
        return one.resource_version != other.resource_version or one.uid != other.uid
    return int(one.resource_version) > int(other.resource_version)


def is_later(answered: Stored, told: Stored | None) -> bool:
    """Whether an answer is of a later state than what was told while it was under way.

    Of two objects that had one name the watch goes on to tell which is the later.
    """
    return told is not None and told.uid == answered.uid and is_newer(answered, told)
