"""Put a route's encoded rules beside the virtual hosts that serve them."""

from __future__ import annotations

from trilithon.incremental import Read
from trilithon.model.backend import BackendKey
from trilithon.model.listener import HostKey
from trilithon.model.tables import ATTACHMENTS
from trilithon.resources.routes import Route
from trilithon.xds.tables import ENCODED, Place, Placed


def placed_of(read: Read, route: Route) -> Placed | None:
    """Where a route's rules are served, None when it is attached nowhere.

    Hostnames that a more specific listener owns are left out: their requests never come here.
    """
    attachments = read.one(ATTACHMENTS, route.key)
    if attachments is None:
        return None
    found = [attachment for parent in attachments.parents for attachment in parent.attachments]
    # Two parent references can lead to one listener.
    places = {
        HostKey(attachment.table, attachment.listener, hostname): attachment.claim(hostname)
        for attachment in found
        for hostname in attachment.served
    }
    if not places:
        return None
    encoded = read.one(ENCODED, route.key)
    if encoded is None:
        return None
    gateways = sorted({host.table.gateway for host in places})
    return Placed(
        places=tuple(Place(host, claim) for host, claim in sorted(places.items())),
        backends=tuple(BackendKey(gateway, backend) for gateway in gateways for backend in encoded.backends),
        encoded=encoded,
    )
