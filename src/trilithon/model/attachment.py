"""A parent reference meeting listeners."""

from __future__ import annotations

from msgspec import Struct

from trilithon.model.listener import ListenerKey, RouteTableKey
from trilithon.resources.meta import Key, ParentReference
from trilithon.resources.problem import Problem


class Attachment(Struct, frozen=True, gc=False):
    """One listener that takes the route.

    ``hostnames`` is the intersection ("*" for any). ``claims`` are the route's own hostnames behind them, one each:
    they can be wider than the listener's, and then give way to the rules of a route that names the hostname itself
    (HTTPRouteSpec.hostnames, "precedence must be given"). ``shadowed`` are those of the hostnames that a more specific
    listener of the same port owns, so that requests for them never come here (listener isolation).
    """

    listener: ListenerKey
    table: RouteTableKey
    protocol: str
    hostnames: tuple[str, ...]
    claims: tuple[str, ...] = ()
    shadowed: tuple[str, ...] = ()

    @property
    def served(self) -> tuple[str, ...]:
        """The hostnames that requests can reach."""
        return tuple(name for name in self.hostnames if name not in self.shadowed)

    def claim(self, hostname: str) -> str:
        """The route's own hostname behind one of ``hostnames``."""
        return self.claims[self.hostnames.index(hostname)] if self.claims else hostname


class ParentAttachment(Struct, frozen=True, gc=False):
    """What became of one parent reference to a Gateway of ours.

    It is accepted when at least one listener took the route; ``problems`` say why the others, or all, did not,
    the one that names the condition's reason first. ``notes`` do not refuse anything (a listener that does not serve).
    """

    index: int
    ref: ParentReference
    gateway: Key
    attachments: tuple[Attachment, ...]
    problems: tuple[Problem, ...] = ()
    notes: tuple[Problem, ...] = ()


class Attachments(Struct, frozen=True, gc=False):
    """All parents of one route that are ours, in the order written, and warnings about the refs that led nowhere."""

    route: Key
    generation: int
    parents: tuple[ParentAttachment, ...]
    problems: tuple[Problem, ...] = ()
