"""What a backend reference resolved to."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from trilithon.resources.meta import Key

# What Envoy speaks to the endpoints. WebSocket is HTTP/1.1 with an upgrade, which every route allows.
Protocol = Literal["http", "h2c"]


class Backend(Struct, frozen=True, gc=False, order=True):
    """One group of endpoints and how to speak to them: the identity of one Envoy cluster.

    ``object`` is a Service or a Backend; ``port`` is the Service's port number, None for a Backend object, whose
    endpoints have their own.
    """

    object: Key
    port: int | None
    protocol: Protocol = "http"

    def __str__(self) -> str:
        return f"{self.object}:{self.port}" if self.port is not None else str(self.object)
