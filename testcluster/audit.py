"""The API server's audit log: what it records, and reading it, for tests that ask who wrote what, and how often."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

WRITES: Final = frozenset({"create", "update", "patch", "delete", "deletecollection"})

POLICY: Final[dict[str, Any]] = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    # A request is recorded once, when its answer is known.
    "omitStages": ["RequestReceived", "ResponseStarted"],
    "rules": [
        # What the cluster's own parts read, and the API server itself, is of no interest to anybody.
        {"level": "None", "userGroups": ["system:masters"], "verbs": ["get", "list", "watch"]},
        {"level": "None", "users": ["system:apiserver"]},
        {"level": "None", "nonResourceURLs": ["/readyz*", "/livez*", "/healthz*", "/version*"]},
        {"level": "Metadata"},
    ],
}
"""Every write by anybody, and every request of service accounts and of other users without all rights."""


POD: Final = "authentication.kubernetes.io/pod-name"
"""Under which a token that was made for a pod names it."""
DECISION: Final = "authorization.k8s.io/decision"
"""The annotation that says what authorization came to."""


class _User(msgspec.Struct, frozen=True):
    username: str = ""
    extra: dict[str, tuple[str, ...]] = {}


class _Reference(msgspec.Struct, frozen=True):
    api_group: str = msgspec.field(name="apiGroup", default="")
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""


class _Answer(msgspec.Struct, frozen=True):
    code: int = 0


class AuditEvent(msgspec.Struct, frozen=True, rename="camel"):
    """A request that was answered."""

    verb: str
    request_uri: str = msgspec.field(name="requestURI")
    stage: str
    user: _User
    user_agent: str = ""
    received: str = msgspec.field(name="requestReceivedTimestamp", default="")
    """When, in RFC 3339 with microseconds, which sort as text."""
    target: _Reference = msgspec.field(name="objectRef", default=_Reference())
    answer: _Answer = msgspec.field(name="responseStatus", default=_Answer())
    impersonated: _User | None = msgspec.field(name="impersonatedUser", default=None)
    annotations: dict[str, str] = {}

    @property
    def by(self) -> str:
        """The user's name: a person's, ``cluster:PART``, or ``system:serviceaccount:NAMESPACE:NAME``."""
        return (self.impersonated or self.user).username

    @property
    def pod(self) -> str:
        """The name of the pod that asked, in whose namespace its service account is; empty for all who are no pod."""
        return next(iter(self.user.extra.get(POD, ())), "")

    @property
    def resource(self) -> str:
        """The plural name of what it was about, with the subresource, if any, after a slash."""
        return f"{self.target.resource}/{self.target.subresource}" if self.target.subresource else self.target.resource

    @property
    def namespace(self) -> str:
        """The object's namespace; empty for one of the cluster."""
        return self.target.namespace

    @property
    def name(self) -> str:
        """The object's name; empty for a collection."""
        return self.target.name

    @property
    def code(self) -> int:
        """The HTTP status of the answer."""
        return self.answer.code

    @property
    def is_forbidden(self) -> bool:
        """Whether the user had no right to it; admission answers by 403, too, of what it does not like."""
        return self.annotations.get(DECISION) == "forbid"

    @property
    def is_write(self) -> bool:
        """Whether it may have changed something."""
        return self.verb in WRITES


DECODER: Final = msgspec.json.Decoder(AuditEvent)


class AuditLog:
    """Reads the log from where it stood; what is written meanwhile is read too."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def mark(self) -> int:
        """A place in the log: its end, now."""
        try:
            return self._path.stat().st_size
        except FileNotFoundError:
            return 0

    def read(self, since: int = 0) -> Iterator[AuditEvent]:
        """The events after a mark, oldest first, up to the last that is complete."""
        try:
            file = self._path.open("rb")
        except FileNotFoundError:
            return
        with file:
            file.seek(since)
            for line in file:
                if line.endswith(b"\n"):
                    yield DECODER.decode(line)

    def writes(self, since: int = 0) -> Iterator[AuditEvent]:
        """Those of the events after a mark that may have changed something."""
        return (event for event in self.read(since) if event.is_write)
