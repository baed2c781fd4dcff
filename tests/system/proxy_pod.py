"""A Gateway's Envoy as a pod runs it: ``trilithon proxy`` with a mounted identity, and controllers it connects to."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from tests.sinks.envoy_resources import cluster, endpoints, listener, table
from tests.system.harness import Command, free_port, until
from tests.system.program import TRILITHON
from trilithon.model.proxy import Proxy
from trilithon.resources.meta import Key
from trilithon.sinks.delivery.grpc_server import XdsServer
from trilithon.sinks.envoy.envoy_admin import EnvoyAdmin
from trilithon.sinks.identity.authority import Authority
from trilithon.sinks.identity.identities import Identities
from trilithon.sinks.identity.xds_security import Security
from trilithon.xds.resource import XdsResource

EDGE = Key("Gateway", "infra", "edge")


class MountedSecret:
    """A folder as a kubelet mounts a Secret: every change replaces all files at once, by moving the link ``..data``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        self._serials = itertools.count(1)

    def put(self, data: Mapping[str, bytes] | None) -> None:
        """Have these entries from now on."""
        assert data is not None
        version = self.path / f"..version-{next(self._serials)}"
        version.mkdir()
        for name, content in data.items():
            (version / name).write_bytes(content)
            if not (self.path / name).is_symlink():
                (self.path / name).symlink_to(Path("..data") / name)
        link = self.path / "..data_tmp"
        link.symlink_to(version.name)
        link.rename(self.path / "..data")


class Replica:
    """A controller's xDS port for one Gateway."""

    def __init__(
        self,
        port: int,
        authority: Authority,
        resources: Iterable[XdsResource],
        revision: int = 1,
        admits: Callable[[str], bool] = lambda _node: True,
    ) -> None:
        self.proxy = Proxy(EDGE.path)
        self.was_asked = False
        self.applied = 0
        self.server = XdsServer(
            f"127.0.0.1:{port}",
            on_proxy=self._on_proxy,
            on_applied=self._on_applied,
            grace=0.05,
            admits=admits,
            security=Security(authority, ("localhost",)),
        )
        self.server.publish(EDGE.path, resources, (), revision)

    def _on_proxy(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.was_asked |= proxy.connected > 0

    def _on_applied(self, _gateway: str, revision: int, _seconds: float) -> None:
        self.applied = revision

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Replica]:
        """The port while it is open."""
        await self.server.start()
        try:
            yield self
        finally:
            await self.server.stop()

    async def has(self, revision: int, seconds: float = 30) -> None:
        """Wait until the Envoy has everything of a revision."""
        await until(lambda: self.applied >= revision, seconds, f"revision {revision} was never applied")


class Pod(Command):
    """``trilithon proxy`` for the Gateway; ``xds`` is the port of the controller."""

    def __init__(self, folder: Path, runtime: Path, xds: int, *arguments: str, host: str = "localhost") -> None:
        self.secret = MountedSecret(folder / "identity")
        self.run = runtime
        self.ready = free_port()
        super().__init__(
            TRILITHON,
            *("proxy", "--gateway", EDGE.path, "--xds", f"{host}:{xds}", "--pod", "pod-a"),
            *("--identity", str(self.secret.path), "--run", str(runtime), "--concurrency", "1"),
            *("--ready-address", f"127.0.0.1:{self.ready}", *arguments),
        )

    @property
    def admin(self) -> EnvoyAdmin:
        """Its Envoy's admin interface."""
        return EnvoyAdmin(str(self.run / "admin.sock"))

    async def stats(self, *names: str) -> dict[str, int]:
        """Some statistics by name."""
        async with self.admin as admin:
            found = await admin.stats("^(" + "|".join(name.replace(".", r"\.") for name in names) + ")$")
        return {name: found.get(name, 0) for name in names}

    @property
    def envoy(self) -> int:
        """The process id of Envoy, child of the first process."""
        pid = self.process.pid
        (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(child)


def resources(port: int, backend: int, *, clusters: Iterable[str] = ("a",)) -> list[XdsResource]:
    """A listener at the port that sends everything to the backend; and further clusters that nobody uses."""
    made = [each for name in clusters for each in (cluster(name), endpoints(name, backend))]
    return [*made, listener("l", port, "t"), table("t", "a")]


async def issued(authority: Authority) -> Mapping[str, bytes] | None:
    """The identity of the Gateway."""
    return await Identities(authority).issue(EDGE, None)


def memory(pid: int) -> int:
    """Bytes that a process has for itself alone."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith(("Private_Clean", "Private_Dirty")))


def name_of(pid: int) -> str:
    """What a process runs."""
    return str(Path(f"/proc/{pid}/exe").readlink())
