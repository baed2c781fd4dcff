"""What is known of a cluster's objects, and which differences are still to be told.

No IO: time is an argument, in seconds of any clock that only grows. Rows that are equal are no difference, so that a
write to a status alone causes none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from trilithon.model.api_version import ApiVersion
from trilithon.model.stored import Stored
from trilithon.resources.meta import Key
from trilithon.resources.references import NAMED_KINDS, named_by, unknown
from trilithon.sources.holdoff import Holdoff
from trilithon.sources.kubernetes.grouped import Grouped
from trilithon.sources.kubernetes.kinds import OWN, Scope
from trilithon.sources.kubernetes.named import Held, Named, Waiting
from trilithon.sources.last_certificate import remembering

# How long a resource of which an earlier state was told waits for what it names now and cannot be read.
PATIENCE_SECONDS = 5.0

OnStored = Callable[[Key, Stored | None], None]
# A key, and the namespace on whose account it is read.
Read = Callable[[Key, str], None]
_NOTHING: Mapping[str, ApiVersion | None] = {}


class ClusterChange(Struct, frozen=True):
    """What came in: rows that are new or different, keys that are gone, and the monotonic time it was noticed.

    ``api_versions`` are the CustomResourceDefinitions that changed; None for those that are gone.
    """

    upserts: Mapping[Key, Any]
    removals: tuple[Key, ...]
    noticed: float
    api_versions: Mapping[str, ApiVersion | None] = _NOTHING


class ClusterState:
    """The objects of a cluster, as last read.

    Only objects in the scope count; where it has a selector, those of namespaces that are known: they come and go with
    their namespace. ``read`` is called with each Secret or ConfigMap
    that is to be read, ``let_go`` with each that nobody names any more.
    """

    def __init__(
        self,
        on_stored: OnStored,
        read: Read,
        let_go: Callable[[Key], None],
        scope: Scope,
    ) -> None:
        self._on_stored = on_stored
        self._read = read
        self._let_go = let_go
        self._namespaces = frozenset(scope.namespaces)
        self._is_selective = bool(scope.namespace_selector)
        self._own_namespace = scope.own_namespace
        self._rows: dict[Key, Any] = {}
        self._stored: dict[Key, Stored] = {}
        # What comes and goes with a namespace: the objects in it, and those elsewhere that name what lives there.
        self._living = Grouped()
        self._naming = Grouped()
        # Resources that wait for what they name, and those of which some state was told.
        self._held = Waiting()
        self._told: set[Key] = set()
        self._named = Named()
        # What is to be told (None: gone), and when.
        self._pending: dict[Key, Any] = {}
        self._pending_versions: dict[str, ApiVersion | None] = {}
        self._holdoff: Holdoff[Key | str] = Holdoff()
        self._noticed: float | None = None
        self.api_versions: dict[str, ApiVersion] = {}

    # What is known

    def is_named(self, key: Key) -> bool:
        """Whether a Secret or ConfigMap is named by something that counts."""
        return key in self._named

    def read_again(self) -> None:
        """Have everything read that is named: earlier readings may have been given up."""
        for key in self._named:
            self._read(key, key.namespace)

    @property
    def is_holding(self) -> bool:
        """Whether a resource waits for what it names."""
        return bool(self._held)

    def counts(self, key: Key) -> bool:
        """Whether an object counts; those without a namespace always do."""
        return self._is_own(key) or self._namespace_counts(key.namespace)

    def _is_own(self, key: Key) -> bool:
        return key.kind == OWN and key.namespace == self._own_namespace

    def _namespace_counts(self, namespace: str) -> bool:
        if not namespace:
            return True
        if self._namespaces and namespace not in self._namespaces:
            return False
        return not self._is_selective or Key("Namespace", "", namespace) in self._rows

    # What comes in

    def stored(self, key: Key, stored: Stored | None) -> None:
        """What an API server holds of an object besides its spec."""
        before = self._stored.get(key)
        if stored is not None:
            self._stored[key] = stored
            self._living.add(key.namespace, key)
        else:
            self._stored.pop(key, None)
            self._left(key)
        if stored != before and self.counts(key):
            self._on_stored(key, stored)

    def doubt(self, key: Key) -> None:
        """What was told of an object's stored state says nothing any more of what is told next."""
        before = self._stored.get(key)
        if before is not None:
            self.stored(key, replace(before, is_doubtful=True))

    def upsert(self, row: Any, now: float) -> None:
        """An object is as this row says."""
        key = row.key
        row = remembering(row, self._rows.get(key))
        if self._rows.get(key) == row:
            return
        is_new = key not in self._rows
        self._put(key, row)
        if self.counts(key):
            self._tell(key, row, now)
        if is_new and self._is_selective and key.kind == "Namespace":
            self._namespace_changed(key.name, now)

    def remove(self, key: Key, now: float) -> None:
        """An object is gone."""
        if key not in self._rows:
            return
        # While its namespace still counts.
        if self.counts(key):
            self._tell(key, None, now)
        self._drop(key)
        if self._is_selective and key.kind == "Namespace":
            self._namespace_changed(key.name, now)

    def settle_named(self, key: Key, row: Any, now: float) -> None:
        """A Secret or ConfigMap that is named is as this row says; None if there is none."""
        if key not in self._named:
            return
        if row is None:
            self.remove(key, now)
        else:
            self.upsert(row, now)
        self._named.settle(key)
        for holder in self._held.holders(key):
            self._go_on(holder, key, now)

    def settle_unread(self, key: Key, now: float) -> None:
        """It cannot be read now, and will be tried again.

        Who waits for it goes on with what is unknown, which is never taken for missing; but where an earlier state is
        told already, that one stands for some more attempts.
        """
        for holder in self._held.holders(key):
            if holder not in self._told or now - self._held[holder].since >= PATIENCE_SECONDS:
                self._do_without(holder, key, now)

    def do_without(self, key: Key, now: float) -> None:
        """It cannot be read, and trying again is of no use: whoever waits for it goes on with what is unknown."""
        for holder in self._held.holders(key):
            self._do_without(holder, key, now)

    def api_version(self, name: str, version: ApiVersion | None, now: float) -> None:
        """A CustomResourceDefinition is so, or gone (None)."""
        if self.api_versions.get(name) == version:
            return
        if version is None:
            del self.api_versions[name]
        else:
            self.api_versions[name] = version
        self._pending_versions[name] = version
        self._changed(name, now)

    # What goes out

    def due(self) -> float | None:
        """When ``take`` gives something; None while nothing waits."""
        return self._holdoff.due()

    def take(self, now: float) -> ClusterChange | None:
        """Everything that is due."""
        taken = self._holdoff.take(now)
        if not taken:
            return None
        pending, self._pending = self._pending, {}
        versions, self._pending_versions = self._pending_versions, {}
        noticed, self._noticed = self._noticed, None
        return ClusterChange(
            upserts={key: row for key, row in pending.items() if row is not None},
            removals=tuple(key for key, row in pending.items() if row is None),
            noticed=now if noticed is None else noticed,
            api_versions=versions,
        )

    def first(self, now: float) -> ClusterChange:
        """Everything that counts, however much of it was told before; what still waits goes on without."""
        for holder in self._held:
            for key in tuple(self._held[holder].open):
                self._do_without(holder, key, now)
        gone = tuple(key for key, row in self._pending.items() if row is None)
        self._pending, self._pending_versions, self._noticed = {}, {}, None
        self._holdoff = Holdoff()
        rows = {key: row for key, row in self._rows.items() if self.counts(key)}
        return ClusterChange(rows, gone, now, dict(self.api_versions))

    def _tell(self, key: Key, row: Any, now: float) -> None:
        waited = self._held.drop(key)
        keys = self._nameable(row)
        for new in self._named.also_names(key, keys):
            self._read(new, key.namespace)
        unsettled = self._named.unsettled(keys)
        if unsettled:
            since = now if waited is None else waited.since
            self._held.hold(key, Held(row, keys, set(unsettled), since))
        else:
            self._emit(key, row, keys, now)

    def _do_without(self, holder: Key, key: Key, now: float) -> None:
        if key not in self._rows:
            self._put(key, unknown(key))
            self._pend(key, self._rows[key], now)
        self._named.settle(key)
        self._go_on(holder, key, now)

    def _go_on(self, holder: Key, key: Key, now: float) -> None:
        """It waits for this no longer."""
        held = self._held.settle(holder, key)
        if held is not None:
            self._emit(holder, held.row, held.keys, now)

    def _emit(self, key: Key, row: Any, keys: Iterable[Key], now: float) -> None:
        _, gone = self._named.names(key, keys)
        self._pend(key, row, now)
        if row is not None:
            self._told.add(key)
        else:
            self._told.discard(key)
        for unnamed in gone:
            self._let_go(unnamed)
            if unnamed in self._rows:
                self._drop(unnamed)
                self._pend(unnamed, None, now)

    def _nameable(self, row: Any) -> tuple[Key, ...]:
        """What a row names, as far as it may be looked at."""
        return tuple(key for key in named_by(row) if self.counts(key)) if row is not None else ()

    def _pend(self, key: Key, row: Any, now: float) -> None:
        self._pending[key] = row
        self._changed(key, now)

    def _changed(self, what: Key | str, now: float) -> None:
        if self._noticed is None:
            self._noticed = now
        self._holdoff.changed(what, now)

    def _namespace_changed(self, namespace: str, now: float) -> None:
        """A namespace counts from now on, or does not any more."""
        counts = self._namespace_counts(namespace)
        for key in self._living[namespace]:
            if self._is_own(key):
                continue
            if key in self._stored:
                self._on_stored(key, self._stored[key] if counts else None)
            if key in self._rows and key.kind not in NAMED_KINDS:
                self._tell(key, self._rows[key] if counts else None, now)
        for key in self._naming[namespace]:
            if self.counts(key):
                self._tell(key, self._rows[key], now)

    def _put(self, key: Key, row: Any) -> None:
        self._set_naming(key, row)
        self._rows[key] = row
        self._living.add(key.namespace, key)

    def _drop(self, key: Key) -> None:
        self._set_naming(key, None)
        del self._rows[key]
        self._told.discard(key)
        self._left(key)

    def _left(self, key: Key) -> None:
        if key not in self._rows and key not in self._stored:
            self._living.discard(key.namespace, key)

    def _set_naming(self, key: Key, row: Any) -> None:
        for namespace in _others_named(self._rows.get(key)):
            self._naming.discard(namespace, key)
        for namespace in _others_named(row):
            self._naming.add(namespace, key)


def _others_named(row: Any) -> frozenset[str]:
    """The namespaces, besides its own, in which a row names something."""
    return frozenset(each.namespace for each in named_by(row) if each.namespace != row.key.namespace)
