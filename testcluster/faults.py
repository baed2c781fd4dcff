"""What tests do to a cluster on purpose."""

from __future__ import annotations

import http.client
import signal
from contextlib import closing
from typing import Any

import msgspec

from testcluster import namespaces
from testcluster.components import ETCD_PORT
from testcluster.layout import Layout
from testcluster.processes import Processes


def kill(processes: Processes, name: str) -> None:
    """End a process at once and wait until it is gone."""
    process = processes[name]
    process.send(signal.SIGKILL)
    process.wait_end(10)


def compact(layout: Layout) -> None:
    """Have etcd forget every revision but the present one. The API server's own memory of them is not touched."""
    revision = _etcd(layout, "/v3/kv/range", {"key": "AA==", "limit": "1"})["header"]["revision"]
    _etcd(layout, "/v3/kv/compaction", {"revision": revision, "physical": True})


def _etcd(layout: Layout, path: str, body: object) -> Any:
    with closing(http.client.HTTPConnection("127.0.0.1", ETCD_PORT, timeout=10)) as connection:
        connection.sock = namespaces.connect(layout.hub, ("127.0.0.1", ETCD_PORT), 10)
        connection.request("POST", path, msgspec.json.encode(body))
        answer = connection.getresponse()
        content = answer.read()
    if answer.status != 200:
        raise OSError(f"etcd answered {path} with {answer.status}: {content.decode(errors='replace')}")
    return msgspec.json.decode(content)
