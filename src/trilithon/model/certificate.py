"""What a Secret's certificate promises, without its key."""

from __future__ import annotations

from msgspec import Struct

from trilithon.resources.meta import Key
from trilithon.resources.problem import Problem


class Certificate(Struct, frozen=True, gc=False):
    """The projection of a TLS Secret that listeners read: a renewal with the same names is an equal row.

    ``names`` are the DNS names it is good for, lower case, sorted. One that is not ``is_known`` may be good for any.
    ``problem`` is what is wrong with the Secret; one that is ``usable`` is served all the same, with what Envoys have
    from before.
    """

    secret: Key
    names: tuple[str, ...]
    problem: Problem | None = None
    usable: bool = True
    is_known: bool = True
