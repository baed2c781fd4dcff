"""Find the backends that an Envoy refuses: their clusters or their endpoints."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from trilithon.incremental import Index, Read
from trilithon.model.backend import BackendKey, RefusedBackend
from trilithon.model.proxy import Proxy
from trilithon.model.tables import PROXIES
from trilithon.xds.names import cluster_name
from trilithon.xds.resource import CLUSTER, ENDPOINT


class RefusedName(NamedTuple):
    """A cluster or its endpoints, which have one name; ``gateway`` is "namespace/name"."""

    gateway: str
    name: str


def names_refused(proxy: Proxy) -> Iterable[RefusedName]:
    """Those that the Envoys of a Gateway refuse."""
    return [RefusedName(proxy.gateway, entry.name) for entry in proxy.rejected if entry.type_url in (CLUSTER, ENDPOINT)]


# By name, so that what Envoys say of anything else wakes no backend.
BY_REFUSED_NAME: Index[RefusedName, str, Proxy] = Index("envoys by refused backend", PROXIES, names_refused)


def refused_backend(read: Read, key: BackendKey) -> RefusedBackend | None:
    """What the Gateway's Envoys refuse of a backend; None where they take it, as they always should."""
    name = RefusedName(key.gateway.path, cluster_name(key.backend))
    messages = {
        entry.message
        for proxy in read.group(BY_REFUSED_NAME, name)
        for entry in proxy.rejected
        if entry.type_url in (CLUSTER, ENDPOINT) and entry.name == name.name
    }
    return RefusedBackend(tuple(sorted(messages))) if messages else None
