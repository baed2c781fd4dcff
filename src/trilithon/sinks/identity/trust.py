"""Whom the xDS connection trusts and who signs for it: one value, how it is kept, and how it moves on with time.

An authority is followed by the next one with an overlap. First the next one is only trusted, for long enough that every
Envoy has it in its bundle; then it signs; the old one stays trusted until it expires, and with it all that it signed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cached_property

import msgspec
from cryptography import x509
from cryptography.x509.oid import NameOID
from msgspec import Struct

from trilithon.sinks.identity.certification import (
    CertificateUnusable,
    Pair,
    bundle_of,
    certificates_of,
    may_sign,
    new_authority,
    pair_of,
    renewal_of,
)

LIFETIME = timedelta(days=3650)
# With two of ten years left the next one is made.
NEXT_SHARE = 0.8
# A mounted Secret reaches its pod within minutes; a week is for controllers that were stopped over a weekend.
OVERLAP = timedelta(days=7)

_NAME = "Trilithon xDS"
_CURRENT, _KEY, _BUNDLE = "tls.crt", "tls.key", "ca.crt"
_NEXT, _NEXT_KEY = "next.crt", "next.key"


class Trust(Struct, frozen=True, dict=True):
    """``signer`` signs, ``trusted`` are believed; ``following`` is trusted and will sign."""

    signer: Pair
    trusted: tuple[x509.Certificate, ...]
    following: Pair | None = None

    @cached_property
    def bundle(self) -> bytes:
        """All trusted certificates, as PEM."""
        return bundle_of(self.trusted)


def new_trust(now: datetime) -> Trust:
    """A first authority."""
    signer = new_authority(_NAME, now, LIFETIME)
    return Trust(signer, (signer.certificate,))


def advanced(trust: Trust, now: datetime) -> Trust:
    """The trust as it has to be now; the same value when nothing is due. An operator's authority stays as it is."""
    moved = trust
    if moved.following is None and _is_ours(trust.signer) and now >= renewal_of(trust.signer.certificate, NEXT_SHARE):
        following = new_authority(_NAME, now, LIFETIME)
        moved = msgspec.structs.replace(trust, following=following, trusted=(*trust.trusted, following.certificate))
    if moved.following is not None and now >= _turn_of(moved.following, moved.signer):
        moved = msgspec.structs.replace(moved, signer=moved.following, following=None)
    alive = tuple(each for each in moved.trusted if each.not_valid_after_utc > now)
    return moved if alive == moved.trusted or not alive else msgspec.structs.replace(moved, trusted=alive)


def _is_ours(signer: Pair) -> bool:
    names = signer.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return any(str(name.value).startswith(_NAME) for name in names)


def _turn_of(following: Pair, signer: Pair) -> datetime:
    # Nobody believes an expired signer: then there is nothing to wait for.
    return min(following.certificate.not_valid_before_utc + OVERLAP, signer.certificate.not_valid_after_utc)


def data_of(trust: Trust) -> dict[str, bytes]:
    """The trust as entries of a Secret, keys included."""
    data = {_CURRENT: trust.signer.certificate_pem, _KEY: trust.signer.key_pem, _BUNDLE: trust.bundle}
    if trust.following is not None:
        data |= {_NEXT: trust.following.certificate_pem, _NEXT_KEY: trust.following.key_pem}
    return data


def trust_of(data: Mapping[str, bytes]) -> Trust:
    """Read what ``data_of`` wrote, or an operator, who may leave ``ca.crt`` out. Raises CertificateUnusable."""
    missing = [entry for entry in (_CURRENT, _KEY) if not data.get(entry)]
    if missing:
        raise CertificateUnusable(f"there is no {' and no '.join(missing)}")
    signer = pair_of(data[_CURRENT], data[_KEY])
    following = pair_of(data[_NEXT], data[_NEXT_KEY]) if data.get(_NEXT) and data.get(_NEXT_KEY) else None
    trusted = certificates_of(data[_BUNDLE]) if data.get(_BUNDLE) else ()
    # What signs must be believed, or nobody could connect.
    signing = (signer.certificate, *((following.certificate,) if following is not None else ()))
    if not all(may_sign(certificate) for certificate in (*trusted, *signing)):
        raise CertificateUnusable("a certificate is not one of an authority (basicConstraints CA)")
    return Trust(signer, tuple(dict.fromkeys((*trusted, *signing))), following)
