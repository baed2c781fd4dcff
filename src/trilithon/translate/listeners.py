"""Work out the listeners of a Gateway: what each takes, which conflict, which can serve."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from trilithon.incremental import Index, Read
from trilithon.model import gateway_mistakes as mistakes
from trilithon.model.listener import Listener, ListenerKey, Listeners
from trilithon.model.mistake import FIELD_UNSUPPORTED
from trilithon.model.problem import condition_of
from trilithon.model.settings import Settings
from trilithon.model.tables import CERTIFICATES, OURS
from trilithon.resources.gateways import Gateway, GatewayListener
from trilithon.resources.meta import GATEWAY_GROUP, Key, SecretObjectReference
from trilithon.resources.problem import Problem
from trilithon.translate.certificates import secret_key
from trilithon.translate.hostnames import covers
from trilithon.translate.references import permitted
from trilithon.translate.selectors import malformed

# Kinds of routes by protocol (api: ProtocolType); a protocol that is here is supported.
KINDS_BY_PROTOCOL: dict[str, tuple[str, ...]] = {"HTTP": ("HTTPRoute",), "HTTPS": ("HTTPRoute",)}
# Protocols the API knows; anything else is a domain-prefixed name of somebody else's.
KNOWN_PROTOCOLS = ("HTTP", "HTTPS", "TLS", "TCP", "UDP")
# Protocols told apart by hostname on one port; HTTP and the TLS ones cannot share a port, since nothing sniffs.
HOSTNAME_GROUPS = (("HTTP",), ("HTTPS", "TLS"))
HIGHEST_PORT = 65535

# Conditions whose problems keep a listener from serving.
BLOCKING = ("Accepted", "Conflicted", "Programmed")


def ports_claimed(gateway: Gateway) -> Iterable[int]:
    """Ports of the listeners that could be served."""
    return {listener.port for listener in gateway.spec.listeners if listener.protocol in KINDS_BY_PROTOCOL}


# Who wants a port: matters only where all Gateways bind one address.
GATEWAYS_BY_PORT: Index[int, Key, Gateway] = Index("gateways by port", OURS, ports_claimed)


def listeners_of(settings: Settings, read: Read, gateway: Gateway) -> Listeners:
    """All listeners of a Gateway of ours, each with everything that is wrong with it."""
    items = [_listener(settings, read, gateway, index) for index in range(len(gateway.spec.listeners))]
    items = [_with(item, _conflicts(item, items)) for item in items]
    items = [_with(item, _overlaps(read, item, items)) for item in items]
    problems = tuple(_gateway_problems(settings, gateway))
    if not _can_serve(problems):
        # Refused as a whole: nothing of it is served, whatever its listeners say.
        items = [msgspec.structs.replace(item, serves=False) for item in items]
    return Listeners(
        gateway=gateway.key,
        generation=gateway.generation,
        created=gateway.created,
        items=tuple(items),
        problems=problems,
    )


def _listener(settings: Settings, read: Read, gateway: Gateway, index: int) -> Listener:
    spec = gateway.spec.listeners[index]
    path = f"spec.listeners[{index}]"
    kinds, kind_problems = _kinds(gateway.key, spec, path)
    certificates, tls_problems = _certificates(read, gateway, spec, path)
    problems = (
        *_protocol_problems(gateway.key, spec, path),
        *_port_problems(settings, read, gateway, spec, path),
        *_namespace_problems(gateway.key, spec, path),
        *kind_problems,
        *tls_problems,
        *_frontend_problems(gateway, spec, path),
    )
    return Listener(
        key=ListenerKey(gateway.key, gateway.key, spec.name),
        index=index,
        port=spec.port,
        protocol=spec.protocol,
        hostname=spec.hostname or "*",
        kinds=kinds,
        namespaces=spec.allowed_routes.namespaces.from_,
        selector=spec.allowed_routes.namespaces.selector,
        certificates=certificates,
        problems=problems,
        serves=_can_serve(problems),
    )


def _can_serve(problems: Iterable[Problem]) -> bool:
    return not any(condition_of(problem) in BLOCKING for problem in problems)


def _with(listener: Listener, more: Sequence[Problem]) -> Listener:
    if not more:
        return listener
    problems = (*listener.problems, *more)
    return msgspec.structs.replace(listener, problems=problems, serves=_can_serve(problems))


def _protocol_problems(key: Key, spec: GatewayListener, path: str) -> Iterable[Problem]:
    if spec.protocol not in KINDS_BY_PROTOCOL:
        mistake = mistakes.PROTOCOL_NOT_YET if spec.protocol in KNOWN_PROTOCOLS else mistakes.PROTOCOL_UNKNOWN
        yield mistake.at(key, f"{path}.protocol", protocol=spec.protocol)


def _port_problems(
    settings: Settings, read: Read, gateway: Gateway, spec: GatewayListener, path: str
) -> Iterable[Problem]:
    if spec.protocol not in KINDS_BY_PROTOCOL:
        return
    bound = settings.bound_port(spec.port)
    if not 0 < bound <= HIGHEST_PORT:
        yield mistakes.PORT_TOO_HIGH.at(
            gateway.key, f"{path}.port", port=spec.port, offset=settings.port_offset, bound=bound
        )
    if settings.shared_address:
        first = min(read.group(GATEWAYS_BY_PORT, spec.port), key=_age, default=gateway)
        if first.key != gateway.key:
            yield mistakes.PORT_TAKEN_BY_GATEWAY.at(
                gateway.key, f"{path}.port", port=spec.port, address=settings.address, other=first.key.path
            )


def _age(gateway: Gateway) -> tuple[str, str]:
    # Oldest first, then by name; an unknown time counts as newest, like that of an object not created yet.
    return (gateway.created or "~", gateway.key.path)


def _namespace_problems(key: Key, spec: GatewayListener, path: str) -> Iterable[Problem]:
    namespaces = spec.allowed_routes.namespaces
    at = f"{path}.allowedRoutes.namespaces.selector"
    if namespaces.from_ != "Selector":
        return
    if namespaces.selector is None:
        yield mistakes.SELECTOR_MISSING.at(key, at)
    elif what := malformed(namespaces.selector):
        yield mistakes.SELECTOR_MALFORMED.at(key, at, what=what)


def _kinds(key: Key, spec: GatewayListener, path: str) -> tuple[tuple[str, ...], list[Problem]]:
    """Kinds the listener takes: those listed and supported, or all that fit the protocol (AllowedRoutes.kinds)."""
    supported = KINDS_BY_PROTOCOL.get(spec.protocol, ())
    if not spec.allowed_routes.kinds or spec.protocol not in KINDS_BY_PROTOCOL:
        return supported, []
    taken: list[str] = []
    problems: list[Problem] = []
    for index, kind in enumerate(spec.allowed_routes.kinds):
        if kind.group == GATEWAY_GROUP and kind.kind in supported:
            if kind.kind not in taken:
                taken.append(kind.kind)
        else:
            name = kind.kind if kind.group == GATEWAY_GROUP else f"{kind.group}/{kind.kind}"
            at = f"{path}.allowedRoutes.kinds[{index}]"
            problems.append(mistakes.ROUTE_KIND_UNSUPPORTED.at(key, at, kind=name, protocol=spec.protocol))
    return tuple(taken), problems


def _certificates(
    read: Read, gateway: Gateway, spec: GatewayListener, path: str
) -> tuple[tuple[Key, ...], list[Problem]]:
    """The Secrets an HTTPS listener can use; with several references the good ones serve."""
    if spec.protocol != "HTTPS":
        return (), []
    if spec.tls is None or not spec.tls.certificate_refs:
        return (), [mistakes.TLS_MISSING.at(gateway.key, f"{path}.tls")]
    usable: list[Key] = []
    problems: list[Problem] = []
    for index, ref in enumerate(spec.tls.certificate_refs):
        found = _certificate(read, gateway, ref, f"{path}.tls.certificateRefs[{index}]")
        if isinstance(found, Problem):
            problems.append(found)
        elif found not in usable:
            usable.append(found)
    if not usable:
        problems.append(mistakes.TLS_NO_CERTIFICATES.at(gateway.key, f"{path}.tls.certificateRefs"))
    problems.extend(
        mistakes.TLS_OPTION_UNSUPPORTED.at(gateway.key, f"{path}.tls.options[{option}]", option=option)
        for option in sorted(spec.tls.options or ())
    )
    return tuple(usable), problems


def _certificate(read: Read, gateway: Gateway, ref: SecretObjectReference, path: str) -> Key | Problem:
    key = secret_key(gateway, ref)
    if key is None:
        return mistakes.CERTIFICATE_KIND.at(gateway.key, path, kind=ref.kind)
    if not permitted(
        read,
        from_kind="Gateway",
        from_namespace=gateway.key.namespace,
        to_group="",
        to_kind="Secret",
        to_namespace=key.namespace,
        to_name=key.name,
    ):
        # Said whether or not the Secret exists, so that nobody learns which exist (ReferenceGrant).
        return mistakes.CERTIFICATE_NOT_PERMITTED.at(
            gateway.key, path, namespace=key.namespace, kind="Gateway", from_namespace=gateway.key.namespace,
            secret=key.path,
        )  # fmt: skip
    certificate = read.one(CERTIFICATES, key)
    if certificate is None:
        return mistakes.CERTIFICATE_NOT_FOUND.at(gateway.key, path, secret=key.path)
    if certificate.problem is not None:
        return msgspec.structs.replace(certificate.problem, key=gateway.key, path=path)
    return key


def _frontend_problems(gateway: Gateway, spec: GatewayListener, path: str) -> Iterable[Problem]:
    """Client certificates asked for: refuse before serving without them (Gateway.spec.tls.frontend)."""
    tls = gateway.spec.tls
    if spec.protocol != "HTTPS" or tls is None or tls.frontend is None:
        return
    asked = tls.frontend.default
    for entry in tls.frontend.per_port:
        if entry.port == spec.port:
            asked = entry.tls
    if asked.validation is not None:
        yield mistakes.CLIENT_VALIDATION_UNSUPPORTED.at(gateway.key, path)


def _conflicts(listener: Listener, all_: Sequence[Listener]) -> list[Problem]:
    """Inside one Gateway no winner is picked: every member of a conflict has it (Listener, "distinct")."""
    neighbours = [other for other in all_ if other.port == listener.port and _share_a_port(other, listener)]
    group = next((group for group in HOSTNAME_GROUPS if listener.protocol in group), (listener.protocol,))
    at = listener.path
    strangers = [other for other in neighbours if other.protocol not in group]
    if strangers:
        names, protocols = _names(neighbours), ", ".join(sorted({other.protocol for other in neighbours}))
        gateway = listener.key.gateway
        return [
            mistakes.PROTOCOL_CONFLICT.at(
                gateway, f"{at}.protocol", names=names, protocols=protocols, port=listener.port
            )
        ]
    twins = [other for other in neighbours if other.hostname == listener.hostname]
    if len(twins) > 1:
        hostname = "unset" if listener.hostname == "*" else listener.hostname
        return [
            mistakes.HOSTNAME_CONFLICT.at(
                listener.key.gateway, f"{at}.hostname", names=_names(twins), port=listener.port, hostname=hostname
            )
        ]
    return []


def _share_a_port(one: Listener, other: Listener) -> bool:
    # UDP has its own port space, and a protocol nobody knows is not served, so that it cannot clash.
    known = one.protocol in KNOWN_PROTOCOLS and other.protocol in KNOWN_PROTOCOLS
    return known and (one.protocol == "UDP") == (other.protocol == "UDP")


def _overlaps(read: Read, listener: Listener, all_: Sequence[Listener]) -> list[Problem]:
    """Whether an HTTP/2 client could reuse a connection to one listener for another (OverlappingTLSConfig)."""
    if listener.protocol != "HTTPS" or not listener.serves:
        return []
    others = [
        other
        for other in all_
        if other.key != listener.key and other.protocol == "HTTPS" and other.port == listener.port and other.serves
    ]
    certified = [other for other in others if _covered(read, listener, other) or _covered(read, other, listener)]
    if certified:
        mistake, overlapping = mistakes.OVERLAPPING_CERTIFICATES, certified
    else:
        mistake = mistakes.OVERLAPPING_HOSTNAMES
        overlapping = [other for other in others if _overlap(listener.hostname, other.hostname)]
    if not overlapping:
        return []
    at = f"{listener.path}.hostname"
    return [mistake.at(listener.key.gateway, at, names=_names(overlapping), port=listener.port)]


def _covered(read: Read, listener: Listener, other: Listener) -> bool:
    """Whether a certificate of one listener is good for the other's hostname."""
    if other.hostname == "*":
        return False
    certificates = [read.one(CERTIFICATES, key) for key in listener.certificates]
    names = [name for certificate in certificates if certificate is not None for name in certificate.names]
    return any(_overlap(name, other.hostname) for name in names)


