"""What a Secret's certificate promises, without its key."""

from __future__ import annotations

from msgspec import Struct

from trilithon.resources.meta import Key
from trilithon.resources.problem import Problem


class Certificate(Struct, frozen=True, gc=False):
    """The projection of a TLS Secret that listeners read: a renewal with the same names is an equal row.

    ``names`` are the DNS names it is good for, lower case, sorted. ``problem`` says why it cannot be used.
    """

    secret: Key
    names: tuple[str, ...]
    problem: Problem | None = None
