"""Give each Gateway the certificate with which its Envoys show whose configuration they may have."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from trilithon.resources.meta import Key
from trilithon.sinks.identity.authority import Authority, Clock, utc_now
from trilithon.sinks.identity.certification import (
    CertificateUnusable,
    Usage,
    is_signed_by,
    issue,
    pair_of,
    renewal_of,
    uris_of,
)
from trilithon.xds.identity import uri_of_gateway

LIFETIME = timedelta(days=60)
# With a third of its life left there are weeks to find out why a renewal fails.
RENEWAL_SHARE = 2 / 3


class Identities:
    """Issues identities, and says when one has to be issued again."""

    def __init__(self, authority: Authority, clock: Clock = utc_now) -> None:
        self._authority = authority
        self._clock = clock

    async def issue(self, gateway: Key, current: Mapping[str, bytes] | None) -> Mapping[str, bytes] | None:
        """The entries of the Secret with this Gateway's identity; None where ``current`` is good for now.

        Waits as long as the authority is not known.
        Ask again at least once a day, and when the Secret changed.
        """
        trust = await self._authority.known()
        now = self._clock()
        uri = uri_of_gateway(gateway.path)
        if current is not None and current.get("ca.crt") == trust.bundle and _is_good(current, uri, now):
            pair = pair_of(current["tls.crt"], current["tls.key"])
            if is_signed_by(pair.certificate, trust.trusted):
                return None
        pair = issue(trust.signer, uri, (), Usage.CLIENT, now, LIFETIME)
        return {"tls.crt": pair.certificate_pem, "tls.key": pair.key_pem, "ca.crt": trust.bundle}


def _is_good(current: Mapping[str, bytes], uri: str, now: datetime) -> bool:
    try:
        certificate = pair_of(current.get("tls.crt", b""), current.get("tls.key", b"")).certificate
        return uris_of(certificate) == (uri,) and certificate.not_valid_before_utc <= now < renewal_of(
            certificate, RENEWAL_SHARE
        )
    except CertificateUnusable:
        return False
