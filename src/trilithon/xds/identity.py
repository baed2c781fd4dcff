"""Name the two sides of the xDS connection, as the URIs in their certificates."""

from __future__ import annotations

CONTROLLER = "trilithon://controller"
_GATEWAY = "trilithon://gateway/"
_NAMESPACE_AND_NAME = 2


def uri_of_gateway(gateway: str) -> str:
    """The URI of a Gateway, "namespace/name". Neither part may hold a slash, so no two Gateways share one."""
    return f"{_GATEWAY}{gateway}"


def gateway_of_uri(uri: str) -> str | None:
    """The "namespace/name" that a URI names, or None where it is no Gateway's."""
    gateway = uri.removeprefix(_GATEWAY)
    parts = gateway.split("/")
    if gateway == uri or len(parts) != _NAMESPACE_AND_NAME or not all(parts):
        return None
    return gateway
