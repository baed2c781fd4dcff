"""Work out the listeners of a Gateway by itself: what each takes, which conflict, which could serve."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from trilithon.incremental import Read
from trilithon.model import gateway_mistakes as mistakes
from trilithon.model.listener import UNKNOWN_NAMESPACES, Listener, ListenerKey, Listeners
from trilithon.model.mistake import FIELD_UNSUPPORTED
from trilithon.model.problem import condition_of
from trilithon.model.settings import READY_PORT, Settings
from trilithon.model.tables import CERTIFICATES
from trilithon.resources.gateways import Gateway, GatewayListener
from trilithon.resources.meta import GATEWAY_GROUP, HIGHEST_PORT, Key, SecretObjectReference
from trilithon.resources.problem import Problem
from trilithon.translate.addresses import ADDRESSES, address_problems
from trilithon.translate.certificates import secret_key, serves_name
from trilithon.translate.classes import held
from trilithon.translate.flaws import flaws_of_gateway, flaws_of_listener, namespaces_not_understood, written_index
from trilithon.translate.infrastructure_keys import key_problems
from trilithon.translate.isolation import told_apart
from trilithon.translate.parameters import own_parameters
from trilithon.translate.references import permitted
from trilithon.translate.selectors import malformed

# Kinds of routes by protocol (api: ProtocolType); a protocol that is here is supported.
KINDS_BY_PROTOCOL: dict[str, tuple[str, ...]] = {"HTTP": ("HTTPRoute",), "HTTPS": ("HTTPRoute",)}
# More names of a certificate than this are no help.
MOST_NAMES = 6
# Protocols the API knows; anything else is a domain-prefixed name of somebody else's.
KNOWN_PROTOCOLS = ("HTTP", "HTTPS", "TLS", "TCP", "UDP")

# Conditions whose problems keep a listener from serving.
BLOCKING = ("Accepted", "Conflicted", "Programmed")


def own_listeners_of(settings: Settings, read: Read, gateway: Gateway) -> Listeners:
    """All listeners of a Gateway of ours, each with everything that is wrong with it whatever other Gateways want."""
    items = [_listener(settings, read, gateway, index) for index in range(len(gateway.spec.listeners))]
    items = [with_problems(item, _conflicts(item, items)) for item in items]
    problems = tuple(_gateway_problems(settings, read, gateway))
    if settings.installation is None and not _knows_address(settings, gateway):
        # It would be served at an address that it does not ask for. Nothing else that is wrong with a Gateway as a
        # whole ends its listeners. In a cluster what runs it stays as it was while it was in order, and is there only
        # if it once was; on one machine nothing else of it has any effect on what is served.
        items = [msgspec.structs.replace(item, serves=False) for item in items]
    return Listeners(
        gateway=gateway.key,
        generation=gateway.generation,
        created=gateway.created,
        items=tuple(items),
        problems=problems,
    )


def _knows_address(settings: Settings, gateway: Gateway) -> bool:
    """Whether it is understood which addresses a Gateway asks for, and they can be had here."""
    is_understood = all(flaw.part != ADDRESSES for flaw in gateway.flaws)
    return is_understood and can_serve(address_problems(settings, gateway))


def _listener(settings: Settings, read: Read, gateway: Gateway, index: int) -> Listener:
    spec = gateway.spec.listeners[index]
    index = written_index(gateway, index)
    path = f"spec.listeners[{index}]"
    kinds, kind_problems = _kinds(gateway.key, spec, path)
    certificates, tls_problems = _certificates(read, gateway, spec, path)
    flaws = flaws_of_listener(gateway, spec)
    problems = (
        *flaws,
        *_protocol_problems(gateway.key, spec, path),
        *_port_problems(settings, gateway.key, spec, path),
        *_namespace_problems(gateway.key, spec, path),
        *kind_problems,
        *(() if flaws else tls_problems),
        *_frontend_problems(gateway, spec, path),
    )
    return Listener(
        key=ListenerKey(gateway.key, gateway.key, spec.name),
        index=index,
        port=spec.port,
        protocol=spec.protocol,
        hostname=spec.hostname or "*",
        kinds=kinds,
        namespaces=UNKNOWN_NAMESPACES
        if namespaces_not_understood(flaws, path)
        else spec.allowed_routes.namespaces.from_,
        selector=spec.allowed_routes.namespaces.selector,
        certificates=certificates,
        problems=problems,
        serves=can_serve(problems),
    )


def can_serve(problems: Iterable[Problem]) -> bool:
    """Whether none of these problems keeps what has them from serving."""
    return not any(condition_of(problem) in BLOCKING for problem in problems)


def with_problems(listener: Listener, more: Sequence[Problem]) -> Listener:
    """The listener with more problems, which can end its serving."""
    if not more:
        return listener
    serves = listener.serves and can_serve(more)
    return msgspec.structs.replace(listener, problems=(*listener.problems, *more), serves=serves)


def _protocol_problems(key: Key, spec: GatewayListener, path: str) -> Iterable[Problem]:
    if spec.protocol not in KINDS_BY_PROTOCOL:
        mistake = mistakes.PROTOCOL_NOT_YET if spec.protocol in KNOWN_PROTOCOLS else mistakes.PROTOCOL_UNKNOWN
        yield mistake.at(key, f"{path}.protocol", protocol=spec.protocol)


def _port_problems(settings: Settings, key: Key, spec: GatewayListener, path: str) -> Iterable[Problem]:
    if spec.protocol not in KINDS_BY_PROTOCOL:
        return
    bound = settings.bound_port(spec.port)
    if not 0 < bound <= HIGHEST_PORT:
        yield mistakes.PORT_TOO_HIGH.at(key, f"{path}.port", port=spec.port, offset=settings.port_offset, bound=bound)
    elif settings.installation is not None and bound == READY_PORT:
        yield mistakes.PORT_RESERVED.at(key, f"{path}.port", port=spec.port)


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
        found, problem = _certificate(read, gateway, ref, f"{path}.tls.certificateRefs[{index}]")
        if problem is not None:
            problems.append(problem)
        if found is not None and found not in usable:
            usable.append(found)
    if not usable:
        problems.append(mistakes.TLS_NO_CERTIFICATES.at(gateway.key, f"{path}.tls.certificateRefs"))
    problems.extend(_hostname_uncovered(read, gateway, spec, usable, path))
    problems.extend(
        mistakes.TLS_OPTION_UNSUPPORTED.at(gateway.key, f"{path}.tls.options[{option}]", option=option)
        for option in sorted(spec.tls.options or ())
    )
    return tuple(usable), problems


def _hostname_uncovered(
    read: Read, gateway: Gateway, spec: GatewayListener, usable: Sequence[Key], path: str
) -> Iterable[Problem]:
    certificates = [read.one(CERTIFICATES, key) for key in usable]
    if any(each is not None and not each.is_known for each in certificates):
        return
    names = sorted({name for each in certificates if each is not None for name in each.names})
    if usable and spec.hostname and not any(serves_name(name, spec.hostname) for name in names):
        shown = ", ".join(names[:MOST_NAMES]) + (f" and {len(names) - MOST_NAMES} more" if names[MOST_NAMES:] else "")
        yield mistakes.CERTIFICATE_OTHER_NAMES.at(
            gateway.key, f"{path}.tls.certificateRefs", hostname=spec.hostname, names=shown or "no names"
        )


def _certificate(
    read: Read, gateway: Gateway, ref: SecretObjectReference, path: str
) -> tuple[Key | None, Problem | None]:
    """The Secret, if it can be used, and what is wrong with it or the reference."""
    key = secret_key(gateway, ref)
    if key is None:
        return None, mistakes.CERTIFICATE_KIND.at(gateway.key, path, kind=ref.kind)
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
        return None, mistakes.CERTIFICATE_NOT_PERMITTED.at(
            gateway.key, path, namespace=key.namespace, kind="Gateway", from_namespace=gateway.key.namespace,
            secret=key.path,
        )  # fmt: skip
    certificate = read.one(CERTIFICATES, key)
    if certificate is None:
        return None, mistakes.CERTIFICATE_NOT_FOUND.at(gateway.key, path, secret=key.path)
    problem = certificate.problem
    if problem is not None:
        problem = msgspec.structs.replace(problem, key=gateway.key, path=path)
    return key if certificate.usable else None, problem


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
    at = listener.path
    strangers = [other for other in neighbours if not told_apart(listener, other)]
    if strangers:
        names, protocols = names_of(neighbours), ", ".join(sorted({other.protocol for other in neighbours}))
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
                listener.key.gateway, f"{at}.hostname", names=names_of(twins), port=listener.port, hostname=hostname
            )
        ]
    return []


def _share_a_port(one: Listener, other: Listener) -> bool:
    # UDP has its own port space, and a protocol nobody knows is not served, so that it cannot clash.
    known = one.protocol in KNOWN_PROTOCOLS and other.protocol in KNOWN_PROTOCOLS
    return known and (one.protocol == "UDP") == (other.protocol == "UDP")


def names_of(listeners: Iterable[Listener]) -> str:
    """Listeners in a message."""
    return ", ".join(listener.key.name for listener in listeners)


def _gateway_problems(settings: Settings, read: Read, gateway: Gateway) -> Iterable[Problem]:
    spec, key = gateway.spec, gateway.key
    yield from flaws_of_gateway(gateway)
    yield from address_problems(settings, gateway)
    parameters = own_parameters(read, gateway)
    if isinstance(parameters, Problem):
        yield parameters
    yield from key_problems(gateway)
    if (problem := held(settings, read, gateway)) is not None:
        yield problem
    if spec.tls is not None and spec.tls.backend is not None and spec.tls.backend.client_certificate_ref is not None:
        yield mistakes.BACKEND_CLIENT_CERTIFICATE_UNSUPPORTED.at(key, "spec.tls.backend.clientCertificateRef")
    if spec.allowed_listeners is not None and spec.allowed_listeners.namespaces.from_ != "None":
        yield FIELD_UNSUPPORTED.at(key, "spec.allowedListeners", field="allowedListeners")
    if spec.default_scope is not None:
        yield FIELD_UNSUPPORTED.at(key, "spec.defaultScope", field="defaultScope")
