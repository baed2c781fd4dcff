"""Follow the other replicas of this controller, so that each knows of every Envoy, wherever it is connected."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import aclosing

import grpc.aio
import msgspec
from msgspec import Struct

from trilithon.controller.proxies import Proxies
from trilithon.incremental import Changes, Engine
from trilithon.kube.discovery import Discovery, KindWanted
from trilithon.kube.events import Delete, Upsert
from trilithon.kube.objects import ObjectName
from trilithon.kube.transport import Transport
from trilithon.kube.watch import Watch
from trilithon.kube.watch_state import Selection
from trilithon.model.settings import Installation
from trilithon.sinks.delivery.replica_link import follow
from trilithon.sinks.identity.xds_security import Security

SLICES = KindWanted("discovery.k8s.io", "EndpointSlice", ("v1",))
# The Envoys of a replica that is gone have found another one by then.
FORGET_SECONDS = 5.0
AGAIN_SECONDS = 1.0
# A replica is in its Service's endpoints for a while before it listens, and after it has ended.
PATIENT_ATTEMPTS = 30


class _Endpoint(Struct):
    addresses: tuple[str, ...] = ()


class _Slice(Struct, rename="camel"):
    address_type: str = ""
    endpoints: tuple[_Endpoint, ...] | None = ()


class Replicas:
    """The endpoints of our own Service, except ``own_address``; what is connected to each goes to ``proxies``.

    ``on_trouble`` hears of a replica that cannot be followed, in words.
    """

    def __init__(
        self,
        transport: Transport,
        installation: Installation,
        own_address: str,
        security: Security,
        proxies: Proxies,
        on_trouble: Callable[[str], None],
    ) -> None:
        labels = f"kubernetes.io/service-name={installation.name}"
        selection = Selection(namespace=installation.namespace, labels=labels)
        self._watch = Watch(Discovery(transport), SLICES, _addresses, selection)
        self._installation = installation
        self._on_trouble = on_trouble
        self._own_address = own_address
        self._security = security
        self._proxies = proxies
        self._slices: dict[ObjectName, frozenset[str]] = {}
        self._followers: dict[str, asyncio.Task[None]] = {}
        self._forgetting: dict[str, asyncio.TimerHandle] = {}
        self._current: dict[str, bool] = {}

    def settled(self, engine: Engine, changes: Changes) -> None:
        """Nothing of it matters here."""

    async def run(self) -> None:
        """Follow whoever is there, until cancelled."""
        try:
            async with aclosing(self._watch.events()) as events:
                async for event in events:
                    if isinstance(event, Upsert):
                        self._slices[event.name] = event.value
                    elif isinstance(event, Delete):
                        self._slices.pop(event.name, None)
                    self._follow_all()
        finally:
            for task in self._followers.values():
                task.cancel()
            self._followers.clear()

    @property
    def is_any_current(self) -> bool:
        """Whether another replica reaches the API server, by what it said last."""
        return any(self._current.values())

    def _follow_all(self) -> None:
        wanted = set().union(*self._slices.values()) - {self._own_address}
        for address in self._followers.keys() - wanted:
            self._followers.pop(address).cancel()
        for address in wanted - self._followers.keys():
            self._followers[address] = asyncio.create_task(self._follow(address), name=f"follow replica {address}")

    async def _follow(self, address: str) -> None:
        """Follow one, again and again; what it said holds a little longer than its connection."""
        host = f"[{address}]" if ":" in address else address
        said, failures = "", 0
        try:
            while True:
                try:
                    told = follow(f"{host}:{self._installation.xds_port}", self._installation.xds_host, self._security)
                    async with aclosing(told):
                        async for news in told:
                            said, failures = "", 0
                            self._is_back(address)
                            self._current[address] = news.is_current
                            self._proxies.say_of(address, news.proxies)
                except Exception as error:  # noqa: BLE001 - told if it lasts; who stopped to follow would never begin again
                    why = f"{type(error).__name__}: {error}"
                    if isinstance(error, grpc.aio.AioRpcError):
                        why = error.details() or str(error.code())
                    # One that comes or goes is met while it is not ready; what lasts is told.
                    failures += 1
                    if failures > PATIENT_ATTEMPTS and why != said:
                        said = why
                        self._on_trouble(f"the replica at {address} is not followed: {why}")
                self._is_away(address)
                await asyncio.sleep(AGAIN_SECONDS)
        finally:
            self._is_away(address)

    def _is_away(self, address: str) -> None:
        self._current.pop(address, None)
        if address not in self._forgetting:
            later = asyncio.get_running_loop().call_later
            self._forgetting[address] = later(FORGET_SECONDS, self._proxies.forget, address)

    def _is_back(self, address: str) -> None:
        """A new connection begins with everything."""
        timer = self._forgetting.pop(address, None)
        if timer is not None:
            timer.cancel()
            self._proxies.forget(address)


def _addresses(written: msgspec.Raw) -> frozenset[str]:
    """Every address, ready or not: a replica that ends still has Envoys."""
    found = msgspec.json.decode(written, type=_Slice)
    return frozenset(_usable(found))


def _usable(found: _Slice) -> Iterator[str]:
    if found.address_type in ("IPv4", "IPv6"):
        for endpoint in found.endpoints or ():
            yield from endpoint.addresses[:1]
