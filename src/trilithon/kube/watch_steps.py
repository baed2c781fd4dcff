"""What a watch asks of whoever drives it, one step at a time."""

from __future__ import annotations

from msgspec import Struct

from trilithon.kube.transport import Request


class Pause(Struct, frozen=True):
    """Wait."""

    seconds: float


class Find(Struct, frozen=True):
    """Ask which version of the kind is served, then say ``found``."""


class Fetch(Struct, frozen=True):
    """Fetch the whole answer, then say ``fetched``."""

    request: Request


class Stream(Struct, frozen=True):
    """Open a stream, then say ``opened``, ``received`` for each piece, ``silent`` or ``ended``."""

    request: Request


Step = Pause | Find | Fetch | Stream
