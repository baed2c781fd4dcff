"""What a cluster is told of each settle: statuses, generated objects, Events and finalizers, each by its own sink."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from trilithon.incremental import Changes, Edit, Engine, Table
from trilithon.inspect.check import PROBLEM_TABLES
from trilithon.kube.lease import Leadership
from trilithon.model.infrastructure import Applied, Host
from trilithon.model.stored import Stored
from trilithon.model.tables import APPLIED, CLASSES, GATEWAYS, HOSTS, INFRASTRUCTURE, OURS
from trilithon.resources.meta import Key
from trilithon.resources.problem import Problem
from trilithon.sinks.envoy.loopback import LoopbackAddresses
from trilithon.sinks.objects.applier import Applier
from trilithon.sinks.objects.event_recorder import EventRecorder
from trilithon.sinks.objects.finalizers import Finalizers
from trilithon.sinks.objects.status_writer import StatusWriter
from trilithon.status import class_, gateway, route
from trilithon.translate.classes import class_key

Feed = Callable[[Iterable[Edit[Any, Any]]], None]

# Which rows become statuses, and how each is written.
STATUSES: tuple[tuple[Table[Key, Any], Callable[[Any], dict[str, object]]], ...] = (
    (class_.CLASS_STATUS, class_.rendered),
    (gateway.GATEWAY_STATUS, gateway.rendered),
    (route.ROUTE_STATUS, route.rendered),
)


class Statuses:
    """Statuses go to the status writer."""

    def __init__(self, writer: StatusWriter) -> None:
        self._writer = writer
        self._is_complete = False
        self._lapsed: set[Key] = set()

    def settled(self, engine: Engine, changes: Changes) -> None:
        """Pass on the statuses that changed; they are rendered when they are written."""
        for table, rendered in STATUSES:
            for key, row in changes.of(table).items():
                self._writer.want(key, None if row is None else partial(rendered, row))
        self._lapse(engine, changes)
        if not self._is_complete:
            # The first settle had everything: what we said earlier of anything else is over.
            self._is_complete = True
            self._writer.complete()

    def _lapse(self, engine: Engine, changes: Changes) -> None:
        """Take back what we said of Gateways whose class is gone; those of another controller are its own to tell of.

        Conditions do not say whose they are, so that this is for those alone of which this process has told.
        """
        ended = {key for key, row in changes.of(gateway.GATEWAY_STATUS).items() if row is None}
        has_news = bool(changes.of(CLASSES)) or bool(changes.of(GATEWAYS))
        again = self._lapsed if has_news else set()
        for key in {*ended, *again}:
            written = engine.row(GATEWAYS, key)
            is_nobodys = written is not None and engine.row(CLASSES, class_key(written)) is None
            if written is not None and is_nobodys and engine.row(gateway.GATEWAY_STATUS, key) is None:
                self._lapsed.add(key)
                self._writer.want(key, partial(gateway.lapsed, written))
            elif key in self._lapsed:
                self._lapsed.discard(key)
                if engine.row(gateway.GATEWAY_STATUS, key) is None:
                    self._writer.want(key, None)

    async def run(self) -> None:
        """Write them."""
        await self._writer.run()


class Infrastructures:
    """What runs the Gateways goes to the applier, and what came of it back into the engine."""

    def __init__(self, applier: Applier) -> None:
        self._applier = applier

    def settled(self, engine: Engine, changes: Changes) -> None:
        """Pass on what is to be generated now."""
        for key, row in changes.of(INFRASTRUCTURE).items():
            self._applier.want(key, row)

    async def run(self) -> None:
        """Apply it."""
        await self._applier.run()


def applied_to(feed: Feed) -> Callable[[Key, Applied | None], None]:
    """A listener of the applier that takes what it hears into the engine."""
    return lambda gateway, applied: feed([Edit(APPLIED, gateway, applied)])


class Refusals:
    """New errors become Kubernetes Events of the objects that they are in."""

    def __init__(self, recorder: EventRecorder) -> None:
        self._recorder = recorder
        self._uids: dict[Key, str] = {}
        self._told: dict[Key, frozenset[Problem]] = {}

    def stored(self, key: Key, stored: Stored | None) -> None:
        """An Event names the very object, not one of the same name."""
        if stored is None:
            self._uids.pop(key, None)
        else:
            self._uids[key] = stored.uid

    def settled(self, engine: Engine, changes: Changes) -> None:
        """Record each error once, as long as it stands."""
        for table in PROBLEM_TABLES:
            for key, row in changes.of(table).items():
                errors = frozenset(each for each in row.items if each.severity == "error") if row else frozenset()
                uid = self._uids.get(key)
                for problem in sorted(errors - self._told.get(key, frozenset()), key=str):
                    if uid is not None:
                        self._recorder.record(key, uid, problem)
                if errors:
                    self._told[key] = errors
                else:
                    self._told.pop(key, None)

    async def run(self) -> None:
        """Send them."""
        await self._recorder.run()


class UsedClasses:
    """A class is held by a finalizer while one of our Gateways uses it."""

    def __init__(self, finalizers: Finalizers) -> None:
        self._finalizers = finalizers
        self._class_of: dict[Key, Key] = {}
        self._users: dict[Key, int] = {}

    def settled(self, engine: Engine, changes: Changes) -> None:
        """Count the Gateways of each class; a class that is not ours, whoever uses it, is left alone."""
        touched = set(changes.of(class_.CLASS_STATUS))
        for key, row in changes.of(OURS).items():
            before = self._class_of.pop(key, None)
            if before is not None:
                self._users[before] -= 1
                touched.add(before)
            if row is not None:
                now = self._class_of[key] = class_key(row)
                self._users[now] = self._users.get(now, 0) + 1
                touched.add(now)
        for each in touched:
            is_ours = engine.row(class_.CLASS_STATUS, each) is not None
            self._finalizers.want(each, self._users.get(each, 0) > 0 if is_ours else None)

    async def run(self) -> None:
        """Set and remove them."""
        await self._finalizers.run()


class Leading:
    """Holds the Lease; who holds it writes."""

    def __init__(self, leadership: Leadership) -> None:
        self._leadership = leadership

    def settled(self, engine: Engine, changes: Changes) -> None:
        """Nothing of it matters here."""

    async def run(self) -> None:
        """Take part in the election."""
        await self._leadership.run()


class LocalHosts:
    """Gives each Gateway of ours a loopback address of this machine, for Envoys that are local processes.

    A Gateway for which none is left has none, and says so; it gets the next that is given back.
    """

    def __init__(self, feed: Feed, addresses: LoopbackAddresses) -> None:
        self._feed = feed
        self._addresses = addresses
        self._given: dict[Key, str] = {}
        self._waiting: dict[Key, None] = {}

    def settled(self, engine: Engine, changes: Changes) -> None:
        """Give addresses to new Gateways, and take them back from those that are gone."""
        edits: list[Edit[Any, Any]] = []
        for key, row in changes.of(OURS).items():
            if row is not None and key not in self._given:
                self._waiting[key] = None
            elif row is None:
                self._waiting.pop(key, None)
                if key in self._given:
                    self._addresses.release(self._given.pop(key))
                    edits.append(Edit(HOSTS, key, None))
        for key in tuple(self._waiting):
            if (address := self._addresses.claim()) is None:
                break
            del self._waiting[key]
            self._given[key] = address
            edits.append(Edit(HOSTS, key, Host(address)))
        if edits:
            self._feed(edits)

    async def run(self) -> None:
        """Nothing goes on by itself."""
