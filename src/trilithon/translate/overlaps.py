"""Find HTTPS listeners between which an HTTP/2 client could reuse a connection (OverlappingTLSConfig)."""

from __future__ import annotations

from collections.abc import Sequence

from trilithon.incremental import Read
from trilithon.model import gateway_mistakes as mistakes
from trilithon.model.listener import Listener
from trilithon.model.tables import CERTIFICATES
from trilithon.resources.problem import Problem
from trilithon.translate.hostnames import covers
from trilithon.translate.listeners import can_serve, names_of


def overlaps(read: Read, listener: Listener, all_: Sequence[Listener]) -> list[Problem]:
    """The warning of a listener whose hostname, or certificate, is good for another one of its port."""
    if not _counts(listener):
        return []
    others = [other for other in all_ if other.key != listener.key and other.port == listener.port and _counts(other)]
    certified = [other for other in others if _covered(read, listener, other) or _covered(read, other, listener)]
    if certified:
        mistake, overlapping = mistakes.OVERLAPPING_CERTIFICATES, certified
    else:
        mistake = mistakes.OVERLAPPING_HOSTNAMES
        overlapping = [other for other in others if _overlap(listener.hostname, other.hostname)]
    if not overlapping:
        return []
    at = f"{listener.path}.hostname"
    return [mistake.at(listener.key.gateway, at, names=names_of(overlapping), port=listener.port)]


def _counts(listener: Listener) -> bool:
    return listener.protocol == "HTTPS" and can_serve(listener.problems)


def _covered(read: Read, listener: Listener, other: Listener) -> bool:
    """Whether a certificate of one listener is good for the other's hostname."""
    if other.hostname == "*":
        return False
    certificates = [read.one(CERTIFICATES, key) for key in listener.certificates]
    names = [name for certificate in certificates if certificate is not None for name in certificate.names]
    return any(_overlap(name, other.hostname) for name in names)


def _overlap(one: str, other: str) -> bool:
    return covers(one, other) or covers(other, one)
