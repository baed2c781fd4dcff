"""Decide which listeners take a route, and for which hostnames."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from trilithon.incremental import Read
from trilithon.model import route_mistakes as mistakes
from trilithon.model.attachment import Attachment, Attachments, ParentAttachment
from trilithon.model.listener import UNKNOWN_NAMESPACES, Offer, Offers
from trilithon.model.tables import GATEWAYS, IDLE, NAMESPACES, OFFERS, UNSERVED
from trilithon.resources.meta import GATEWAY_GROUP, Key, ParentReference
from trilithon.resources.problem import Problem
from trilithon.resources.routes import Route
from trilithon.translate.flaws import refusal_of_route
from trilithon.translate.hostnames import intersections, specificity
from trilithon.translate.isolation import neighbours, owner
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
    refusal = refusal_of_route(route)
    for index, ref in enumerate(route.spec.parent_refs):
        at = f"spec.parentRefs[{index}]"
        if (ref.group, ref.kind) != (GATEWAY_GROUP, "Gateway"):
            problems.append(mistakes.PARENT_KIND_UNSUPPORTED.at(route.key, at, kind=ref.kind))
            continue
        gateway = Key("Gateway", ref.namespace or route.key.namespace, ref.name)
        offers = read.one(OFFERS, gateway)
        if offers is not None and refusal:
            parents.append(ParentAttachment(index, ref, gateway, (), refusal))
        elif offers is not None:
            parents.append(_parent_attachment(read, route, index, offers))
        elif read.one(GATEWAYS, gateway) is None:
            problems.append(mistakes.PARENT_NOT_FOUND.at(route.key, at, parent=gateway))
        elif unserved := read.one(UNSERVED, gateway):
            problems.append(mistakes.PARENT_NOT_SERVED.at(route.key, at, parent=gateway, why=unserved.message))
    return Attachments(route.key, route.generation, tuple(parents), tuple(problems))


def _parent_attachment(read: Read, route: Route, index: int, offers: Offers) -> ParentAttachment:
    ref = route.spec.parent_refs[index]
    at = f"spec.parentRefs[{index}]"
    named, problem = _named(route.key, ref, at, offers)
    taken: list[Attachment] = []
    refusals: list[tuple[int, Problem]] = []
    notes: list[Problem] = []
    for listener in named:
        attachment, refused = _meet(read, route, at, listener, offers)
        if attachment is None:
            refusals += refused
            continue
        taken.append(attachment)
        if why := read.one(IDLE, listener.key):
            notes.append(mistakes.LISTENER_NOT_SERVING.at(route.key, at, listener=listener.key.name, why=why))
    # The listener that the route came closest to says the reason: its first refusal is the latest of the checks.
    problems = [found for _, found in sorted(refusals, key=lambda refusal: -refusal[0])]
    return ParentAttachment(
        index=index,
        ref=ref,
        gateway=offers.gateway,
        attachments=tuple(taken),
        problems=(problem,) if problem is not None else tuple(problems),
        notes=(*notes, *_shadow_notes(read, route.key, at, taken, offers)),
    )


def _named(route: Key, ref: ParentReference, at: str, offers: Offers) -> tuple[Sequence[Offer], Problem | None]:
    """The listeners that section name and port select; where both are given, both must match (ParentReference)."""
    items: Sequence[Offer] = offers.items
    gateway = offers.gateway.path
    if ref.section_name is not None:
        items = [listener for listener in items if listener.key.name == ref.section_name]
        if not items:
            names = ", ".join(listener.key.name for listener in offers.items)
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
    read: Read, route: Route, at: str, listener: Offer, offers: Offers
) -> tuple[Attachment | None, list[tuple[int, Problem]]]:
    """One listener's answer: an attachment, or its refusals in the order kind, namespace, hostname.

    Each refusal comes with the number of the check that the listener refused first.
    """
    claims = intersections(listener.hostname, route.spec.hostnames)
    checks = (
        None if route.key.kind in listener.kinds else _kind_refused(route.key, at, listener),
        None
        if _takes_namespace(read, route.key.namespace, listener)
        else _namespace_refused(read, route.key, at, listener),
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
            shadowed=tuple(name for name in hostnames if _owner(name, listener, offers) is not listener),
        ),
        [],
    )


def _takes_namespace(read: Read, namespace: str, listener: Offer) -> bool:
    if listener.namespaces == "All":
        return True
    if listener.namespaces == UNKNOWN_NAMESPACES:
        return False
    if listener.namespaces == "Same":
        return namespace == listener.key.parent.namespace
    # No selector, or a malformed one, selects nothing; the listener's own status says so.
    if listener.selector is None or malformed(listener.selector) is not None:
        return False
    row = read.one(NAMESPACES, Key("Namespace", "", namespace))
    labels = dict(row.labels) if row is not None else {}
    return selects(listener.selector, {**labels, NAMESPACE_NAME_LABEL: namespace})


def _owner(hostname: str, listener: Offer, offers: Offers) -> Offer:
    """The listener that gets the requests for one of a listener's hostnames; of twins, which conflict, each itself."""
    found = owner(neighbours(listener, offers.items), hostname)
    return listener if found is None or found.hostname == listener.hostname else found


def _shadow_notes(read: Read, route: Key, at: str, taken: Sequence[Attachment], offers: Offers) -> Iterable[Problem]:
    """Hostnames that this reference asks for in vain: owned by a listener that it does not reach."""
    reached = {attachment.listener: attachment for attachment in taken}
    for listener in offers.items:
        attachment = reached.get(listener.key)
        for hostname in attachment.shadowed if attachment is not None else ():
            owning = _owner(hostname, listener, offers)
            if owning.key in reached:
                continue
            words = {"hostname": hostname, "owner": owning.key.name}
            if why := read.one(IDLE, owning.key):
                yield mistakes.HOSTNAME_NOT_SERVED.at(route, at, why=why, **words)
            else:
                yield mistakes.HOSTNAME_SHADOWED.at(route, at, listener=listener.key.name, **words)


def _kind_refused(route: Key, at: str, listener: Offer) -> Problem:
    return mistakes.ROUTE_KIND_NOT_ALLOWED.at(
        route, at, listener=listener.key.name, kind=route.kind, kinds=", ".join(listener.kinds) or "no routes"
    )


def _namespace_refused(read: Read, route: Key, at: str, listener: Offer) -> Problem:
    rule = f"from: {listener.namespaces}"
    if listener.namespaces == UNKNOWN_NAMESPACES:
        rule = read.one(IDLE, listener.key) or "whose namespaces are not understood"
    return mistakes.NAMESPACE_NOT_ALLOWED.at(
        route,
        at,
        listener=listener.key.name,
        gateway=listener.key.gateway.path,
        namespace=route.namespace,
        rule=rule,
    )


def _hostname_refused(route: Key, listener: Offer) -> Problem:
    return mistakes.NO_COMMON_HOSTNAME.at(
        route, "spec.hostnames", listener=listener.key.name, hostname=listener.hostname
    )
