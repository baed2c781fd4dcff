"""A cluster, for commands and for tests: bring it up, reach it, disturb it, take it down."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Self, TypeVar

import msgspec

from testcluster import faults, lifecycle, namespaces
from testcluster.api import Api, Object
from testcluster.audit import AuditLog
from testcluster.components import kubeconfig
from testcluster.failure import Failure
from testcluster.hub import command_in_hub, environment
from testcluster.layout import Layout
from testcluster.manifests import Manifests, load, parse
from testcluster.processes import Process, Processes
from testcluster.settling import settle

T = TypeVar("T")


class Cluster:
    """One cluster. Several of different names may be up at once; a cluster is the same from whichever process."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.processes = Processes(layout.state / "processes", layout.logs)

    @classmethod
    def attach(cls, name: str | None = None) -> Self:
        """The named cluster ($TESTCLUSTER, else ``trilithon``), which must be up: Failure if it is not."""
        layout = Layout.of(name)
        if not namespaces.exists(layout.hub) or not layout.kubeconfig.exists():
            raise Failure(f"The test cluster {layout.name!r} is not up. Bring it up: make cluster-up")
        return cls(layout)

    @classmethod
    def up(
        cls, name: str | None = None, channel: str = "experimental", say: Callable[[str], None] | None = None
    ) -> Self:
        """Bring the cluster up, or what is missing of it, with the Gateway API of a channel, or with ``none``."""
        cluster = cls(Layout.of(name))
        lifecycle.up(cluster.layout, cluster.processes, channel, say or (lambda text: None))
        return cluster

    def down(self, *, keep: bool = False) -> None:
        """End everything and remove what it left; ``keep`` leaves the data for the next ``up``."""
        lifecycle.down(self.layout, self.processes, keep=keep)

    @property
    def kubeconfig(self) -> Path:
        """The administrator's; it works in the hub and in pods that see the file."""
        return self.layout.kubeconfig

    @cached_property
    def api(self) -> Api:
        """Requests as the administrator, from anywhere."""
        return Api(self.layout)

    @cached_property
    def manifests(self) -> Manifests:
        """Manifests as the administrator."""
        return Manifests(self.api)

    @cached_property
    def audit(self) -> AuditLog:
        """The API server's audit log."""
        return AuditLog(self.layout.audit_log)

    def get(self, path: str) -> Any:
        """What the API server has at a path; ApiError if nothing."""
        return self.api.get(path)

    def find(self, path: str) -> Any | None:
        """What the API server has at a path, if anything."""
        return self.api.find(path)

    def apply(self, *what: Path | str | Object, namespace: str = "default") -> list[Object]:
        """Apply files, YAML texts or objects by server-side apply; returns what is stored."""
        return self.manifests.apply(_documents(what), namespace)

    def delete(self, *what: Path | str | Object, namespace: str = "default") -> None:
        """Delete what files, YAML texts or objects name."""
        self.manifests.delete(_documents(what), namespace)

    def run_in_hub(
        self,
        argv: Sequence[str],
        *,
        check: bool = True,
        stdin: str | None = None,
        timeout: float = 60.0,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the hub, with the cluster's DNS, programs and kubeconfig; its output is returned.

        ``check``: subprocess.CalledProcessError, with the output as a note, if it fails.
        """
        answer = subprocess.run(
            command_in_hub(self.layout, argv),
            check=False,
            input=stdin or "",
            capture_output=True,
            text=True,
            timeout=timeout,
            env={**environment(self.layout), **(env or {})},
        )
        if check and answer.returncode:
            error = subprocess.CalledProcessError(answer.returncode, argv, answer.stdout, answer.stderr)
            error.add_note(answer.stdout[-2000:] + answer.stderr[-2000:])
            raise error
        return answer

    def kubectl(self, *argv: str, check: bool = True, stdin: str | None = None, timeout: float = 60.0) -> str:
        """What kubectl prints."""
        return self.run_in_hub(["kubectl", *argv], check=check, stdin=stdin, timeout=timeout).stdout

    def spawn(self, name: str, argv: Sequence[str], env: Mapping[str, str] | None = None) -> Process:
        """Start a command in the hub, in the background, unless one of that name runs; ``down`` ends it.

        Its output is in ``processes.log(name)``; end it by ``processes.forget(name)``.
        """
        extra = {**environment(self.layout, inherit=False), **(env or {})}
        return self.processes.start(name, command_in_hub(self.layout, argv), extra)

    def service_account_token(self, namespace: str, name: str, hours: int = 24) -> str:
        """A token of a service account, which must exist."""
        spec = {"expirationSeconds": hours * 3600}
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        token: str = self.api.call("POST", path, request)["status"]["token"]
        return token

    def service_account_kubeconfig(self, namespace: str, name: str, hours: int = 24) -> Path:
        """A kubeconfig with the rights of a service account, which must exist."""
        token = self.service_account_token(namespace, name, hours)
        path = self.layout.state / "service-accounts" / f"{namespace}.{name}.kubeconfig"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(msgspec.json.encode(kubeconfig(self.layout, token)))
        return path

    def pause(self, name: str) -> None:
        """Stop a process where it stands (SIGSTOP): its sockets stay open and nobody answers."""
        self.processes[name].send(signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """Have a paused process go on."""
        self.processes[name].send(signal.SIGCONT)

    def kill(self, name: str) -> None:
        """End a process at once (SIGKILL)."""
        faults.kill(self.processes, name)

    def start(self, name: str) -> None:
        """Start a process that ended, as it was started before."""
        self.processes.restart(name)

    def restart(self, name: str) -> None:
        """End a process in good order and start it again; returns when the API server is ready."""
        self.processes.restart(name)
        self.wait_ready()

    def wait_ready(self, seconds: float = 60.0) -> None:
        """Wait until the API server says that it is ready."""
        lifecycle.wait_for("the API server", self.api.ready, seconds)

    def settle(self, seconds: float = 90.0) -> None:
        """Wait until every part of the cluster acts on what is new in the API server, as after that was away."""
        settle(self.layout, self.api, self.processes, seconds)

    def compact(self) -> None:
        """Make every version of an object but the last unknown: a watch from an older one is answered by 410."""
        faults.compact(self.layout)
        # It remembers some versions itself. It is killed because it takes ten seconds to part from its watchers.
        self.kill("kube-apiserver")
        self.restart("kube-apiserver")

    @contextmanager
    def without_data(self) -> Iterator[None]:
        """Have the API server be one that lost everything it stored; at the end it has it back."""
        with faults.without_data(self.layout, self.processes, self.wait_ready):
            yield

    @contextmanager
    def undone(self) -> Iterator[None]:
        """Have all that changes meanwhile never have been: at the end etcd is restored from a copy of now."""
        with faults.undone(self.layout, self.processes, self.wait_ready):
            yield

    def wait_for(self, what: str, look: Callable[[], T | None], seconds: float = 60.0) -> T:
        """Look again and again until there is something, and return it; Failure names what did not come."""
        deadline = time.monotonic() + seconds
        while True:
            if found := look():
                return found
            if time.monotonic() > deadline:
                raise Failure(f"{what}: not within {seconds:g} s")
            time.sleep(0.05)


def _documents(what: Iterable[Path | str | Object]) -> list[Object]:
    documents: list[Object] = []
    for one in what:
        match one:
            case Path():
                documents.extend(load(one))
            case str():
                documents.extend(parse(one))
            case _:
                documents.append(one)
    return documents
