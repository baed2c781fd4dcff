"""Identity of objects and the references between them.

Every struct here and beside is frozen and compares by value, so that an unchanged object stops a change early
and a spec can be a dictionary key. Patterns and limits are those of the CRDs of Gateway API v1.6.1.
"""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple, dataclass_transform

from msgspec import Meta, Struct, field

GATEWAY_GROUP = "gateway.networking.k8s.io"
TRILITHON_GROUP = "trilithon.dev"

DNS_SUBDOMAIN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\Z"

# Each ``description`` completes the sentence "... is not <description>".
Group = Annotated[
    str,
    Meta(
        max_length=253,
        pattern=r"^\Z|" + DNS_SUBDOMAIN,
        description='an API group such as gateway.networking.k8s.io, or "" for the core group',
    ),
]
Kind = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=63,
        pattern=r"^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?\Z",
        description="a kind: letters, digits and inner dashes, the first a letter",
    ),
]
ObjectName = Annotated[str, Meta(min_length=1, max_length=253)]
NamespaceName = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=63,
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?\Z",
        description="a namespace name: lower-case letters, digits and inner dashes",
    ),
]
SectionName = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=253,
        pattern=DNS_SUBDOMAIN,
        description="a name of lower-case letters, digits, inner dashes and dots",
    ),
]
HIGHEST_PORT = 65535
PortNumber = Annotated[int, Meta(ge=1, le=HIGHEST_PORT)]
Hostname = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=253,
        pattern=r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\Z",
        description="a hostname in lower case without a port, such as shop.example.com or *.example.com",
    ),
]
PreciseHostname = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=253,
        pattern=DNS_SUBDOMAIN,
        description="a hostname in lower case without a port or wildcard, such as shop.example.com",
    ),
]
Duration = Annotated[
    str,
    Meta(
        pattern=r"^([0-9]{1,5}(h|m|s|ms)){1,4}\Z",
        description="a duration: one to four whole numbers with a unit, such as 15s, 200ms or 1h30m",
    ),
]
HeaderName = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=256,
        pattern=r"^[A-Za-z0-9!#$%&'*+\-.^_\x60|~]+\Z",
        description="a header name: letters, digits and !#$%&'*+-.^_`|~",
    ),
]
HeaderValue = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=4096,
        # The CRD has "([\t ]?[!-~]+)*" with an optional blank: the same texts, but Python's engine would try every way
        # to split a long word. Here the blank is required, so there is one way only.
        pattern=r"^[!-~]+([\t ][!-~]+)*\Z",
        description="a header value: printable ASCII with single blanks between words and none at the ends",
    ),
]
# The API server reads integers of format int32 into 32 bits and all others into 64.
MAX_INT32 = 2**31 - 1
MAX_INT64 = 2**63 - 1
MIN_INT64 = -(2**63)


class Key(NamedTuple):
    """Names one object; cluster-scoped kinds have the namespace ""."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.path}"

    @property
    def path(self) -> str:
        """``namespace/name``, or the name alone for a cluster-scoped object."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


# Tells type checkers what msgspec does when it runs: who inherits from a frozen struct is frozen too.
@dataclass_transform(frozen_default=True, field_specifiers=(field,))
class Part(Struct, frozen=True, gc=False, rename="camel", omit_defaults=True):
    """Base of every part of a resource that is kept only in part: camelCase on the wire, snake_case here."""


class Spec(Part, forbid_unknown_fields=True):
    """Base of every part of a spec that is kept whole, so that an unknown field is noticed."""


class LabelSelectorRequirement(Spec, kw_only=True):
    """One expression of a label selector; the operator is free text because the CRDs do not constrain it."""

    key: str
    operator: str
    values: tuple[str, ...] = ()


class LabelSelector(Spec, kw_only=True):
    """A Kubernetes label selector."""

    match_labels: dict[str, str] | None = None
    match_expressions: tuple[LabelSelectorRequirement, ...] = ()


class ParentReference(Spec, kw_only=True):
    """Names the Gateway (or another parent) a route wants to attach to."""

    group: Group = GATEWAY_GROUP
    kind: Kind = "Gateway"
    namespace: NamespaceName | None = None
    name: ObjectName
    section_name: SectionName | None = None
    port: PortNumber | None = None


class BackendObjectReference(Spec, kw_only=True):
    """Names a backend, without weight or filters."""

    group: Group = ""
    kind: Kind = "Service"
    name: ObjectName
    namespace: NamespaceName | None = None
    port: PortNumber | None = None


class SecretObjectReference(Spec, kw_only=True):
    """Names a Secret (or another kind that holds a certificate)."""

    group: Group = ""
    kind: Kind = "Secret"
    name: ObjectName
    namespace: NamespaceName | None = None


class ObjectReference(Spec, kw_only=True):
    """Names any object, possibly in another namespace."""

    group: Group
    kind: Kind
    name: ObjectName
    namespace: NamespaceName | None = None


class LocalObjectReference(Spec, kw_only=True):
    """Names any object in the same namespace."""

    group: Group
    kind: Kind
    name: ObjectName


class RouteGroupKind(Spec, kw_only=True):
    """A kind of route, as listeners list them."""

    group: Group = GATEWAY_GROUP
    kind: Kind


FromNamespaces = Literal["All", "Selector", "Same"]
