"""Turn the changes of a settle into what each Gateway's Envoys are to be sent."""

from __future__ import annotations

from collections.abc import KeysView

from msgspec import Struct

from trilithon.incremental import Changes
from trilithon.pipeline import PUBLISHED
from trilithon.resources.meta import Key
from trilithon.xds.resource import XdsResource
from trilithon.xds.tables import ENVOY_LISTENERS


class Publication(Struct, frozen=True):
    """What changes for one Gateway's Envoys: resources now wanted, and (type URL, name) of those that are not."""

    gateway: Key
    upserts: tuple[XdsResource, ...]
    removals: tuple[tuple[str, str], ...]


class Publisher:
    """Remembers under which name each row was published, so that a row that is gone can be taken back.

    ``serving`` are the Gateways that have an Envoy listener, and so need an Envoy.
    """

    def __init__(self) -> None:
        self._names: dict[tuple[str, object], tuple[str, str]] = {}
        self._ports: dict[Key, int] = {}

    @property
    def serving(self) -> KeysView[Key]:
        """Gateways with at least one Envoy listener, now and whenever this is looked at."""
        return self._ports.keys()

    def publications(self, changes: Changes) -> tuple[Publication, ...]:
        """One publication for each Gateway that something changes for."""
        upserts: dict[Key, list[XdsResource]] = {}
        removals: dict[Key, list[tuple[str, str]]] = {}
        for table in PUBLISHED:
            for key, resource in changes.of(table).items():
                place = (table.name, key)
                gateway: Key = key[0]
                if resource is not None:
                    if table is ENVOY_LISTENERS and place not in self._names:
                        self._ports[gateway] = self._ports.get(gateway, 0) + 1
                    self._names[place] = (resource.type_url, resource.name)
                    upserts.setdefault(gateway, []).append(resource)
                elif place in self._names:
                    if table is ENVOY_LISTENERS:
                        self._forget_port(gateway)
                    removals.setdefault(gateway, []).append(self._names.pop(place))
        return tuple(
            Publication(gateway, tuple(upserts.get(gateway, ())), tuple(removals.get(gateway, ())))
            for gateway in sorted(upserts.keys() | removals.keys())
        )

    def _forget_port(self, gateway: Key) -> None:
        self._ports[gateway] -= 1
        if not self._ports[gateway]:
            del self._ports[gateway]