def _overlap(one: str, other: str) -> bool:
    return covers(one, other) or covers(other, one)


def _names(listeners: Iterable[Listener]) -> str:
    return ", ".join(listener.key.name for listener in listeners)


def _gateway_problems(settings: Settings, gateway: Gateway) -> Iterable[Problem]:
    spec, key = gateway.spec, gateway.key
    for index, address in enumerate(spec.addresses):
        at = f"spec.addresses[{index}]"
        if address.type != "IPAddress":
            yield mistakes.ADDRESS_TYPE_UNSUPPORTED.at(key, f"{at}.type", type=address.type)
        elif address.value and address.value != settings.address:
            yield mistakes.ADDRESS_NOT_USABLE.at(key, f"{at}.value", value=address.value, address=settings.address)
    if spec.infrastructure is not None and (ref := spec.infrastructure.parameters_ref) is not None:
        yield mistakes.GATEWAY_PARAMETERS.at(key, "spec.infrastructure.parametersRef", kind=ref.kind, name=ref.name)
    if spec.tls is not None and spec.tls.backend is not None and spec.tls.backend.client_certificate_ref is not None:
        yield mistakes.BACKEND_CLIENT_CERTIFICATE_UNSUPPORTED.at(key, "spec.tls.backend.clientCertificateRef")
    if spec.allowed_listeners is not None and spec.allowed_listeners.namespaces.from_ != "None":
        yield FIELD_UNSUPPORTED.at(key, "spec.allowedListeners", field="allowedListeners")
    if spec.default_scope is not None:
        yield FIELD_UNSUPPORTED.at(key, "spec.defaultScope", field="defaultScope")
