"""What an Envoy in a pod has, asked at its admin socket from the node: the means to see that nothing was taken away."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

SOCKET = "run/trilithon/admin.sock"
CONNECTED = "control_plane.connected_state"
KEPT = ("dynamic_listeners", "dynamic_active_clusters", "dynamic_route_configs", "dynamic_active_secrets")
"""The lists of a dump that hold what the controller gave."""


class Envoy:
    """One process; ``pid`` is any of its pod that sees the same files."""

    def __init__(self, pid: int) -> None:
        self._socket = Path(f"/proc/{pid}/root") / SOCKET

    def stats(self, *names: str) -> Mapping[str, int]:
        """Counters and gauges, 0 for those that it does not have."""
        found = msgspec.json.decode(self._get("/stats?format=json"))["stats"]
        values = {each["name"]: each["value"] for each in found if "name" in each}
        return {name: values.get(name, 0) for name in names}

    def is_connected(self) -> bool:
        """Whether it has a stream to a controller."""
        return self.stats(CONNECTED)[CONNECTED] == 1

    def has_lasting_stream(self) -> bool:
        """Whether it has a stream that lasts; for a moment it also seems to have one that it only asks for."""
        if not self.is_connected():
            return False
        time.sleep(0.5)
        return self.is_connected()

    def given(self) -> Mapping[str, str]:
        """Every listener, cluster, route table and certificate it was given, by name, with when it took that over."""
        dump = msgspec.json.decode(self._get("/config_dump"))["configs"]
        return {
            f"{kind} {_name(each)}": _taken_over(each) for part in dump for kind in KEPT for each in part.get(kind, ())
        }

    def _get(self, path: str) -> bytes:
        with closing(_Connection(str(self._socket))) as connection:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != http.client.OK:
                raise OSError(f"Envoy answers {path} by {answer.status}")
            return body


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("envoy", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _name(entry: Mapping[str, Any]) -> str:
    inner = next((entry[key] for key in ("cluster", "route_config", "active_state") if key in entry), entry)
    return str(entry.get("name") or inner.get("name"))


def _taken_over(entry: Mapping[str, Any]) -> str:
    return str((entry.get("active_state") or entry)["last_updated"])
