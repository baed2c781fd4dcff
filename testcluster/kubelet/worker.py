"""One pod from its start to its end: network, volumes, containers in their order, status, and nothing left behind."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from msgspec import Struct

from testcluster.kubelet.api import Api
from testcluster.kubelet.commands import CommandFailed
from testcluster.kubelet.container import Keeper
from testcluster.kubelet.fields import Place
from testcluster.kubelet.launch import Create
from testcluster.kubelet.network import Addresses, connect, disconnect, namespace_of
from testcluster.kubelet.objects import Container, Pod
from testcluster.kubelet.plan import Planner
from testcluster.kubelet.probes import Asker
from testcluster.kubelet.problems import CannotRun
from testcluster.kubelet.references import References
from testcluster.kubelet.status import Conditions, Ended, PodView, is_said, status_of
from testcluster.kubelet.volumes import Volumes
from testcluster.namespaces import FOLDER
from trilithon.kube.errors import ApiError, KubeError

_RETRY_SECONDS = 1.0


class Machine(Struct, frozen=True, kw_only=True):
    """What all pods of the node share."""

    api: Api
    references: References
    planner: Planner
    asker: Asker
    addresses: Addresses
    node_address: str
    hub: str
    pod_prefix: str
    pods: Path


class Worker:
    """Runs one pod."""

    def __init__(self, machine: Machine, pod: Pod) -> None:
        self.pod = pod
        self._machine = machine
        self._folder = machine.pods / pod.uid
        self._namespace = "" if pod.spec.host_network else namespace_of(machine.pod_prefix, pod)
        self._place: Place | None = None
        self._volumes = Volumes(pod, self._folder / "volumes", machine.api, machine.references, self._where)
        self._conditions = Conditions()
        self._reported: dict[str, Any] = {}
        self._changed = asyncio.Event()
        self._ending = asyncio.Event()
        self._is_gone = self._is_initialized = False
        self._started = datetime.now(UTC)
        if pod.status.start_time:
            with suppress(ValueError):
                self._started = datetime.fromisoformat(pod.status.start_time)
        self._told: set[asyncio.Task[None]] = set()
        self.keepers = {container.name: self._keeper(container) for container in pod.spec.all_containers}
        if pod.is_ending:
            self._ending.set()

    def update(self, pod: Pod) -> None:
        """The pod was changed; what runs in it never is."""
        self.pod = self._volumes.pod = pod
        if pod.is_ending:
            self._ending.set()
        if not is_said(self._reported, pod.status):
            # Somebody else wrote what is ours to say: the node's watcher, which took the node for dead.
            self._reported = {}
        self._volumes.look()
        self._changed.set()

    def vanish(self) -> None:
        """The pod is gone from the API: end it at once."""
        self._is_gone = True
        self._ending.set()
        for keeper in self.keepers.values():
            keeper.kill()

    async def run(self) -> None:
        """Run the pod until it is deleted and nothing of it is left. Cancelled, it ends everything at once."""
        reporting = asyncio.create_task(self._report_always())
        living = asyncio.create_task(self._live_on())
        try:
            await self._ending.wait()
            await _cancelled(living)
            grace = self.pod.metadata.deletion_grace_period_seconds
            grace = self.pod.spec.termination_grace_period_seconds if grace is None else grace
            await self._stop(0 if self._is_gone else grace)
            await _cancelled(reporting)
            await self._clean()
            if not self._is_gone:
                if any(keeper.process for keeper in self.keepers.values()):
                    await self._report()
                await self._machine.api.remove(self.pod)
        finally:
            for keeper in self.keepers.values():
                keeper.kill()
            for task in (living, reporting, *self._told):
                task.cancel()
            await asyncio.gather(living, reporting, *self._told, return_exceptions=True)
            for keeper in self.keepers.values():
                if keeper.process is not None:
                    await keeper.process.wait()
            await self._clean()
            shutil.rmtree(self._folder, ignore_errors=True)

    # Its life.

    async def _live_on(self) -> None:
        while True:
            try:
                await self._live()
                return
            except Exception as error:  # noqa: BLE001 - whatever is wrong with one pod, it must still end in good order
                self._tell("Failed", f"{error!r}")
            await asyncio.gather(*(keeper.stop(0) for keeper in self.keepers.values()))
            await self._clean()
            self._place = None
            await asyncio.sleep(_RETRY_SECONDS)

    async def _live(self) -> None:
        while self._place is None:
            try:
                await self._connect()
            except (CommandFailed, OSError) as error:
                self._tell("FailedCreatePodSandBox", str(error))
                await self._clean()
                await asyncio.sleep(_RETRY_SECONDS)
        self._changed.set()
        filled = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            following = group.create_task(self._volumes.follow(filled, self._wait))
            await filled.wait()
            await self._run_containers()
            following.cancel()
        # It ran to its end, and waits for its deletion.
        await self._clean()

    async def _run_containers(self) -> None:
        spec = self.pod.spec
        policy = spec.restart_policy
        sidecars: list[asyncio.Task[None]] = []
        try:
            for container in spec.init_containers:
                keeper = self.keepers[container.name]
                if container.is_sidecar:
                    sidecars.append(asyncio.create_task(keeper.keep("Always")))
                    await keeper.has_started.wait()
                    continue
                await keeper.keep("Never" if policy == "Never" else "OnFailure")
                if isinstance(keeper.view.state, Ended) and keeper.view.state.code:
                    return
                keeper.set_ready(True)
            self._is_initialized = True
            async with asyncio.TaskGroup() as group:
                for container in spec.containers:
                    group.create_task(self.keepers[container.name].keep(policy))
        finally:
            for task in sidecars:
                await _cancelled(task)
        await self._stop_sidecars(spec.termination_grace_period_seconds)

    async def _stop(self, grace: float) -> None:
        keepers = [self.keepers[container.name] for container in self.pod.spec.containers]
        inits = [self.keepers[each.name] for each in self.pod.spec.init_containers if not each.is_sidecar]
        clock = asyncio.get_running_loop().time
        began = clock()
        await asyncio.gather(*(keeper.stop(grace) for keeper in (*inits, *keepers)))
        await self._stop_sidecars(max(0.0, grace - (clock() - began)))

    async def _stop_sidecars(self, grace: float) -> None:
        # The last that was started is the first to go.
        for container in reversed(self.pod.spec.init_containers):
            if container.is_sidecar:
                await self.keepers[container.name].stop(grace)

    # Its surroundings.

    async def _connect(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        machine = self._machine
        address = machine.node_address
        if self._namespace:
            address = machine.addresses.take()
            await connect(machine.hub, self._namespace, address)
        self._place = Place(address, machine.node_address)
        for keeper in self.keepers.values():
            keeper.address = address

    async def _clean(self) -> None:
        if self._namespace:
            await disconnect(self._namespace)

    def _where(self) -> Place:
        return self._place or Place("", self._machine.node_address)

    async def _plan(self, container: Container, scratch: Path) -> Create:
        netns = str(FOLDER / self._namespace) if self._namespace else ""
        try:
            return await self._machine.planner.plan(self.pod, container, self._where(), netns, self._volumes, scratch)
        except ApiError as error:
            raise CannotRun("CreateContainerConfigError", str(error)) from None

    def _keeper(self, container: Container) -> Keeper:
        said = (*self.pod.status.init_container_statuses, *self.pod.status.container_statuses)
        # One that ran before this kubelet did runs for another time.
        runs = (each.restart_count + bool(each.container_id) for each in said if each.name == container.name)
        return Keeper(
            container,
            self._folder / "containers" / container.name,
            self._plan,
            self._machine.asker,
            self._changed.set,
            self._tell,
            identity=self.pod.uid,
            restarts=next(runs, 0),
            grace=self.pod.spec.termination_grace_period_seconds,
        )

    # What is said of it.

    def _wait(self, problem: CannotRun) -> None:
        news = [keeper.wait(problem) for keeper in self.keepers.values()]
        if any(news):
            self._tell("FailedMount", problem.message)

    def _tell(self, reason: str, message: str) -> None:
        print(f"{self.pod}: {reason}: {message}", flush=True)
        task = asyncio.create_task(self._record(reason, message))
        self._told.add(task)
        task.add_done_callback(self._told.discard)

    async def _record(self, reason: str, message: str) -> None:
        try:
            await self._machine.api.record(self.pod, reason, message, is_warning=True)
        except KubeError as error:
            print(f"{self.pod}: cannot record an event: {error}", flush=True)

    async def _report_always(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self._report()

    async def _report(self) -> None:
        spec = self.pod.spec
        view = PodView(
            mains=[self.keepers[each.name].view for each in spec.containers],
            inits=[self.keepers[each.name].view for each in spec.init_containers],
            sidecars=frozenset(each.name for each in spec.init_containers if each.is_sidecar),
            place=self._place,
            is_initialized=self._is_initialized,
            started=self._started,
        )
        status = status_of(self.pod, view, self._conditions, datetime.now(UTC))
        if status == self._reported:
            return
        try:
            await self._machine.api.report(self.pod, status)
        except KubeError as error:
            # 404 and 409: gone, or another pod of that name.
            if not (isinstance(error, ApiError) and error.status in (404, 409)):
                print(f"{self.pod}: cannot write its status: {error}", flush=True)
            return
        self._reported = status


async def _cancelled(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait for its end; what it failed with before is raised."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
