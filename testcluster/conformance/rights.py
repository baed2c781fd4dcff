"""What an implementation may do in the cluster, what of it it did, and what it tried though it may not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

import msgspec

from testcluster.audit import AuditEvent
from testcluster.cluster import Cluster

RBAC: Final = "/apis/rbac.authorization.k8s.io/v1"
CREATED: Final = 201
ACCOUNT: Final = "system:serviceaccount:"


class Right(NamedTuple):
    """To do something with a resource, wherever."""

    resource: str
    """With its API group after a dot, unless that is the core's."""
    verb: str

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}"


class Rights(msgspec.Struct, frozen=True):
    """What came of the rights of an implementation."""

    refused: tuple[str, ...]
    """What it asked for and may not do."""
    unused: tuple[str, ...]
    """What it may do and did not."""


def accounted(cluster: Cluster, namespace: str, since: int) -> Rights:
    """Compare what the accounts of a namespace may do with what they did since a mark in the audit log."""
    events = [event for event in cluster.audit.read(since) if event.by.startswith(f"{ACCOUNT}{namespace}:")]
    return compared(granted(cluster, namespace), events)


def compared(may: Iterable[Right], events: Iterable[AuditEvent]) -> Rights:
    """What was refused, and what was never asked for."""
    used: set[Right] = set()
    refused: set[Right] = set()
    for event in events:
        if event.target.resource:
            right = Right(_named(event.resource, event.target.api_group), event.verb)
            (refused if event.is_forbidden else used).add(right)
            # An object that is applied for the first time comes by a patch, which needs both rights.
            if event.verb == "patch" and event.code == CREATED:
                used.add(right._replace(verb="create"))
    return Rights(_told(refused), _told(set(may) - used))


def granted(cluster: Cluster, namespace: str) -> set[Right]:
    """What the service accounts of a namespace may do, by the roles that are bound to them."""
    found: set[Right] = set()
    for kind in ("clusterrolebindings", "rolebindings"):
        for binding in cluster.get(f"{RBAC}/{kind}")["items"]:
            subjects = binding.get("subjects") or ()
            if any(one["kind"] == "ServiceAccount" and one.get("namespace") == namespace for one in subjects):
                found.update(_rights(_role(cluster, binding)))
    return found


def _role(cluster: Cluster, binding: dict[str, Any]) -> dict[str, Any]:
    reference = binding["roleRef"]
    where = "" if reference["kind"] == "ClusterRole" else f"/namespaces/{binding['metadata']['namespace']}"
    role: dict[str, Any] = cluster.get(f"{RBAC}{where}/{reference['kind'].lower()}s/{reference['name']}")
    return role


def _rights(role: dict[str, Any]) -> Iterator[Right]:
    for rule in role.get("rules") or ():
        for group in rule.get("apiGroups", ()):
            for resource in rule.get("resources", ()):
                yield from (Right(_named(resource, group), verb) for verb in rule["verbs"])


def _named(resource: str, group: str) -> str:
    name, slash, part = resource.partition("/")
    return f"{name}.{group}{slash}{part}" if group else resource


def _told(rights: set[Right]) -> tuple[str, ...]:
    return tuple(str(right) for right in sorted(rights))
