"""Reading the API server's audit log while it is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from testcluster.audit import AuditLog

LINE: dict[str, Any] = {
    "kind": "Event",
    "apiVersion": "audit.k8s.io/v1",
    "level": "Metadata",
    "auditID": "1",
    "stage": "ResponseComplete",
    "requestURI": "/apis/gateway.networking.k8s.io/v1/namespaces/default/gateways/web/status?fieldManager=x",
    "verb": "patch",
    "user": {"username": "admin", "groups": ["system:masters"]},
    "sourceIPs": ["10.254.0.1"],
    "userAgent": "test",
    "objectRef": {
        "resource": "gateways",
        "namespace": "default",
        "name": "web",
        "apiGroup": "gateway.networking.k8s.io",
        "apiVersion": "v1",
        "subresource": "status",
    },
    "responseStatus": {"metadata": {}, "code": 200},
    "requestReceivedTimestamp": "2026-01-01T00:00:00.000001Z",
    "stageTimestamp": "2026-01-01T00:00:00.000002Z",
}


def test_an_event_says_who_did_what(tmp_path: Path) -> None:
    """An impersonator counts as the one it plays."""
    path = tmp_path / "audit.log"
    played = {**LINE, "verb": "list", "impersonatedUser": {"username": "jane"}, "objectRef": {"resource": "pods"}}
    path.write_text(f"{json.dumps(LINE)}\n{json.dumps(played)}\n")
    log = AuditLog(path)
    first, second = log.read()
    assert (first.by, first.verb, first.resource) == ("admin", "patch", "gateways/status")
    assert (first.namespace, first.name, first.code) == ("default", "web", 200)
    assert (second.by, second.resource, second.name) == ("jane", "pods", "")
    assert list(log.writes()) == [first]


def test_a_pod_is_named_by_its_token(tmp_path: Path) -> None:
    """Replicas share a service account; only this tells one from another."""
    path = tmp_path / "audit.log"
    extra = {"authentication.kubernetes.io/pod-name": ["web-1"]}
    path.write_text(f"{json.dumps(LINE)}\n{json.dumps({**LINE, 'user': {'username': 'sa', 'extra': extra}})}\n")
    assert [event.pod for event in AuditLog(path).read()] == ["", "web-1"]


def test_reading_begins_at_the_mark_and_ends_before_half_a_line(tmp_path: Path) -> None:
    """The rest of that line is read when it is there."""
    path = tmp_path / "audit.log"
    log = AuditLog(path)
    assert list(log.read()) == []
    assert log.mark() == 0
    text = json.dumps(LINE)
    path.write_text(f"{text}\n")
    mark = log.mark()
    path.write_text(f"{text}\n{text[:50]}")
    assert list(log.read(mark)) == []
    path.write_text(f"{text}\n{text}\n")
    assert len(list(log.read(mark))) == 1
