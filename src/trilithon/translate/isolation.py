"""Decide which listener of a port owns a hostname: the one place where listeners are kept apart.

A listener that does not serve owns its hostname all the same: its requests are refused, and never get the routes of a
wider listener, which may be open to those whom this one was to keep out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from trilithon.model.listener import Offer
from trilithon.translate.hostnames import covers, specificity

L = TypeVar("L", bound=Offer)

# Protocols told apart by hostname on one port; HTTP and the TLS ones cannot share a port, since nothing sniffs.
HOSTNAME_GROUPS = (("HTTP",), ("HTTPS", "TLS"))


def told_apart(one: Offer, other: Offer) -> bool:
    """Whether hostnames can tell the requests of two listeners of one port apart: by Host, or by server name."""
    return one.protocol == other.protocol or any(
        one.protocol in group and other.protocol in group for group in HOSTNAME_GROUPS
    )


def neighbours(listener: Offer, listeners: Iterable[L]) -> list[L]:
    """The listeners of one Gateway that share out the hostnames of a port with this one, which is one of them."""
    return [other for other in listeners if other.port == listener.port and told_apart(other, listener)]


def owner(listeners: Iterable[L], hostname: str) -> L | None:
    """The most specific of these listeners for a hostname or a pattern: requests for it come to no other.

    "A request to "foo.example.com" SHOULD only be routed using routes attached to the "foo.example.com" Listener (and
    not the "*.example.com" Listener)" (Gateway.spec.listeners, "Listener Isolation").
    """
    taking = [listener for listener in listeners if covers(listener.hostname, hostname)]
    return min(taking, key=lambda listener: specificity(listener.hostname), default=None)
