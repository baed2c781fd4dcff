"""Decide which listeners take a route, and for which hostnames."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from trilithon.incremental import Read
from trilithon.model import route_mistakes as mistakes
from trilithon.model.attachment import Attachment, Attachments, ParentAttachment
from trilithon.model.listener import Listener, Listeners
from trilithon.model.tables import GATEWAYS, LISTENERS, NAMESPACES
from trilithon.resources.meta import GATEWAY_GROUP, Key, ParentReference
from trilithon.resources.problem import Problem
from trilithon.resources.routes import Route
from trilithon.translate.hostnames import covers, intersections, specificity
from trilithon.translate.selectors import malformed, selects

# Set on every Namespace by the API server, and so true of namespaces that no file describes.
NAMESPACE_NAME_LABEL = "kubernetes.io/metadata.name"


def attachments_of(read: Read, route: Route) -> Attachments:
    """What becomes of each parent reference of a route to a Gateway of ours.

    A reference to somebody else's Gateway leaves no trace, one that leads nowhere a warning.
    """
    parents: list[ParentAttachment] = []
    problems: list[Problem] = []
    if not route.spec.parent_refs:
        problems.append(mistakes.NO_PARENT_REFS.at(route.key, "spec"))
    for index, ref in enumerate(route.spec.parent_refs):
        at = f"spec.parentRefs[{index}]"
        if (ref.group, ref.kind) != (GATEWAY_GROUP, "Gateway"):
            problems.append(mistakes.PARENT_KIND_UNSUPPORTED.at(route.key, at, kind=ref.kind))
            continue
        gateway = Key("Gateway", ref.namespace or route.key.namespace, ref.name)
        listeners = read.one(LISTENERS, gateway)
        if listeners is not None:
            parents.append(_parent_attachment(read, route, index, listeners))
        elif read.one(GATEWAYS, gateway) is None:
            problems.append(mistakes.PARENT_NOT_FOUND.at(route.key, at, parent=gateway))
    return Attachments(route.key, route.generation, tuple(parents), tuple(problems))


def _parent_attachment(read: Read, route: Route, index: int, listeners: Listeners) -> ParentAttachment:
    ref = route.spec.parent_refs[index]
    at = f"spec.parentRefs[{index}]"
    named, problem = _named(route.key, ref, at, listeners)
    taken: list[Attachment] = []
    refusals: list[tuple[int, Problem]] = []
    notes: list[Problem] = []
    for listener in named:
        attachment, refused = _meet(read, route, at, listener, listeners)
        if attachment is None:
            refusals += refused
            continue
        taken.append(attachment)
        if not listener.serves:
            why = "; ".join(found.message for found in listener.problems) or "its Gateway is not served"
            notes.append(mistakes.LISTENER_NOT_SERVING.at(route.key, at, listener=listener.key.name, why=why))
    # The listener that the route came closest to says the reason: its first refusal is the latest of the checks.
    problems = [found for _, found in sorted(refusals, key=lambda refusal: -refusal[0])]
    return ParentAttachment(
        index=index,
        ref=ref,
        gateway=listeners.gateway,
        attachments=tuple(taken),
        problems=(problem,) if problem is not None else tuple(problems),
        notes=(*notes, *_shadow_notes(route.key, at, taken, listeners)),
    )


def _named(
    route: Key, ref: ParentReference, at: str, listeners: Listeners
) -> tuple[Sequence[Listener], Problem | None]:
    """The listeners that section name and port select; where both are given, both must match (ParentReference)."""
    items: Sequence[Listener] = listeners.items
    gateway = listeners.gateway.path
    if ref.section_name is not None:
        items = [listener for listener in items if listener.key.name == ref.section_name]
        if not items:
            names = ", ".join(listener.key.name for listener in listeners.items)
            return (), mistakes.SECTION_NOT_FOUND.at(
                route, f"{at}.sectionName", gateway=gateway, section=ref.section_name, names=names
            )
    if ref.port is not None:
        ports = ", ".join(str(port) for port in sorted({listener.port for listener in items}))
        items = [listener for listener in items if listener.port == ref.port]
        if not items:
            return (), mistakes.PORT_NOT_FOUND.at(route, f"{at}.port", gateway=gateway, port=ref.port, ports=ports)
    return items, None


def _meet(
    read: Read, route: Route, at: str, listener: Listener, listeners: Listeners
) -> tuple[Attachment | None, list[tuple[int, Problem]]]:
    """One listener's answer: an attachment, or its refusals in the order kind, namespace, hostname.

    Each refusal comes with the number of the check that the listener refused first.
    """
    claims = intersections(listener.hostname, route.spec.hostnames)
    checks = (
        None if route.key.kind in listener.kinds else _kind_refused(route.key, at, listener),
        None if _takes_namespace(read, route.key.namespace, listener) else _namespace_refused(route.key, at, listener),
        None if claims else _hostname_refused(route.key, listener),
    )
    first = next((number for number, refusal in enumerate(checks) if refusal is not None), None)
    if first is not None:
        return None, [(first, refusal) for refusal in checks if refusal is not None]
    hostnames = tuple(sorted(claims, key=lambda name: (specificity(name), name)))
    return (
        Attachment(
            listener=listener.key,
            table=listener.table,
            protocol=listener.protocol,
            hostnames=hostnames,
            claims=tuple(claims[name] for name in hostnames),
            shadowed=tuple(name for name in hostnames if _owner(name, listener, listeners) is not listener),
        ),
        [],
    )


def _takes_namespace(read: Read, namespace: str, listener: Listener) -> bool:
    if listener.namespaces == "All":
        return True
    if listener.namespaces == "Same":
        return namespace == listener.key.parent.namespace
    # No selector, or a malformed one, selects nothing; the listener's own status says so.
    if listener.selector is None or malformed(listener.selector) is not None:
        return False
    row = read.one(NAMESPACES, Key("Namespace", "", namespace))
    labels = dict(row.labels) if row is not None else {}
    return selects(listener.selector, {**labels, NAMESPACE_NAME_LABEL: namespace})


def _owner(hostname: str, listener: Listener, listeners: Listeners) -> Listener:
    """The most specific listener for a hostname on a port: requests for it come to no other.

    HTTP listeners of a port compete by Host, HTTPS listeners by SNI. A listener that does not serve owns nothing, or a
    mistake in one listener would take hostnames from another.
    """
    rivals = [
        other
        for other in listeners.items
        if other.serves
        and other.port == listener.port
        and other.protocol == listener.protocol
        and covers(other.hostname, hostname)
    ]
    # The listener first: of equals it is its own owner.
    return min((listener, *rivals), key=lambda other: specificity(other.hostname))


def _shadow_notes(route: Key, at: str, taken: Sequence[Attachment], listeners: Listeners) -> Iterable[Problem]:
    """Hostnames that this reference asks for in vain: owned by a listener that it does not reach."""
    reached = {attachment.listener for attachment in taken}
    for listener in listeners.items:
        for attachment in taken:
            if attachment.listener != listener.key:
                continue
            for hostname in attachment.shadowed:
                owner = _owner(hostname, listener, listeners)
                if owner.key not in reached:
                    yield mistakes.HOSTNAME_SHADOWED.at(
                        route, at, hostname=hostname, owner=owner.key.name, listener=listener.key.name
                    )


def _kind_refused(route: Key, at: str, listener: Listener) -> Problem:
    return mistakes.ROUTE_KIND_NOT_ALLOWED.at(
        route, at, listener=listener.key.name, kind=route.kind, kinds=", ".join(listener.kinds) or "no routes"
    )


def _namespace_refused(route: Key, at: str, listener: Listener) -> Problem:
    return mistakes.NAMESPACE_NOT_ALLOWED.at(
        route,
        at,
        listener=listener.key.name,
        gateway=listener.key.gateway.path,
        namespace=route.namespace,
        rule=f"from: {listener.namespaces}",
    )


def _hostname_refused(route: Key, listener: Listener) -> Problem:
    return mistakes.NO_COMMON_HOSTNAME.at(
        route, "spec.hostnames", listener=listener.key.name, hostname=listener.hostname
    )
