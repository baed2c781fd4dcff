"""Put together what serves a cluster: watches, controller, Envoys, and the sinks that write."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from typing import Any

from msgspec import Struct

from trilithon import __version__
from trilithon.cli.health import HealthServer
from trilithon.cli.main import EnvironmentLacks
from trilithon.cli.report import Report
from trilithon.controller import Change, Controller, Event, LocalEnvoys, RemoteEnvoys, Surface, Telling
from trilithon.controller.cluster import (
    Infrastructures,
    Leading,
    LocalHosts,
    Refusals,
    Statuses,
    UsedClasses,
    applied_to,
)
from trilithon.controller.replicas import Replicas
from trilithon.controller.staleness import Staleness
from trilithon.controller.watched_cluster import WatchedCluster
from trilithon.incremental import Edit
from trilithon.kube.client import Client
from trilithon.kube.config import Config
from trilithon.kube.lease import LEASES, Leadership
from trilithon.kube.objects import ObjectPath
from trilithon.kube.transport import Transport
from trilithon.model.settings import ANY_ADDRESS, ANY_ADDRESS_6, Installation, Settings
from trilithon.model.stored import Stored
from trilithon.model.tables import INFRASTRUCTURE
from trilithon.resources.meta import Key
from trilithon.sinks.delivery.replica_link import ReplicaService
from trilithon.sinks.envoy.envoy_binary import EnvoyMissing, find_envoy
from trilithon.sinks.envoy.envoy_process import Launch
from trilithon.sinks.envoy.loopback import LoopbackAddresses
from trilithon.sinks.identity.authority import StoredAuthority
from trilithon.sinks.identity.identities import Identities
from trilithon.sinks.identity.xds_security import Security, names_of
from trilithon.sinks.objects.application import Territory
from trilithon.sinks.objects.applier import Applier
from trilithon.sinks.objects.event_recorder import EventRecorder
from trilithon.sinks.objects.finalizers import Finalizers
from trilithon.sinks.objects.status_writer import StatusWriter
from trilithon.sinks.runtime_directory import RuntimeDirectory, RuntimeDirectoryError, create
from trilithon.sources.kubernetes.guard import HOLD_SECONDS
from trilithon.sources.kubernetes.kinds import Scope
from trilithon.sources.kubernetes.source import KubernetesSource


class ClusterOptions(Struct, frozen=True, kw_only=True):
    """What ``trilithon controller`` was told; ``identity`` and ``own_address`` tell this replica from the others."""

    namespaces: tuple[str, ...] = ()
    namespace_selector: str = ""
    has_processes: bool = False
    controller_name: str
    own_namespace: str
    own_name: str
    own_address: str
    identity: str
    image: str
    image_pull_secrets: tuple[str, ...] = ()
    address_family: str = "IPv4"
    backend_hostnames: bool = False
    hold_seconds: float = HOLD_SECONDS
    xds: tuple[str, int]
    health: tuple[str, int] | None = None

    @property
    def installation(self) -> Installation | None:
        """What generated objects have to name; None where none are generated."""
        if self.has_processes:
            return None
        host = f"{self.own_name}.{self.own_namespace}.svc"
        return Installation(
            namespace=self.own_namespace,
            name=self.own_name,
            image=self.image,
            xds_host=host,
            xds_port=self.xds[1],
            address=self.address,
            image_pull_secrets=self.image_pull_secrets,
        )

    @property
    def address(self) -> str:
        """What Envoys bind."""
        return ANY_ADDRESS_6 if self.address_family == "IPv6" else ANY_ADDRESS


class ClusterServing:
    """One run against one API server."""

    def __init__(self, config: Config, options: ClusterOptions, report: Report) -> None:
        self.report = report
        self._config = config
        self._options = options
        self._tell = Telling(self._told)
        # What is to look at everything again when leading begins.
        self._leaders: list[Callable[[], None]] = []
        self._staleness: Staleness | None = None
        # Where local Envoys have their files.
        self._runtime: RuntimeDirectory | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until ``stop`` is set. Raises OSError, and EnvironmentLacks for what else is missing."""
        options = self._options
        async with AsyncExitStack() as stack:
            transport = await stack.enter_async_context(Transport(self._config))
            await self._assemble(stack, transport)
            if options.health is not None:
                health = HealthServer(*options.health, self._not_ready)
                await health.start()
                stack.push_async_callback(health.stop)
            self.report.say(f"trilithon {__version__} as {options.identity} serves {self._config.server}")
            await self._controller.run(stop)

    def abandon(self) -> None:
        """Remove what a process that ends at once would leave on this machine."""
        if self._runtime is not None:
            self._runtime.remove()

    async def _assemble(self, stack: AsyncExitStack, transport: Transport) -> None:
        options = self._options
        settings = Settings(
            controller_name=options.controller_name,
            address=options.address,
            shared_address=False,
            private_backends=False,
            backend_hostnames=options.backend_hostnames,
            installation=options.installation,
        )
        client = Client(transport)
        lease = ObjectPath(LEASES, options.own_name, options.own_namespace)
        # A client of its own: renewing the Lease must not wait behind the writes that it allows.
        leadership = Leadership(Client(transport, 1), lease, options.identity, self._led, on_trouble=self._trouble)

        def leads() -> bool:
            return leadership.leads

        writer = StatusWriter(client, options.controller_name, leads, self._trouble)
        finalizers = Finalizers(client, leads, self._trouble)
        recorder = EventRecorder(client, options.controller_name, options.identity, leads)
        statuses, refusals = Statuses(writer), Refusals(recorder)
        self._leaders += [writer.lead, finalizers.lead, recorder.lead]

        def stored(key: Key, found: Stored | None) -> None:
            writer.stored(key, found)
            refusals.stored(key, found)
            if key.kind == "GatewayClass":
                finalizers.stored(key, found)

        scope = Scope(
            namespaces=options.namespaces,
            namespace_selector=options.namespace_selector,
            own_namespace=options.own_namespace,
        )
        self._cluster = KubernetesSource(transport, scope, stored, self._trouble, options.hold_seconds)
        source = WatchedCluster(self._cluster, self._feed)
        if options.has_processes:
            self._controller = await self._with_processes(stack, source, settings)
        else:
            self._controller = await self._with_deployments(stack, source, settings, client, leads)
        for outlet in (statuses, refusals, UsedClasses(finalizers), Leading(leadership)):
            self._controller.attach(outlet)

    async def _with_processes(self, stack: AsyncExitStack, source: WatchedCluster, settings: Settings) -> Controller:
        try:
            envoy, runtime = find_envoy(), create()
        except (EnvoyMissing, RuntimeDirectoryError) as error:
            raise EnvironmentLacks(str(error)) from error
        self._runtime = runtime
        stack.callback(self.abandon)
        launch = Launch(binary=envoy.path, directory=runtime.path, xds_socket=str(runtime.xds_socket))
        surface = Surface(runtime.xds_socket, control_socket=runtime.control_socket)
        controller = Controller(source, settings, LocalEnvoys(launch, self._tell), surface, self._tell)
        addresses = LoopbackAddresses()
        stack.callback(addresses.release_all)
        controller.attach(LocalHosts(controller.feed, addresses))
        return controller

    async def _with_deployments(
        self,
        stack: AsyncExitStack,
        source: WatchedCluster,
        settings: Settings,
        client: Client,
        leads: Callable[[], bool],
    ) -> Controller:
        transport = client.transport
        authority = StoredAuthority(client, self._options.own_namespace, self._trouble)
        installation = settings.installation or Installation()
        host, port = self._options.xds
        security = Security(authority, names_of(installation))
        surface = Surface(f"[{host}]:{port}" if ":" in host else f"{host}:{port}", security=security)
        controller = Controller(
            source,
            settings,
            RemoteEnvoys(self._is_stale),
            surface,
            self._tell,
            gateways=lambda engine: engine.rows(INFRASTRUCTURE).keys(),
        )
        territory = Territory(installation, settings.controller_name, self._options.namespaces)
        applier = Applier(
            client, Identities(authority), leads, applied_to(controller.feed), territory, on_trouble=self._trouble
        )
        self._leaders.append(applier.lead)
        authority.follow(applier.renew)
        controller.attach(Infrastructures(applier))
        proxies = controller.proxies
        service = ReplicaService(security, proxies.own.values, proxies.listen, self._is_current)
        controller.answer(service.handler())
        replicas = Replicas(transport, installation, self._options.own_address, security, proxies, self._trouble)
        controller.attach(replicas)
        keeping = asyncio.create_task(controller.for_ever("keeping the authority", authority.keep))
        stack.callback(keeping.cancel)
        self._staleness = Staleness(self._is_current, lambda: replicas.is_any_current, controller.release_envoys)
        controller.attach(self._staleness)
        return controller

    def _feed(self, edits: Iterable[Edit[Any, Any]]) -> None:
        # The controller is made after what feeds it.
        self._controller.feed(edits)

    def _told(self, event: Event) -> None:
        # Most of what happens in a cluster is nobody's Gateway's business.
        if not isinstance(event, Change) or event.recomputed:
            self.report.tell(self._controller, event)

    def _led(self, leads: bool) -> None:
        self.report.say(f"{self._options.identity} {'leads' if leads else 'leads no longer'}")
        if leads:
            for each in self._leaders:
                each()

    def _trouble(self, message: str) -> None:
        # "": what was told is over.
        if message:
            self.report.say(message)

    def _is_current(self) -> bool:
        return self._cluster.is_current

    def _is_stale(self) -> bool:
        return self._staleness is not None and self._staleness.is_stale

    def _not_ready(self) -> str:
        if not self._controller.serving.is_set():
            return "not everything was listed yet, or the certificate authority is not known"
        if self._is_stale():
            return "the API server is out of reach here, and not for another replica"
        return ""
