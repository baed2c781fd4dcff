"""Who is at the other end of an xDS stream."""

from __future__ import annotations

from msgspec import Struct


class Unidentified(Exception):
    """The client is nobody's Envoy; the text says why, in words fit for a log and for the client."""


class Peer(Struct, frozen=True):
    """Whose Envoy a client is ("namespace/name"), and for how many seconds more its certificate says so."""

    gateway: str
    seconds: float
