"""Ask a running process for its state, over its control socket."""

from __future__ import annotations

import http.client
import socket
from pathlib import Path

import msgspec

from trilithon.inspect.overview import Overview

ANSWER_SECONDS = 10


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=ANSWER_SECONDS)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket instead of a port."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def ask(control_socket: Path) -> Overview:
    """The state of the process that listens there. Raises OSError or ValueError (another version's answer)."""
    connection = _UnixConnection(control_socket)
    try:
        connection.request("GET", "/status")
        return msgspec.json.decode(connection.getresponse().read(), type=Overview)
    except http.client.HTTPException as error:
        raise ValueError(f"not an answer: {error}") from error
    finally:
        connection.close()
