"""A small HTTP/1.1 client that keeps its connection, and a steady load made of several."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import Counter
from types import TracebackType
from typing import Self

from msgspec import Struct

ANSWER_SECONDS = 10.0


class Answer(Struct, frozen=True):
    """Status 0: there was none."""

    status: int
    body: bytes


NONE = Answer(0, b"")


class Client:
    """Asks one port of an address, over one connection as long as the server keeps it."""

    def __init__(self, port: int, address: str = "127.0.0.1") -> None:
        self._place = address, port
        self._socket: socket.socket | None = None
        self.closes = 0  # times the server closed the connection, or said that it would

    def get(self, host: str, target: str = "/") -> Answer:
        """The answer to a GET; never raises for what the other side does. Nothing is asked twice."""
        try:
            if self._socket is None:
                self._socket = socket.create_connection(self._place, timeout=ANSWER_SECONDS)
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.sendall(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            return self._answer(self._socket)
        except (OSError, ValueError):
            self._lose()
            return NONE

    def _answer(self, connection: socket.socket) -> Answer:
        head, body = b"", b""
        while not body and b"\r\n\r\n" not in head:
            head += _some(connection)
        head, _, body = head.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if "content-length" not in headers:
            raise ValueError("an answer without a length")
        while len(body) < int(headers["content-length"]):
            body += _some(connection)
        if headers.get("connection", "").lower() == "close":
            self._lose()
        return Answer(int(status.split()[1]), body)

    def _lose(self) -> None:
        self.closes += 1
        self.close()

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _some(connection: socket.socket) -> bytes:
    received = connection.recv(65536)
    if not received:
        raise ConnectionResetError
    return received


class SteadyLoad:
    """GETs over kept connections at a bounded rate, each connection in its own thread; a context manager.

    An answer is good when its status is 200. What was late is not made good by a burst.
    """

    def __init__(
        self, port: int, host: str, *, connections: int, per_second: float, address: str = "127.0.0.1"
    ) -> None:
        self._place = port, address
        self._ends = threading.Event()
        self._counts: Counter[int] = Counter()
        self._closes = 0
        self._lock = threading.Lock()
        pause = connections / per_second
        self._threads = [
            threading.Thread(target=self._ask, args=(host, pause), daemon=True) for _ in range(connections)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ends.set()
        for thread in self._threads:
            thread.join(2 * ANSWER_SECONDS)

    @property
    def requests(self) -> int:
        with self._lock:
            return self._counts.total()

    @property
    def failures(self) -> dict[str, int]:
        """How often each status other than 200 came; "no answer" where there was none."""
        with self._lock:
            return {str(s) if s else "no answer": n for s, n in sorted(self._counts.items()) if s != 200}

    @property
    def closes(self) -> int:
        """How often the server ended a connection; complete after the load has ended."""
        return self._closes

    def _ask(self, host: str, pause: float) -> None:
        client = Client(*self._place)
        due = time.monotonic()
        while not self._ends.is_set():
            status = client.get(host).status
            with self._lock:
                self._counts[status] += 1
            due = max(due + pause, time.monotonic())
            self._ends.wait(due - time.monotonic())
        with self._lock:
            self._closes += client.closes
        with contextlib.suppress(OSError):
            client.close()
