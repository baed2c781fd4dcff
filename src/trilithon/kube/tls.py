"""Make the TLS settings of a connection to an API server."""

from __future__ import annotations

import ssl
import tempfile
from pathlib import Path

from msgspec import Struct

from trilithon.kube.credentials import Credential
from trilithon.kube.errors import ConfigError


class Trust(Struct, frozen=True, gc=False):
    """Whom to trust: the authorities of ``ca`` (PEM; a path is read anew when it changes), the machine's if it is None.

    ``server_name`` replaces the host of the address in the check. ``is_insecure`` checks nothing at all.
    """

    ca: Path | bytes | None = None
    server_name: str = ""
    is_insecure: bool = False


def ca_bytes(trust: Trust) -> bytes | None:
    """The authorities as they are now. Raises ConfigError."""
    if not isinstance(trust.ca, Path):
        return trust.ca
    try:
        return trust.ca.read_bytes()
    except OSError as error:
        message = f"cannot read the certificate authority {trust.ca}: {error.strerror or 'unknown error'}"
        raise ConfigError(message) from None


def tls_context(ca: bytes | None, credential: Credential, *, is_insecure: bool) -> ssl.SSLContext:
    """The settings for these authorities and this client certificate. Raises ConfigError if they are not sound."""
    try:
        context = ssl.create_default_context(cadata=ca.decode("ascii") if ca is not None else None)
    except (ssl.SSLError, ValueError):
        raise ConfigError("the certificate authority holds no sound PEM certificate") from None
    # Certificates made by usual cluster installers lack fields that newer Pythons demand and Go does not.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if is_insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if credential.certificate:
        _load(context, credential)
    return context


def _load(context: ssl.SSLContext, credential: Credential) -> None:
    # The ssl module takes only files: a folder that nobody else can enter, for a moment.
    with tempfile.TemporaryDirectory(prefix="trilithon-") as folder:
        certificate, key = Path(folder, "certificate"), Path(folder, "key")
        certificate.write_bytes(credential.certificate)
        key.write_bytes(credential.key)
        try:
            context.load_cert_chain(certificate, key, password=_no_password)
        except (ssl.SSLError, ValueError):
            raise ConfigError("the client certificate and its key are not sound PEM, or do not fit together") from None


def _no_password() -> str:
    # Without this, OpenSSL asks on the terminal.
    raise ConfigError("the client key is encrypted; give it without a password")
