"""What holds for the whole process and never changes while it runs."""

from __future__ import annotations

from msgspec import Struct

CONTROLLER_NAME = "trilithon.dev/gateway-controller"


class Settings(Struct, frozen=True):
    """The surroundings that translation has to know.

    ``address`` is where Envoy binds; ``port_offset`` is added to every listener's port. ``shared_address`` says that
    all Gateways bind that one address, so that two of them cannot have one port, and no other controller serves any.
    ``private_backends`` allows loopback and link-local endpoints: right where the files are the operator's own, wrong
    in a cluster.
    """

    controller_name: str = CONTROLLER_NAME
    address: str = "127.0.0.1"
    port_offset: int = 0
    shared_address: bool = True
    private_backends: bool = True

    def bound_port(self, port: int) -> int:
        """The real port of a listener's port; may exceed 65535, which the listener then reports."""
        return port + self.port_offset
