"""The only door across namespaces: every reference to an object of another namespace asks here (ReferenceGrant)."""

from __future__ import annotations

from collections.abc import Iterable

from trilithon.incremental import Index, Read
from trilithon.model.tables import GRANTS
from trilithon.resources.meta import GATEWAY_GROUP, Key
from trilithon.resources.policies import ReferenceGrant


def _namespace_of(grant: ReferenceGrant) -> Iterable[str]:
    return (grant.key.namespace,)


# A grant lives in the namespace that consents.
GRANTS_IN: Index[str, Key, ReferenceGrant] = Index("grants by namespace", GRANTS, _namespace_of)


def permitted(  # noqa: PLR0913 - a reference has two ends, and names keep them apart
    read: Read,
    *,
    from_kind: str,
    from_namespace: str,
    to_group: str,
    to_kind: str,
    to_namespace: str,
    to_name: str,
    from_group: str = GATEWAY_GROUP,
) -> bool:
    """Whether an object may refer to another: always within a namespace, else only with a grant in the target's.

    It does not look whether the target exists, so that a refusal tells nothing about another namespace.
    """
    if from_namespace == to_namespace:
        return True
    return any(
        any((f.group, f.kind, f.namespace) == (from_group, from_kind, from_namespace) for f in grant.spec.from_)
        # "When unspecified, this policy refers to all resources of the specified Group and Kind" (To.name).
        and any((t.group, t.kind) == (to_group, to_kind) and t.name in (None, "", to_name) for t in grant.spec.to)
        for grant in read.group(GRANTS_IN, to_namespace)
    )
