"""Check the TLS material that listeners name."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import NameOID

from trilithon.incremental import Index, Read
from trilithon.model.certificate import Certificate
from trilithon.model.gateway_mistakes import CERTIFICATE_INVALID, CERTIFICATE_NOT_RENEWED, CERTIFICATE_UNKNOWN
from trilithon.model.tables import OURS, SECRETS
from trilithon.resources.core import Secret
from trilithon.resources.gateways import Gateway
from trilithon.resources.meta import Key, SecretObjectReference

TLS_SECRET_TYPE = "kubernetes.io/tls"  # noqa: S105 - the name of a type, no secret
CERTIFICATE_ENTRY = "tls.crt"
KEY_ENTRY = "tls.key"

# Envoy refuses smaller RSA keys and other curves, and would refuse the whole listener with them
# (context_impl.cc: "only RSA certificates with 2048-bit or larger keys", "only P-256, P-384 or P-521").
SMALLEST_RSA_KEY = 2048
CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)


def secret_key(gateway: Gateway, ref: SecretObjectReference) -> Key | None:
    """Key of the Secret that a reference names, or None for another kind."""
    if ref.group != "" or ref.kind != "Secret":
        return None
    return Key("Secret", ref.namespace or gateway.key.namespace, ref.name)


def certificates_named(gateway: Gateway) -> Iterable[Key]:
    """Keys of all Secrets that the listeners of a Gateway name."""
    for listener in gateway.spec.listeners:
        if listener.tls is not None:
            for ref in listener.tls.certificate_refs:
                key = secret_key(gateway, ref)
                if key is not None:
                    yield key


# Only Secrets that a Gateway of ours names are ever parsed.
GATEWAYS_BY_CERTIFICATE: Index[Key, Key, Gateway] = Index("gateways by certificate", OURS, certificates_named)


def certificate_of(read: Read, key: Key) -> Certificate | None:
    """What the Secret of this key promises; None when there is no such Secret."""
    secret = read.one(SECRETS, key)
    if secret is None:
        return None
    if not secret.is_known:
        # It stays in use: what cannot be read must not be taken from Envoys that have it.
        return Certificate(key, (), CERTIFICATE_UNKNOWN.at(key, "", secret=key.path), is_known=False)
    try:
        return Certificate(key, _names(_checked(secret)))
    except _UnusableError as why:
        if not secret.former:
            return Certificate(key, (), CERTIFICATE_INVALID.at(key, why.path, secret=key.path, why=why), usable=False)
        problem = CERTIFICATE_NOT_RENEWED.at(key, why.path, secret=key.path, why=why)
        return Certificate(key, _names(_checked(in_use(secret))), problem)


def in_use(secret: Secret) -> Secret:
    """The Secret as it is served: as it was before, where what it holds now cannot be used."""
    if not secret.former:
        return secret
    # In files the type may be what was changed; in a cluster a type stays what it is as long as its Secret.
    return msgspec.structs.replace(secret, type=TLS_SECRET_TYPE, data=secret.former, former=())


def can_be_used(secret: Secret) -> bool:
    """Whether what a Secret holds now can be served as a certificate."""
    try:
        _checked(secret)
    # Sources ask, outside of any row: what nobody foresaw of a parser must cost this Secret only, and not what is read.
    except Exception:  # noqa: BLE001 - what cannot even be checked cannot be used
        return False
    return True


class _UnusableError(Exception):
    """Why TLS material cannot be used; never holds any of it."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(why)
        self.path = path


def _checked(secret: Secret) -> x509.Certificate:
    """The leaf certificate, after everything that Envoy would refuse has been looked for."""
    if secret.type != TLS_SECRET_TYPE:
        raise _UnusableError("type", f"it is of type {secret.type or 'Opaque'}, not {TLS_SECRET_TYPE}")
    leaf = _leaf(_entry(secret, CERTIFICATE_ENTRY))
    key = _private_key(_entry(secret, KEY_ENTRY))
    if isinstance(key, rsa.RSAPrivateKey):
        if key.key_size < SMALLEST_RSA_KEY:
            raise _UnusableError(
                f"data[{KEY_ENTRY}]", f"the RSA key has {key.key_size} bits, fewer than {SMALLEST_RSA_KEY}"
            )
    elif not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, CURVES):
        raise _UnusableError(f"data[{KEY_ENTRY}]", "the key is neither RSA nor ECDSA with P-256, P-384 or P-521")
    try:
        fits = _public_bytes(leaf.public_key()) == _public_bytes(key.public_key())
    except (ValueError, UnsupportedAlgorithm):
        fits = False
    if not fits:
        raise _UnusableError(f"data[{KEY_ENTRY}]", "the private key does not belong to the certificate")
    return leaf


def _public_bytes(key: object) -> bytes:
    encoded: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]
    return encoded


def _entry(secret: Secret, name: str) -> bytes:
    value = secret.get(name)
    if not value:
        raise _UnusableError(f"data[{name}]", f"it has no {name}")
    return value


def _leaf(pem: bytes) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificates(pem)[0]
    except (ValueError, x509.InvalidVersion):
        raise _UnusableError(f"data[{CERTIFICATE_ENTRY}]", f"{CERTIFICATE_ENTRY} is not a PEM certificate") from None


def _private_key(pem: bytes) -> PrivateKeyTypes:
    try:
        return load_pem_private_key(pem, password=None)
    except TypeError:
        raise _UnusableError(f"data[{KEY_ENTRY}]", f"{KEY_ENTRY} is encrypted") from None
    except (ValueError, UnsupportedAlgorithm):
        raise _UnusableError(f"data[{KEY_ENTRY}]", f"{KEY_ENTRY} is not a PEM private key") from None


def serves_name(name: str, hostname: str) -> bool:
    """Whether a name of a certificate is good for a hostname, or for some hostname of a pattern.

    A wildcard stands for one label here (RFC 6125, 6.4.3), for any number of them in a listener's hostname.
    """
    if hostname.startswith("*."):
        return name.endswith(hostname[1:])
    return name in (hostname, f"*.{hostname.partition('.')[2]}")


def _names(leaf: x509.Certificate) -> tuple[str, ...]:
    """DNS names the certificate is good for: those of the SAN, else the common name (RFC 6125, 6.4.4)."""
    try:
        names = _alternative_names(leaf)
        if names is None:
            names = [str(name.value) for name in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        names = []
    return tuple(sorted({name.lower() for name in names}))


def _alternative_names(leaf: x509.Certificate) -> list[str] | None:
    try:
        extension = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return None
    return extension.value.get_values_for_type(x509.DNSName)
