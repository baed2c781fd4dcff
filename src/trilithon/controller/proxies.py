"""See the Envoys of a Gateway as one, whichever replica of the controller they are connected to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from trilithon.incremental import Edit
from trilithon.model.proxy import Proxy, together
from trilithon.model.tables import PROXIES


class Proxies:
    """What the Envoys connected to this replica say, and those connected to its peers; ``feed`` takes the sum."""

    def __init__(self, feed: Callable[[Iterable[Edit[Any, Any]]], None]) -> None:
        self._feed = feed
        self._own: dict[str, Proxy] = {}
        self._of_peers: dict[str, dict[str, Proxy]] = {}
        self._listeners: list[Callable[[Proxy], None]] = []

    @property
    def own(self) -> Mapping[str, Proxy]:
        """What is connected here, by Gateway."""
        return self._own

    def listen(self, listener: Callable[[Proxy], None]) -> Callable[[], None]:
        """Hear of every change of ``own``; returns what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def say(self, proxy: Proxy) -> None:
        """The Envoys of a Gateway that are connected here changed."""
        if proxy.connected:
            self._own[proxy.gateway] = proxy
        else:
            self._own.pop(proxy.gateway, None)
        for listener in tuple(self._listeners):
            listener(proxy)
        self._sum((proxy.gateway,))

    def say_of(self, peer: str, proxies: Iterable[Proxy]) -> None:
        """A peer's Envoys of some Gateways changed."""
        rows = self._of_peers.setdefault(peer, {})
        told = tuple(proxies)
        for proxy in told:
            if proxy.connected:
                rows[proxy.gateway] = proxy
            else:
                rows.pop(proxy.gateway, None)
        self._sum(proxy.gateway for proxy in told)

    def forget(self, peer: str) -> None:
        """A peer is gone, and its Envoys have gone elsewhere."""
        self._sum(self._of_peers.pop(peer, {}))

    def _sum(self, gateways: Iterable[str]) -> None:
        self._feed([Edit(PROXIES, gateway, self._merged(gateway)) for gateway in gateways])

    def _merged(self, gateway: str) -> Proxy | None:
        found = [rows[gateway] for rows in (self._own, *self._of_peers.values()) if gateway in rows]
        return together(gateway, found) if found else None
