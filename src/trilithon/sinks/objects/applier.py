"""Keep the objects that run the Gateways as they are generated: create, change, repair and delete them, while leading.

Objects are applied server-side, each only if it does not exist or is ours; another's object of that name is reported
and left as it is. Nothing is written where nothing differs. What a Gateway owns goes with it, by garbage collection.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import aclosing
from functools import partial

from trilithon.infrastructure.manifest import GENERATED_KINDS
from trilithon.kube.backoff import Backoff
from trilithon.kube.client import Client
from trilithon.kube.discovery import Discovery, KindWanted
from trilithon.kube.errors import ApiError, KubeError
from trilithon.kube.events import Degraded, Delete, Found, Gone, Missing, Restored, Rewound, Synced, Undecodable, Upsert
from trilithon.kube.objects import ApiKind, ObjectPath
from trilithon.kube.watch import Watch
from trilithon.kube.watch_state import Selection
from trilithon.model.infrastructure import Applied, Infrastructure
from trilithon.resources.meta import Key
from trilithon.sinks.objects.agenda import Agenda
from trilithon.sinks.objects.application import Application, Identity, NotLeading, Territory, while_leading
from trilithon.sinks.objects.generated_objects import Existing, compared, existing_of
from trilithon.sinks.objects.inventory import Inventory
from trilithon.sinks.objects.repairs import Repairs

CONCURRENT_GATEWAYS = 8
# Between two looks at one Gateway that led to a write: what changes quickly is written in its newest form.
REST_SECONDS = 0.5
# Identities live for weeks; the authority that signs them may change at any time.
IDENTITY_SECONDS = 3600.0
LONGEST_FAILURE_SECONDS = 60.0


class Applier:
    """One for the process; ``run`` does the work.

    ``on_applied`` hears what came of each Gateway's objects, ``on_trouble`` what fails, for people.
    """

    def __init__(
        self,
        client: Client,
        identities: Identity,
        leads: Callable[[], bool],
        on_applied: Callable[[Key, Applied | None], None],
        territory: Territory | None = None,
        on_trouble: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._client = client
        self._leads = leads
        self._on_applied = on_applied
        self._on_trouble = on_trouble
        territory = territory or Territory()
        self._namespaces = territory.namespaces or ("",)
        self._labels = territory.labels
        self._dice = random.Random()  # noqa: S311 - nothing secret is drawn
        self._clock = time.monotonic
        self._wanted: dict[Key, Infrastructure] = {}
        self._is_told = False
        self._inventory = Inventory()
        self._listed: set[tuple[ApiKind, str]] = set()
        self._agenda = Agenda()
        self._wake = asyncio.Event()
        self._leading = asyncio.Event()
        self._backoffs: dict[Key, Backoff] = {}
        self._said: dict[Key, Applied] = {}
        self._troubles: dict[object, str] = {}
        # One attempt: before another, leading and the object may have changed. Slots of our own: others do not wait.
        once = Client(client.transport, CONCURRENT_GATEWAYS, attempts=1)
        repairs = Repairs(self._dice)
        api = while_leading(once, leads)
        self._application = Application(api, identities, self._inventory, repairs, territory, self._clock)

    # What happens

    def want(self, gateway: Key, infrastructure: Infrastructure | None) -> None:
        """This is what runs a Gateway from now on; None: nothing of ours does."""
        self._is_told = True
        if infrastructure is None:
            self._wanted.pop(gateway, None)
        else:
            self._wanted[gateway] = infrastructure
        self._look_at(gateway)

    def lead(self) -> None:
        """Leadership just began: look at everything."""
        self._leading.set()
        self._look_at_all()

    def renew(self) -> None:
        """Whoever signs identities is another: look at each of them now."""
        for gateway in self._wanted:
            self._look_at(gateway)

    async def run(self) -> None:
        """Watch what was generated and keep it right, from the first leadership on, until cancelled."""
        await self._leading.wait()
        discovery = Discovery(self._client.transport)
        async with asyncio.TaskGroup() as tasks:
            for kind in GENERATED_KINDS:
                for namespace in self._namespaces:
                    tasks.create_task(self._follow(discovery, kind, namespace), name=f"follow generated {kind.plural}")
            for _ in range(CONCURRENT_GATEWAYS):
                tasks.create_task(self._work(), name="apply generated objects")
            tasks.create_task(self._renew(), name="renew identities")

    def _look_at(self, gateway: Key, after: float = 0.0) -> None:
        self._agenda.put(gateway, self._clock() + after)
        self._wake.set()

    def _look_at_all(self) -> None:
        for gateway in {*self._wanted, *self._inventory.gateways(), *self._said}:
            self._look_at(gateway)

    # What the API server holds

    async def _follow(self, discovery: Discovery, kind: ApiKind, namespace: str) -> None:
        wanted = KindWanted(kind.group, kind.kind, (kind.version,))
        selector = ",".join(f"{name}={value}" for name, value in self._labels.items())
        watch = Watch(discovery, wanted, partial(existing_of, kind), Selection(namespace=namespace, labels=selector))
        async with aclosing(watch.events()) as events:
            async for event in events:
                match event:
                    case Upsert(name, existing):
                        self._told(ObjectPath(kind, name.name, name.namespace), "")
                        self._noted(existing)
                    case Delete(name):
                        self._told(ObjectPath(kind, name.name, name.namespace), "")
                        self._gone(ObjectPath(kind, name.name, name.namespace))
                    case Synced():
                        self._listed.add((kind, namespace))
                        self._told(kind, "")
                        self._look_at_all()
                    case Restored():
                        self._told(kind, "")
                    case Degraded(reason) | Missing(reason) | Gone(reason):
                        self._told(kind, f"generated {kind.plural} cannot be followed: {reason}")
                    case Undecodable(name, reason):
                        about = ObjectPath(kind, name.name, name.namespace) if name is not None else kind
                        self._told(about, f"{kind.kind} {name} cannot be read: {reason}")
                    case Rewound():
                        self._inventory.forget_versions(kind, namespace)
                    case Found():
                        continue

    def _noted(self, existing: Existing) -> None:
        if existing.owner is None:
            self._gone(existing.path)
            return
        gateway = existing.owner.gateway
        infrastructure = self._wanted.get(gateway)
        for generated in infrastructure.objects if infrastructure is not None else ():
            if generated.path == existing.path:
                existing = compared(existing, generated)
        known = self._inventory.get(existing.path)
        # Only the issuer can say whether an identity is right.
        is_right = existing.right_for and known is not None and known.data == existing.data
        # What is nobody's any more goes by itself.
        if self._inventory.put(existing) and infrastructure is not None and not is_right:
            self._look_at(gateway)

    def _gone(self, path: ObjectPath) -> None:
        known = self._inventory.remove(path)
        if known is not None and known.owner is not None and known.owner.gateway in self._wanted:
            self._look_at(known.owner.gateway)

    # What is done about it

    async def _work(self) -> None:
        while True:
            gateway = await self._next()
            rest_until = None
            try:
                rest_until = await self._apply(gateway)
            except NotLeading:
                # Whoever leads next looks at everything.
                continue
            except KubeError as error:
                self._failed(gateway, str(error), error.retry_after if isinstance(error, ApiError) else None)
            except Exception as error:  # noqa: BLE001 - whatever is wrong with one Gateway, the others go on
                self._failed(gateway, f"a defect of Trilithon ({type(error).__name__})", None)
            finally:
                self._agenda.done(gateway, rest_until)
                self._wake.set()

    async def _next(self) -> Key:
        while True:
            self._wake.clear()
            now = self._clock()
            gateway = self._agenda.take(now)
            if gateway is not None:
                # Another worker may find more.
                self._wake.set()
                return gateway
            at = self._agenda.next_at()
            try:
                async with asyncio.timeout(None if at is None else max(0.0, at - now)):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _apply(self, gateway: Key) -> float | None:
        """Do what a Gateway needs; when to look at it again at the earliest, if something was written."""
        infrastructure = self._wanted.get(gateway)
        if infrastructure is None:
            self._application.forget(gateway)
            self._backoffs.pop(gateway, None)
        if not self._leads() or not self._is_told:
            # Whoever leads next looks at everything.
            return None
        if infrastructure is None:
            await self._application.withdraw(gateway)
            self._say(gateway, None)
            outcome = None
        else:
            outcome = await self._application.apply(infrastructure, self._is_listed)
            self._say(gateway, outcome.applied)
        self._backoffs.pop(gateway, None)
        self._told(gateway, "")
        if outcome is None:
            return None
        if outcome.again_at is not None:
            self._look_at(gateway, max(0.0, outcome.again_at - self._clock()))
        return self._clock() + REST_SECONDS if outcome.has_written else None

    def _is_listed(self, path: ObjectPath) -> bool:
        return (path.kind, "") in self._listed or (path.kind, path.namespace) in self._listed

    def _failed(self, gateway: Key, why: str, asked: float | None) -> None:
        backoff = self._backoffs.setdefault(gateway, Backoff(self._dice, longest=LONGEST_FAILURE_SECONDS))
        self._look_at(gateway, backoff.failed(asked))
        self._told(gateway, f"what runs {gateway} cannot be applied: {why}")

    def _say(self, gateway: Key, applied: Applied | None) -> None:
        if self._said.get(gateway) == applied:
            return
        if applied is None:
            del self._said[gateway]
        else:
            self._said[gateway] = applied
        self._on_applied(gateway, applied)

    def _told(self, about: object, trouble: str) -> None:
        if trouble and self._troubles.get(about) != trouble:
            self._on_trouble(trouble)
        if trouble:
            self._troubles[about] = trouble
        else:
            self._troubles.pop(about, None)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(IDENTITY_SECONDS)
            for gateway in list(self._wanted):
                self._look_at(gateway, self._dice.uniform(0.0, IDENTITY_SECONDS / 10))
