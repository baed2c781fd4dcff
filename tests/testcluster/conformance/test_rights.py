"""What is said about rights."""

from __future__ import annotations

import msgspec

from testcluster.audit import AuditEvent
from testcluster.conformance.rights import Right, compared


def event(verb: str, decision: str = "allow", code: int = 200, **target: str) -> AuditEvent:
    """A request, as the API server writes it down."""
    return msgspec.convert(
        {
            "verb": verb,
            "requestURI": "/",
            "stage": "ResponseComplete",
            "user": {"username": "system:serviceaccount:ours:one"},
            "objectRef": target,
            "responseStatus": {"code": code},
            "annotations": {"authorization.k8s.io/decision": decision},
        },
        AuditEvent,
    )


def test_rights_are_refused_used_or_unused() -> None:
    """A status is a resource of its own, and so is one of the same name in another API group."""
    rights = compared(
        {Right("gateways.g/status", "patch"), Right("gateways.g", "patch"), Right("events", "create")},
        [
            event("patch", apiGroup="g", resource="gateways", subresource="status"),
            event("get", "forbid", 403, resource="secrets"),
            event("create", apiGroup="events.k8s.io", resource="events"),
            event("get"),
        ],
    )
    assert rights.refused == ("get secrets",)
    assert rights.unused == ("create events", "patch gateways.g")


def test_what_is_applied_for_the_first_time_is_created() -> None:
    """By a patch, which the API server allows to those alone who may create."""
    may = {Right("secrets", "create"), Right("secrets", "patch")}
    assert compared(may, [event("patch", resource="secrets")]).unused == ("create secrets",)
    assert compared(may, [event("patch", code=201, resource="secrets")]).unused == ()


def test_a_refusal_for_another_reason_is_none_for_lack_of_rights() -> None:
    """Such as writing into a namespace that is being deleted."""
    rights = compared({Right("secrets", "create")}, [event("create", code=403, resource="secrets")])
    assert not rights.refused
    assert not rights.unused
