"""Mutual TLS for the xDS port: what the server shows, whom it believes, and whose configuration a client may have."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

import grpc
from cryptography import x509

from trilithon.model.settings import Installation
from trilithon.sinks.identity.authority import Authority, Clock, utc_now
from trilithon.sinks.identity.certification import CertificateUnusable, Pair, Usage, issue, renewal_of, uris_of
from trilithon.sinks.identity.peer import Peer, Unidentified
from trilithon.sinks.identity.trust import Trust
from trilithon.xds.identity import CONTROLLER, gateway_of_uri

# The server's own certificate is never stored, so it may be short.
LIFETIME = timedelta(days=30)
RENEWAL_SHARE = 2 / 3
_TLS = b"TLSv1.3"

AuthContext = Mapping[str, Iterable[bytes]]


class Security:
    """Credentials of one server; they follow the authority, and time, with each new connection."""

    def __init__(self, authority: Authority, names: Sequence[str], clock: Clock = utc_now) -> None:
        self._authority = authority
        self._names = tuple(names)
        self._clock = clock
        # gRPC asks in threads of its own.
        self._lock = threading.Lock()
        self._shown: tuple[Trust, Pair] | None = None

    async def credentials(self) -> grpc.ServerCredentials:
        """For ``add_secure_port``, once the authority is known: every client must have a certificate of it."""
        self._shown = self._issued(await self._authority.known())
        return grpc.dynamic_ssl_server_credentials(
            _configuration(*self._shown),
            self._changed,  # type: ignore[arg-type]  # its documentation allows None
            require_client_authentication=True,
        )

    async def replica_credentials(self) -> grpc.ChannelCredentials:
        """For a connection to another replica; a new connection needs new ones."""
        trust = await self._authority.known()
        shown = issue(trust.signer, CONTROLLER, (), Usage.CLIENT, self._clock(), LIFETIME)
        return grpc.ssl_channel_credentials(trust.bundle, shown.key_pem, shown.certificate_pem)

    def peer(self, context: AuthContext) -> Peer:
        """Whose Envoy the client of this connection is. Raises Unidentified."""
        certificate, uris = self._client(context)
        gateways = [gateway_of_uri(uri) for uri in uris]
        if len(gateways) != 1 or gateways[0] is None:
            raise Unidentified("the certificate names no Gateway, or more than one")
        return Peer(gateways[0], (certificate.not_valid_after_utc - self._clock()).total_seconds())

    def check_replica(self, context: AuthContext) -> None:
        """Let a client pass that is a replica of this controller. Raises Unidentified for any other."""
        _, uris = self._client(context)
        if uris != (CONTROLLER,):
            raise Unidentified("the certificate is not the controller's")

    def _client(self, context: AuthContext) -> tuple[x509.Certificate, tuple[str, ...]]:
        """The certificate of a client, and the URIs that it names. Raises Unidentified."""
        if list(context.get("ssl_tls_version", ())) != [_TLS]:
            # gRPC cannot be told to refuse an older version in the handshake; see also ``grpc_environment``.
            raise Unidentified("TLS 1.3 is needed")
        certificate = _certificate_of(context)
        # A resumed session brings the certificate of the first one, however long ago that was.
        now = self._clock()
        if not certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc:
            raise Unidentified("the certificate is not valid now")
        try:
            uris = uris_of(certificate)
        except CertificateUnusable as error:
            raise Unidentified(str(error)) from error
        return certificate, uris

    def _changed(self) -> grpc.ServerCertificateConfiguration | None:
        """For gRPC, at each handshake: what to show from now on, None for the same as before."""
        with self._lock:
            current = self._authority.trust
            if self._is_good(current):
                return None
            self._shown = self._issued(current)
            return _configuration(*self._shown)

    def _is_good(self, current: Trust) -> bool:
        if self._shown is None:
            return False
        trust, shown = self._shown
        return trust is current and self._clock() < renewal_of(shown.certificate, RENEWAL_SHARE)

    def _issued(self, trust: Trust) -> tuple[Trust, Pair]:
        return trust, issue(trust.signer, CONTROLLER, self._names, Usage.SERVER, self._clock(), LIFETIME)


def names_of(installation: Installation) -> tuple[str, ...]:
    """The DNS names by which the controller's Service may be called."""
    service = f"{installation.name}.{installation.namespace}.svc"
    return tuple(dict.fromkeys((installation.xds_host, service, f"{service}.cluster.local")))


def _configuration(trust: Trust, shown: Pair) -> grpc.ServerCertificateConfiguration:
    pair = (shown.key_pem, shown.certificate_pem)
    return grpc.ssl_server_certificate_configuration([pair], trust.bundle)


def _certificate_of(context: AuthContext) -> x509.Certificate:
    certificates = list(context.get("x509_pem_cert", ()))
    if len(certificates) != 1:
        raise Unidentified("there is no certificate")
    try:
        return x509.load_pem_x509_certificate(certificates[0])
    except ValueError as error:
        raise Unidentified("the certificate cannot be read") from error
