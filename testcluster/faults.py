"""What tests do to a cluster on purpose."""

from __future__ import annotations

import http.client
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import msgspec

from testcluster import namespaces
from testcluster.components import ETCD_PORT, components
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


@contextmanager
def without_data(layout: Layout, processes: Processes, wait_ready: Callable[[], None]) -> Iterator[None]:
    """Have the API server be one with an empty etcd, and at the end one that has everything again.

    The other parts of the cluster stand still meanwhile, or they would take down what is not there any more.
    """
    store = ("etcd", "kube-apiserver")
    others = [each.name for each in components(layout) if each.name not in store]
    kept = layout.etcd.with_name(f"{layout.etcd.name}-kept")

    def stop() -> None:
        for name in reversed(store):
            kill(processes, name)

    def start() -> None:
        for name in store:
            processes.restart(name)
        wait_ready()

    for name in others:
        processes[name].send(signal.SIGSTOP)
    try:
        stop()
        layout.etcd.rename(kept)
        try:
            start()
            yield
        finally:
            stop()
            shutil.rmtree(layout.etcd, ignore_errors=True)
            kept.rename(layout.etcd)
            start()
    finally:
        for name in others:
            processes[name].send(signal.SIGCONT)


def _etcd(layout: Layout, path: str, body: object) -> Any:
    with closing(http.client.HTTPConnection("127.0.0.1", ETCD_PORT, timeout=10)) as connection:
        connection.sock = namespaces.connect(layout.hub, ("127.0.0.1", ETCD_PORT), 10)
        connection.request("POST", path, msgspec.json.encode(body))
        answer = connection.getresponse()
        content = answer.read()
    if answer.status != 200:
        raise OSError(f"etcd answered {path} with {answer.status}: {content.decode(errors='replace')}")
    return msgspec.json.decode(content)
