"""Look at the files with which a Gateway's Envoy shows who it is, before Envoy reads them."""

from __future__ import annotations

import time
from pathlib import Path

from cryptography import x509

from trilithon.xds.bootstrap_cluster import IDENTITY_ENTRIES
from trilithon.xds.identity import uri_of_gateway

_LOOK_SECONDS = 0.2


class IdentityMissing(Exception):
    """The files are not there, or are somebody else's; the message says what helps."""


def await_identity(folder: Path, gateway: str, seconds: float) -> None:
    """Wait until the folder holds the identity of this Gateway ("namespace/name"), for some seconds at most.

    Raises IdentityMissing. Without this Envoy would ask again and again, be refused each time, and say little.
    """
    until = time.monotonic() + seconds
    while missing := [entry for entry in IDENTITY_ENTRIES if not _content(folder / entry)]:
        if time.monotonic() >= until:
            raise IdentityMissing(
                f"{folder} has no {', '.join(missing)} after {seconds:g} s; "
                f"is the Secret with the identity of Gateway {gateway} mounted there?"
            )
        time.sleep(_LOOK_SECONDS)
    _check(_content(folder / "tls.crt"), folder, gateway)


def _check(certificate: bytes, folder: Path, gateway: str) -> None:
    try:
        extensions = x509.load_pem_x509_certificate(certificate).extensions
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    except (ValueError, x509.ExtensionNotFound) as error:
        raise IdentityMissing(f"{folder}/tls.crt is no identity of a Gateway: {error}") from error
    if uris != [uri_of_gateway(gateway)]:
        raise IdentityMissing(f"{folder}/tls.crt is for {', '.join(uris) or 'nobody'}, not for Gateway {gateway}")


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return b""
    except OSError as error:
        raise IdentityMissing(f"{path} cannot be read: {error.strerror}") from error
