"""What holds for the whole process and never changes while it runs."""

from __future__ import annotations

from msgspec import Struct

CONTROLLER_NAME = "trilithon.dev/gateway-controller"
# Every address of IPv4, and every one there is.
ANY_ADDRESS, ANY_ADDRESS_6 = "0.0.0.0", "::"  # noqa: S104 - of pods
# Where the pods of a Gateway tell whether they are ready.
READY_PORT = 19003


class Installation(Struct, frozen=True):
    """How this controller is installed in a cluster: what the objects that it makes for Gateways have to name.

    ``name`` is that of its Deployment and Service in ``namespace``; ``image`` runs its proxies, which find it at
    ``xds_host`` and ``xds_port``, and bind ``address``. ``image_pull_secrets`` are those of each Gateway's namespace.
    """

    namespace: str = "trilithon-system"
    name: str = "trilithon"
    image: str = "trilithon"
    xds_host: str = "trilithon.trilithon-system.svc"
    xds_port: int = 18000
    address: str = ANY_ADDRESS
    image_pull_secrets: tuple[str, ...] = ()


class Settings(Struct, frozen=True):
    """The surroundings that translation has to know.

    ``address`` is where Envoy binds; ``port_offset`` is added to every listener's port. ``shared_address`` says that
    all Gateways bind that one address, so that two of them cannot have one port, and no other controller serves any.
    ``private_backends`` allows loopback and link-local endpoints: right where the files are the operator's own, wrong
    in a cluster. ``backend_hostnames`` allows Backends whose endpoints are names, which Envoy resolves, out of sight of
    grants and of what is private. With an ``installation`` every Gateway of ours gets its own Deployment and Service.
    """

    controller_name: str = CONTROLLER_NAME
    address: str = "127.0.0.1"
    port_offset: int = 0
    shared_address: bool = True
    private_backends: bool = True
    backend_hostnames: bool = True
    installation: Installation | None = None

    @property
    def has_hosts(self) -> bool:
        """Whether each Gateway's Envoy binds an address of its own on this machine, and none without one."""
        return not self.shared_address and self.installation is None

    def bound_port(self, port: int) -> int:
        """The real port of a listener's port; may exceed 65535, which the listener then reports."""
        return port + self.port_offset
