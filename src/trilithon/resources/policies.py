"""Objects that give or shape consent: ReferenceGrant (gateway.networking.k8s.io v1 and v1beta1)."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct, field

from trilithon.resources.meta import Group, Key, Kind, NamespaceName, ObjectName, Spec


class ReferenceGrantFrom(Spec, kw_only=True):
    """Who may refer."""

    group: Group
    kind: Kind
    namespace: NamespaceName


class ReferenceGrantTo(Spec, kw_only=True):
    """What may be referred to; no name means every object of the kind."""

    group: Group
    kind: Kind
    name: ObjectName | None = None


class ReferenceGrantSpec(Spec, kw_only=True):
    """Consent of the namespace that the grant lives in."""

    from_: Annotated[tuple[ReferenceGrantFrom, ...], Meta(min_length=1, max_length=16)] = field(name="from")
    to: Annotated[tuple[ReferenceGrantTo, ...], Meta(min_length=1, max_length=16)]


class ReferenceGrant(Struct, frozen=True, gc=False):
    """Consent to references from other namespaces; it has no status and so no generation matters."""

    key: Key
    generation: int
    created: str
    spec: ReferenceGrantSpec
