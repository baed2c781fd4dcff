"""What a backend reference resolved to."""

from __future__ import annotations

from typing import Literal, NamedTuple

from msgspec import Struct

from trilithon.resources.meta import Key

# What Envoy speaks to the endpoints. WebSocket is HTTP/1.1 with an upgrade, which every route allows.
Protocol = Literal["http", "h2c"]


class Backend(Struct, frozen=True, gc=False, order=True):
    """One group of endpoints and how to speak to them: the identity of one Envoy cluster.

    ``object`` is a Service or a Backend; ``port`` is the Service's port number, None for a Backend object, whose
    endpoints have their own. ``retries`` says who decides what is tried again: every rule as by default, or each route.
    """

    object: Key
    port: int | None
    protocol: Protocol = "http"
    retries: Literal["default", "by route"] = "default"

    def __str__(self) -> str:
        return f"{self.object}:{self.port}" if self.port is not None else str(self.object)


class BackendKey(NamedTuple):
    """One backend as one Gateway uses it."""

    gateway: Key
    backend: Backend


class Address(NamedTuple):
    """Where one endpoint listens: an IP address or a name with a port, or the path of a unix socket with port 0."""

    host: str
    port: int

    @property
    def is_socket_file(self) -> bool:
        """Whether it is a unix socket, in the file system or abstract ("@")."""
        return self.host.startswith(("/", "@"))

    def __str__(self) -> str:
        if self.is_socket_file:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Addresses(Struct, frozen=True, gc=False):
    """The endpoints of one backend that may be used now. ``has_names`` says that some have to be resolved."""

    key: BackendKey
    items: tuple[Address, ...]
    has_names: bool = False


class RefusedBackend(Struct, frozen=True, gc=False):
    """Why the Envoys of a Gateway refuse a backend, in their own words."""

    messages: tuple[str, ...]
