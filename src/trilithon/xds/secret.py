"""Encode a TLS secret: a certificate chain and its private key."""

from __future__ import annotations

from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret as EnvoySecret

from trilithon.incremental import Read
from trilithon.model.tables import SECRETS
from trilithon.translate.certificates import CERTIFICATE_ENTRY, KEY_ENTRY, in_use
from trilithon.xds.names import secret_name
from trilithon.xds.resource import SECRET, XdsResource
from trilithon.xds.tables import SecretKey


def encode_secret(read: Read, key: SecretKey) -> XdsResource | None:
    """The TLS secret of a Secret that listeners use; whether it can be used was checked before they did.

    None also while it is not known: Envoys asked for it by its name, and keep what they have while nothing is said.
    """
    row = read.one(SECRETS, key.secret)
    if row is None or not row.is_known:
        return None
    secret = EnvoySecret(name=secret_name(key.secret))
    served = in_use(row)
    secret.tls_certificate.certificate_chain.inline_bytes = served.get(CERTIFICATE_ENTRY) or b""
    secret.tls_certificate.private_key.inline_bytes = served.get(KEY_ENTRY) or b""
    return XdsResource.of(SECRET, secret.name, secret)
