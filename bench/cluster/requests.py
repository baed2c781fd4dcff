"""Requests to the API server over kept connections, fast enough that the client is not what is measured."""

from __future__ import annotations

import http.client
import ssl
import threading
import time
from collections.abc import Iterable
from contextlib import closing

import msgspec

from bench.figures import Fault
from testcluster import Cluster
from testcluster.api import MERGE_PATCH
from testcluster.layout import API_PORT, NODE_ADDRESS
from testcluster.pki import ADMIN, token_of

ANSWER_SECONDS = 60.0
# So many requests at once are more than an API server on two cores gets done.
CREATORS = 8


class Connection:
    """One connection to the API server of a cluster, as its administrator; for one thread, on the cluster's node."""

    def __init__(self, cluster: Cluster) -> None:
        pki = cluster.layout.pki
        tls = ssl.create_default_context(cafile=pki / "ca.crt")
        self._connection = http.client.HTTPSConnection(str(NODE_ADDRESS), API_PORT, timeout=ANSWER_SECONDS, context=tls)
        self._token = token_of(pki, ADMIN)
        self._asked = ""
        self._connection.connect()

    def begin(self, method: str, path: str, body: object, content_type: str = "application/json") -> float:
        """Send a request; the moment (time.perf_counter) before its first byte."""
        data = msgspec.json.encode(body)
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": content_type, "User-Agent": "bench"}
        self._asked = f"{method} {path}"
        at = time.perf_counter()
        self._connection.request(method, path, data, headers)
        return at

    def begin_patch(self, path: str, patch: object) -> float:
        """Send a JSON merge patch; the moment before its first byte."""
        return self.begin("PATCH", path, patch, MERGE_PATCH)

    def end(self) -> bytes:
        """The body of the answer to what was begun; Fault unless it is a good one."""
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise Fault(f"{self._asked}: {answer.status} {text[:300].decode(errors='replace')}")
        return text

    def close(self) -> None:
        """Nothing more is asked."""
        self._connection.close()


def create_all(cluster: Cluster, wanted: Iterable[tuple[str, object]]) -> tuple[float, float]:
    """Create objects, given with the paths of their collections, several at once.

    Returns the moment (time.perf_counter) of the last good answer, and the seconds that all took.
    """
    coming = iter(wanted)
    lock = threading.Lock()
    errors: list[Exception] = []

    def work() -> None:
        try:
            with closing(Connection(cluster)) as connection:
                while True:
                    with lock:
                        one = next(coming, None)
                    if one is None or errors:
                        return
                    connection.begin("POST", *one)
                    connection.end()
        except (Fault, OSError, http.client.HTTPException) as error:
            errors.append(error)

    began = time.perf_counter()
    threads = [threading.Thread(target=work) for _ in range(CREATORS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise Fault(f"creating objects: {errors[0]}")
    ended = time.perf_counter()
    return ended, ended - began
