"""What of a stored spec is not understood: a newer definition may let in what this release does not know."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

# The part that is a spec as a whole.
WHOLE = "spec"


class Flaw(Struct, frozen=True, gc=False):
    """One thing that is not understood, and what is lost with it.

    ``part`` names the smallest part of the object that must not be used without it: a rule or match by its path, a
    listener as ``spec.listeners[<name>]``, a field of the spec, or ``WHOLE``. ``path`` and ``message`` say where it is
    and what is wrong.
    """

    part: str
    path: str
    message: str
    hint: str = ""


def by_part(flaws: Iterable[Flaw]) -> Mapping[str, tuple[Flaw, ...]]:
    """The flaws of each part, in order."""
    found: dict[str, tuple[Flaw, ...]] = {}
    for flaw in flaws:
        found[flaw.part] = (*found.get(flaw.part, ()), flaw)
    return found


def listener_part(name: str) -> str:
    """The part that is a listener of a Gateway."""
    return f"spec.listeners[{name}]"
