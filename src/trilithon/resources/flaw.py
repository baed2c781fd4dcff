"""What of a stored spec is not understood: a newer definition may let in what this release does not know."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

# The part that is a spec as a whole.
WHOLE = "spec"
# What is not understood has no effect where it is understood either.
NOTHING = ""
# Every rule of a route: what is lost says for which requests, or for which parents, they are.
ALL_RULES = "spec.rules"
# Listeners that are left out.
LISTENERS = "spec.listeners"
TLS = "spec.tls"
FRONTEND = "spec.tls.frontend"
PARAMETERS = "spec.parametersRef"


class Flaw(Struct, frozen=True, gc=False):
    """One thing that is not understood, and what is lost with it.

    ``part`` names the smallest part of the object that must not be used without it: a rule or match by its path, the
    matches of a rule (``spec.rules[0].matches``, with which all rules are lost), ``ALL_RULES``, a listener as
    ``spec.listeners[<name>]``, a field of the spec, or ``WHOLE``; ``NOTHING`` costs nothing. ``path`` and ``message``
    say where it is and what is wrong.
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


def frontend_part(port: int) -> str:
    """The part that is TLS towards the clients of one port."""
    return f"{FRONTEND}.perPort[{port}]"


def unknown_hostname(index: int) -> str:
    """What stands for the hostname of a listener that is not understood: one that nobody can ask for (RFC 2606)."""
    return f"listener-{index}.not-understood.invalid"


def is_unknown_hostname(hostname: str) -> bool:
    """Whether a hostname stands for one that is not understood."""
    return hostname.endswith(".not-understood.invalid")
