"""Ask Envoy's admin interface with the standard library alone, for a process that has to stay small.

Loaded when Envoy is to drain, not before. ``envoy_admin`` is the client of everybody else.
"""

from __future__ import annotations

import http.client
import json
import re
import socket

from trilithon.xds.bootstrap_cluster import READY_STATS

# Envoy answers from its main thread, which may be busy; a stuck one must not use up the time to drain.
ANSWER_SECONDS = 2.0
_STAT = re.compile(r"(http|listener)\.(.+)\.downstream_(rq|cx)_active")
_FILTER = r"^(http|listener)\..*\.downstream_(rq|cx)_active$"
# The admin interface's own clients, those of the readiness port, and the same connections again for each worker.
_NO_CLIENTS = re.compile(rf"admin(\..*)?|{READY_STATS}|.*\.worker_\d+")


class AdminSilent(Exception):
    """Envoy does not answer, or not with 200."""


class AdminSocket:
    """One admin socket; every method raises AdminSilent."""

    def __init__(self, path: str) -> None:
        self._path = path

    def is_ready(self) -> bool:
        """Whether Envoy serves its listeners and does not drain."""
        return self._ask("GET", "/ready")[0] == http.client.OK

    def fail_health(self) -> None:
        """Be no longer ready, and ask every client to come back on another connection with its next response."""
        self._order("/healthcheck/fail")

    def close_listeners(self) -> None:
        """Take no more connections."""
        self._order("/drain_listeners")

    def busy(self) -> int:
        """Requests in flight, and connections that carry no HTTP: these are one long request."""
        status, body = self._ask("GET", f"/stats?format=json&filter={_FILTER}")
        try:
            stats = json.loads(body)["stats"]
        except (ValueError, KeyError, TypeError) as error:
            raise AdminSilent(f"statistics cannot be read: {status} {error}") from error
        return busy_in({stat["name"]: stat["value"] for stat in stats if "name" in stat})

    def _order(self, path: str) -> None:
        status, body = self._ask("POST", path)
        if status != http.client.OK:
            raise AdminSilent(f"POST {path}: {status} {body[:200].decode(errors='replace')}")

    def _ask(self, method: str, path: str) -> tuple[int, bytes]:
        connection = _Connection(self._path)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise AdminSilent(f"{method} {path}: {error!r}") from error
        finally:
            connection.close()


def busy_in(stats: dict[str, int]) -> int:
    """What clients are doing, from Envoy's gauges of requests and connections by listener and HTTP manager."""
    sums = {("http", "rq"): 0, ("http", "cx"): 0, ("listener", "cx"): 0}
    for name, value in stats.items():
        found = _STAT.fullmatch(name)
        if found is not None and not _NO_CLIENTS.fullmatch(found[2]) and (found[1], found[3]) in sums:
            sums[found[1], found[3]] += value
    return sums["http", "rq"] + max(0, sums["listener", "cx"] - sums["http", "cx"])


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("envoy", timeout=ANSWER_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
