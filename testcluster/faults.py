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
    """Have the API server be one with an empty etcd, and at the end one that has everything again."""
    store = _Store(layout, processes, wait_ready)
    with store.alone():
        store.stop()
        layout.etcd.rename(store.kept)
        try:
            store.start()
            yield
        finally:
            store.put_back()


@contextmanager
def undone(layout: Layout, processes: Processes, wait_ready: Callable[[], None]) -> Iterator[None]:
    """Have the API server be one whose etcd was restored, at the end, from a copy of now."""
    store = _Store(layout, processes, wait_ready)
    with store.alone():
        store.stop()
        shutil.copytree(layout.etcd, store.kept)
        try:
            store.start()
            yield
        finally:
            store.put_back()


class _Store:
    """The API server and its etcd, whose data can be put aside."""

    NAMES = ("etcd", "kube-apiserver")

    def __init__(self, layout: Layout, processes: Processes, wait_ready: Callable[[], None]) -> None:
        self.kept = layout.etcd.with_name(f"{layout.etcd.name}-kept")
        self._data = layout.etcd
        self._processes = processes
        self._wait_ready = wait_ready
        self._others = [each.name for each in components(layout) if each.name not in self.NAMES]

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Have the other parts of the cluster stand still, or they would take down what is not there any more."""
        for name in self._others:
            self._processes[name].send(signal.SIGSTOP)
        try:
            yield
        finally:
            for name in self._others:
                self._processes[name].send(signal.SIGCONT)

    def stop(self) -> None:
        for name in reversed(self.NAMES):
            kill(self._processes, name)

    def start(self) -> None:
        for name in self.NAMES:
            self._processes.restart(name)
        self._wait_ready()

    def put_back(self) -> None:
        """Go on with the data that were kept."""
        self.stop()
        shutil.rmtree(self._data, ignore_errors=True)
        self.kept.rename(self._data)
        self.start()


def _etcd(layout: Layout, path: str, body: object) -> Any:
    with closing(http.client.HTTPConnection("127.0.0.1", ETCD_PORT, timeout=10)) as connection:
        connection.sock = namespaces.connect(layout.hub, ("127.0.0.1", ETCD_PORT), 10)
        connection.request("POST", path, msgspec.json.encode(body))
        answer = connection.getresponse()
        content = answer.read()
    if answer.status != 200:
        raise OSError(f"etcd answered {path} with {answer.status}: {content.decode(errors='replace')}")
    return msgspec.json.decode(content)
