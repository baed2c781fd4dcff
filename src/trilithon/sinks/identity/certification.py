"""Make and read the certificates of the xDS connection. Time is an argument, in UTC.

ECDSA with P-256 throughout: keys are made in a fraction of a millisecond, and Envoy and gRPC both take them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from enum import Enum

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from msgspec import Struct

# Clocks of two machines differ; a certificate that begins now would be refused by the one behind.
SKEW = timedelta(hours=1)
_CURVE = ec.SECP256R1
_PUBLIC = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


class CertificateUnusable(ValueError):
    """What should be a certificate or its key is none, or the two do not belong together."""


class Usage(Enum):
    """On which side of a connection a certificate may be shown."""

    CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH
    SERVER = ExtendedKeyUsageOID.SERVER_AUTH


class Pair(Struct, frozen=True):
    """A certificate and its key. Its text never shows the key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def certificate_pem(self) -> bytes:
        """The certificate as PEM."""
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The key as PEM, not encrypted."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def __repr__(self) -> str:
        return f"Pair({self.certificate.subject.rfc4514_string()!r})"


def new_authority(name: str, now: datetime, lifetime: timedelta) -> Pair:
    """A self-signed certificate that may sign others, but no other authority."""
    key = ec.generate_private_key(_CURVE())
    serial = x509.random_serial_number()
    # Its own name for each: verifiers look for the issuer by name, and two may be trusted at a time.
    subject = _name(f"{name} {serial:x}"[:64])
    builder = _builder(subject, subject, key.public_key(), now, now + lifetime).serial_number(serial)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_key_usage(signs_certificates=True), critical=True)
    return Pair(builder.sign(key, hashes.SHA256()), key)


def issue(
    authority: Pair, uri: str, dns_names: Sequence[str], usage: Usage, now: datetime, lifetime: timedelta
) -> Pair:
    """A certificate for whoever the URI names, valid at most as long as the authority's own."""
    key = ec.generate_private_key(_CURVE())
    issuer = authority.certificate
    until = min(now + lifetime, issuer.not_valid_after_utc)
    # The name is in the alternative names alone: nobody should read another.
    builder = _builder(_name("trilithon"), issuer.subject, key.public_key(), now, until)
    builder = builder.serial_number(x509.random_serial_number())
    names = [x509.UniformResourceIdentifier(uri), *(x509.DNSName(name) for name in dns_names)]
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_key_usage(signs_certificates=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([usage.value]), critical=True)
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    builder = builder.add_extension(identifier, critical=False)
    return Pair(builder.sign(authority.key, hashes.SHA256()), key)


def pair_of(certificate: bytes, key: bytes) -> Pair:
    """Read a certificate and its key from PEM. Raises CertificateUnusable, which quotes neither."""
    try:
        read = x509.load_pem_x509_certificate(certificate)
        private = load_pem_private_key(key, None)
    except (ValueError, TypeError) as error:
        raise CertificateUnusable("the certificate or its key is not PEM of a known kind") from error
    if not isinstance(private, ec.EllipticCurvePrivateKey) or not isinstance(private.curve, _CURVE):
        raise CertificateUnusable("the key is not an ECDSA key with the curve P-256")
    if private.public_key().public_bytes(*_PUBLIC) != read.public_key().public_bytes(*_PUBLIC):
        raise CertificateUnusable("the key is not that of the certificate")
    return Pair(read, private)


def certificates_of(bundle: bytes) -> tuple[x509.Certificate, ...]:
    """All certificates of a PEM bundle, at least one. Raises CertificateUnusable."""
    try:
        return tuple(x509.load_pem_x509_certificates(bundle))
    except ValueError as error:
        raise CertificateUnusable("the bundle holds no certificate, or something else") from error


def bundle_of(certificates: Iterable[x509.Certificate]) -> bytes:
    """Certificates as one PEM bundle, each once."""
    return b"".join(dict.fromkeys(certificate.public_bytes(Encoding.PEM) for certificate in certificates))


def may_sign(certificate: x509.Certificate) -> bool:
    """Whether others believe what this one signed."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False


def is_signed_by(certificate: x509.Certificate, authorities: Iterable[x509.Certificate]) -> bool:
    """Whether one of the authorities issued it."""
    for authority in authorities:
        try:
            certificate.verify_directly_issued_by(authority)
        except (ValueError, TypeError, InvalidSignature):
            continue
        return True
    return False


def uris_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """Whom a certificate names by URI. Raises CertificateUnusable."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    except ValueError as error:
        raise CertificateUnusable("the names of the certificate cannot be read") from error
    return tuple(names.get_values_for_type(x509.UniformResourceIdentifier))


def renewal_of(certificate: x509.Certificate, share: float) -> datetime:
    """When this share of its life is over."""
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return begin + (end - begin) * share


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, until: datetime
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, public_key=key)
    builder = builder.not_valid_before(now - SKEW).not_valid_after(until)
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
