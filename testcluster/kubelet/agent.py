"""The kubelet as a whole: a worker for each pod of the node, fed by a watch of all pods.

A kubelet that starts ends what an earlier one left, and starts the pods of the node anew: their containers count one
more restart. When it stops, or is killed, its containers end with it.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Coroutine
from contextlib import AsyncExitStack, aclosing
from ipaddress import IPv4Network
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web

from testcluster.kubelet.api import Api
from testcluster.kubelet.container import Keeper
from testcluster.kubelet.environment import Environments
from testcluster.kubelet.images import Images
from testcluster.kubelet.leftovers import end_all, over
from testcluster.kubelet.network import Addresses, disconnect
from testcluster.kubelet.node import Node
from testcluster.kubelet.objects import Pod, pod_of
from testcluster.kubelet.plan import Planner, Resolver, program_folders
from testcluster.kubelet.probes import Asker
from testcluster.kubelet.references import References
from testcluster.kubelet.scheduler import is_to_bind
from testcluster.kubelet.server import application
from testcluster.kubelet.worker import Machine, Worker
from testcluster.layout import KUBELET_PORT, KubeletConfig
from testcluster.namespaces import FOLDER
from trilithon.kube.config import Config
from trilithon.kube.credentials import Credential, FixedCredentials
from trilithon.kube.discovery import Discovery, KindWanted
from trilithon.kube.errors import ApiError
from trilithon.kube.events import Degraded, Delete, Event, Undecodable, Upsert
from trilithon.kube.objects import ObjectName
from trilithon.kube.tls import Trust
from trilithon.kube.transport import Transport
from trilithon.kube.watch import Watch

_PODS = KindWanted("", "Pod", ("v1",))


class Agent:
    """All pods of one node."""

    def __init__(self, node: str, machine: Machine) -> None:
        self._node = node
        self._machine = machine
        self._workers: dict[str, Worker] = {}
        self._uids: dict[ObjectName, str] = {}
        # Of pods that ended here and that others still hold on to.
        self._done: set[str] = set()
        self._binding: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def watch(self, discovery: Discovery) -> None:
        """Follow all pods for ever."""
        async with aclosing(Watch(discovery, _PODS, pod_of).events()) as events:
            async for event in events:
                self._heard(event)

    def find(self, namespace: str, pod: str, container: str) -> Keeper | None:
        """A container by its names."""
        worker = self._workers.get(self._uids.get(ObjectName(namespace, pod), ""))
        return worker.keepers.get(container) if worker else None

    async def stop(self) -> None:
        """End all pods at once; the API is told nothing."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _heard(self, event: Event[Pod]) -> None:
        match event:
            case Upsert(name, pod):
                if self._uids.get(name, pod.uid) != pod.uid:
                    self._gone(name)
                self._uids[name] = pod.uid
                self._changed(pod)
            case Delete(name):
                self._gone(name)
            case Degraded(reason):
                print(f"cannot watch pods: {reason}", flush=True)
            case Undecodable(name, reason):
                print(f"cannot read pod {name}: {reason}", flush=True)
            case _:
                return

    def _changed(self, pod: Pod) -> None:
        if worker := self._workers.get(pod.uid):
            worker.update(pod)
        elif is_to_bind(pod) and pod.uid not in self._binding:
            self._binding.add(pod.uid)
            self._start(self._bind(pod), f"bind {pod}")
        elif pod.spec.node_name == self._node and pod.uid not in self._done and (pod.is_ending or not pod.is_over):
            worker = self._workers[pod.uid] = Worker(self._machine, pod)
            self._start(self._work(worker), str(pod))

    def _gone(self, name: ObjectName) -> None:
        uid = self._uids.pop(name, "")
        self._done.discard(uid)
        if worker := self._workers.get(uid):
            worker.vanish()

    async def _work(self, worker: Worker) -> None:
        try:
            await worker.run()
        finally:
            self._workers.pop(worker.pod.uid, None)
            if self._uids.get(ObjectName(worker.pod.metadata.namespace, worker.pod.metadata.name)) == worker.pod.uid:
                self._done.add(worker.pod.uid)

    async def _bind(self, pod: Pod) -> None:
        try:
            await self._machine.api.bind(pod, self._node)
        except ApiError as error:
            # Nothing is made in a namespace that goes, and the pod goes with it.
            if error.status != 403:
                raise
        finally:
            self._binding.discard(pod.uid)

    def _start(self, work: Coroutine[object, object, None], what: str) -> None:
        task = asyncio.create_task(work, name=what)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            print(f"{task.get_name()}: {error!r}", flush=True)


async def run(config: KubeletConfig, stop: asyncio.Event) -> None:
    """Be the node's kubelet until ``stop``. Raises OSError if its port is taken."""
    config.pods.mkdir(parents=True, exist_ok=True)
    await clear(config.pods, config.pod_prefix)
    trust = Trust(ca=config.ca)
    credentials = FixedCredentials(Credential(config.token))
    async with AsyncExitStack() as stack:
        transport = await stack.enter_async_context(
            Transport(Config(server=config.server, credentials=credentials, trust=trust), "kubelet")
        )
        asker = await stack.enter_async_context(Asker())
        machine = _machine(config, Api(transport), asker)
        agent = Agent(config.node, machine)
        runner = web.AppRunner(application(agent.find), access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", config.backend_port).start()
        stack.push_async_callback(agent.stop)
        node = Node(machine.api, config.node, config.node_address, KUBELET_PORT, config.version)
        discovery = Discovery(transport)
        work = [
            asyncio.create_task(each)
            for each in (node.serve(), machine.references.watch(discovery), agent.watch(discovery))
        ]
        print("ready", flush=True)
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({*work, stopping}, return_when=asyncio.FIRST_COMPLETED)
        for task in (*work, stopping):
            task.cancel()
        for said in await asyncio.gather(*work, return_exceptions=True):
            if isinstance(said, Exception):
                print(f"the kubelet ends: {said!r}", flush=True)


async def clear(pods: Path, prefix: str) -> None:
    """End and remove everything that an earlier kubelet of this cluster left behind."""
    end_all(over(pods))
    if FOLDER.is_dir():
        for namespace in sorted(path.name for path in FOLDER.iterdir()):
            if _is_pods(namespace, prefix):
                await disconnect(namespace)
    for folder in [path for path in os.scandir(pods) if path.is_dir()]:
        shutil.rmtree(folder.path, ignore_errors=True)


def _is_pods(namespace: str, prefix: str) -> bool:
    digits = namespace.removeprefix(prefix)
    return digits != namespace and len(digits) == 12 and all(digit in "0123456789abcdef" for digit in digits)


def _machine(config: KubeletConfig, api: Api, asker: Asker) -> Machine:
    server = urlsplit(config.server)
    planner = Planner(
        Images(config.images, config.variables),
        Environments(api, (server.hostname or "", str(server.port or 443))),
        Resolver(config.dns, config.domain),
        program_folders(config.variables.values()),
    )
    return Machine(
        api=api,
        references=References(),
        planner=planner,
        asker=asker,
        addresses=Addresses(IPv4Network(config.pod_network), config.pods / "last-address"),
        node_address=config.node_address,
        hub=config.hub,
        pod_prefix=config.pod_prefix,
        pods=config.pods,
    )
