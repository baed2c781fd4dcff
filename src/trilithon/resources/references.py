"""Which Secrets and ConfigMaps a resource names: of all there are, only these matter."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from trilithon.resources.core import ConfigMap, Secret
from trilithon.resources.gateways import Gateway
from trilithon.resources.meta import Key, ObjectReference, SecretObjectReference

NAMED_KINDS = frozenset({"Secret", "ConfigMap"})

Reference = SecretObjectReference | ObjectReference


def named_by(resource: Any) -> tuple[Key, ...]:
    """The keys of the Secrets and ConfigMaps that a resource names, whether they exist or not, each once."""
    name = _NAMING.get(type(resource))
    if name is None:
        return ()
    references = (ref for ref in name(resource) if ref.group == "" and ref.kind in NAMED_KINDS)
    own = resource.key.namespace
    return tuple(dict.fromkeys(Key(ref.kind, ref.namespace or own, ref.name) for ref in references))


def unknown(key: Key) -> Secret | ConfigMap:
    """What stands for a Secret or ConfigMap that is named and could not be read yet."""
    if key.kind == "Secret":
        return Secret(key, 0, "", "", is_known=False)
    return ConfigMap(key, 0, "", is_known=False)


def _of_gateway(gateway: Gateway) -> Iterator[Reference]:
    for listener in gateway.spec.listeners:
        if listener.tls is not None:
            yield from listener.tls.certificate_refs
    tls = gateway.spec.tls
    if tls is None:
        return
    if tls.backend is not None and tls.backend.client_certificate_ref is not None:
        yield tls.backend.client_certificate_ref
    if tls.frontend is not None:
        for each in (tls.frontend.default, *(port.tls for port in tls.frontend.per_port)):
            if each.validation is not None:
                yield from each.validation.ca_certificate_refs


_NAMING: Mapping[type[Any], Callable[[Any], Iterator[Reference]]] = {Gateway: _of_gateway}
