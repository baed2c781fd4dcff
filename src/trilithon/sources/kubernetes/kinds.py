"""Which kinds are watched in a cluster, and how much of each.

Everything the pipeline takes is watched, so a new kind needs no line here. Of Secrets and ConfigMaps, which may be
large, many and none of our business, only the metadata is watched; those that somebody names are then read one by one.
"""

from __future__ import annotations

from msgspec import Struct

from trilithon.kube.discovery import KindWanted
from trilithon.kube.objects import ApiKind
from trilithon.kube.watch_state import Selection
from trilithon.pipeline import SOURCES
from trilithon.resources.kinds import KINDS, Kind
from trilithon.resources.meta import GATEWAY_GROUP
from trilithon.resources.references import NAMED_KINDS

CRD = KindWanted("apiextensions.k8s.io", "CustomResourceDefinition", ("v1",))
NAMED: dict[str, ApiKind] = {
    "Secret": ApiKind("", "v1", "Secret", "secrets"),
    "ConfigMap": ApiKind("", "v1", "ConfigMap", "configmaps"),
}
# What a GatewayClass names by its namespace, and is kept where the controller is installed.
OWN = "GatewayParameters"
# What permits something: where none of it is, nothing is permitted, however many there were.
_NEVER_HELD = frozenset({"Secret", "ReferenceGrant"})
# Without these the first state is complete: they say nothing of what is served.
_OPTIONAL = frozenset({CRD.kind})


class Scope(Struct, frozen=True, kw_only=True):
    """Which namespaces count: those named (all, if there are none) whose labels a selector takes, if there is one.

    The selector is written as for kubectl. Objects without a namespace always count, and so do the GatewayParameters in
    ``own_namespace``, where the controller is installed. ``without`` are watches, by what they are called, that
    somebody who only looks does without.
    """

    namespaces: tuple[str, ...] = ()
    namespace_selector: str = ""
    own_namespace: str = ""
    without: frozenset[str] = frozenset()


class WatchedKind(Struct, frozen=True):
    """One watch: a kind, in one namespace or in all ("")."""

    wanted: KindWanted
    selection: Selection
    kind: Kind | None = None

    def __str__(self) -> str:
        name = str(self.wanted)
        return f"{name} in {self.selection.namespace}" if self.selection.namespace else name

    @property
    def name(self) -> str:
        """The kind's name."""
        return self.wanted.kind

    @property
    def is_named_only(self) -> bool:
        """Whether an object matters only if another names it."""
        return self.name in NAMED_KINDS

    @property
    def is_custom(self) -> bool:
        """Whether a definition makes the kind, which may be removed; those of Kubernetes itself are always there."""
        return self.kind is not None and self.kind.is_custom

    @property
    def is_never_held(self) -> bool:
        """Whether its objects go at once, also where many do: no certificate and no consent outlives its object.

        Where a selector says which namespaces count, a label of a Namespace is consent.
        """
        return self.name in _NEVER_HELD or bool(self.selection.labels)

    @property
    def is_optional(self) -> bool:
        """Whether the first state can do without it."""
        return self.name in _OPTIONAL

    @property
    def has_our_status(self) -> bool:
        """Whether its status, where it has any, is partly ours to write."""
        return self.wanted.group == GATEWAY_GROUP


def watched(scope: Scope) -> tuple[WatchedKind, ...]:
    """Every watch that a scope needs."""
    found = [WatchedKind(CRD, Selection(is_metadata_only=True))]
    for kind in (each for each in KINDS if each.name in SOURCES):
        wanted = KindWanted(kind.group, kind.name, kind.versions)
        found += [WatchedKind(wanted, selection, kind) for selection in _selections(kind, scope)]
    return tuple(each for each in found if str(each) not in scope.without)


def _selections(kind: Kind, scope: Scope) -> list[Selection]:
    names = tuple(dict.fromkeys(scope.namespaces))
    if kind.name == "Namespace":
        # One by one: with rights to some namespaces nobody may list all.
        found = [Selection(fields=f"metadata.name={name}", labels=scope.namespace_selector) for name in names]
        return found or [Selection(labels=scope.namespace_selector)]
    is_named_only = kind.name in NAMED_KINDS
    if not kind.namespaced or not names:
        return [Selection(is_metadata_only=is_named_only)]
    if kind.name == OWN and scope.own_namespace and scope.own_namespace not in names:
        names = (*names, scope.own_namespace)
    return [Selection(namespace=name, is_metadata_only=is_named_only) for name in names]
