"""Set what gRPC reads from the environment alone, once, when it is imported.

A program that opens the xDS port to a network calls ``prepare`` first, before anything imports ``grpc``.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping

_SETTINGS = {
    # There is no setting for the oldest version of TLS. Our certificates hold ECDSA keys, and below TLS 1.3 these
    # suites need RSA keys: an older handshake finds no shared cipher and ends. TLS 1.3 has suites of its own.
    "GRPC_SSL_CIPHER_SUITES": "ECDHE-RSA-AES128-GCM-SHA256",
    # Otherwise every failed handshake of whoever knocks is a line in the log.
    "GRPC_VERBOSITY": "NONE",
}


def prepare(environ: MutableMapping[str, str] = os.environ) -> None:
    """Set it, for whoever has not imported gRPC yet; ``xds_security`` refuses older versions of TLS in any case."""
    environ.update(_SETTINGS)
