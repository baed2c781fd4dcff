"""What of a cluster somebody with few rights may not list, and how it is looked at without.

Rights in a namespace alone, as an application's developer has them, say nothing of what belongs to the whole cluster.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from msgspec.structs import replace

from trilithon.resources.gateways import Gateway, GatewayClass, GatewayClassSpec
from trilithon.resources.meta import GATEWAY_GROUP, Key
from trilithon.resources.problem import Problem
from trilithon.resources.references import NAMED_KINDS
from trilithon.resources.routes import HTTPRoute
from trilithon.sources.kubernetes.kinds import CRD, OWN, Scope, watched
from trilithon.sources.kubernetes.trouble import ClusterProblem

_CLASS, _NAMESPACE = "GatewayClass", "Namespace"
# What is taken for true of each kind that can be done without.
_INSTEAD = {
    _CLASS: "every Gateway is taken for one of the controller {controller}",
    OWN: "classes are taken to name no parameters",
    "Secret": "certificates that you may not get are not judged",
    "ConfigMap": "those that you may not get are not judged",
}


def dispensable(scope: Scope) -> Mapping[str, str]:
    """The watches that can be done without, by what they are called, each with its kind.

    Namespaces are among them where they are named: then each can be read by itself.
    """
    kinds = {CRD.kind, _CLASS, *NAMED_KINDS}
    if scope.namespaces and not scope.namespace_selector:
        kinds.add(_NAMESPACE)
    found = {str(each): each.name for each in watched(scope) if each.name in kinds}
    if scope.namespaces and scope.own_namespace not in scope.namespaces:
        # Those in the namespaces that are read are their Gateways' own.
        own = (each for each in watched(scope) if each.selection.namespace == scope.own_namespace)
        found |= {str(each): each.name for each in own}
    return found


def refused_places(found: Iterable[ClusterProblem]) -> frozenset[str]:
    """What may not be listed, of the problems of kinds as a whole."""
    return frozenset(place for each in found if each.is_forbidden for place in each.places)


def told(lacking: Mapping[str, str], controller_name: str) -> Iterator[Problem]:
    """A warning for each watch that is done without, where anything depends on it."""
    for place, kind in sorted(lacking.items()):
        if kind in _INSTEAD:
            message = f"you may not list it, so {_INSTEAD[kind].format(controller=controller_name)}"
            yield Problem("NotRead", None, "", message, "", "warning", place)


def told_of_object(found: ClusterProblem) -> Problem:
    """An object that is named and may not be read, as a warning; any other problem as it is."""
    if found.problem.key is None or not found.is_forbidden:
        return found.problem
    return replace(found.problem, message="you may not get it, so what it holds is not judged", severity="warning")


def without_parameters(rows: Mapping[Key, Any], scope: Scope, kinds: Collection[str]) -> Mapping[Key, Any]:
    """The same rows; classes name no parameters beside the controller where those were not read."""
    if OWN not in kinds:
        return rows
    changed = {
        key: replace(row, spec=replace(row.spec, parameters_ref=None))
        for key, row in rows.items()
        if isinstance(row, GatewayClass)
        and row.spec.parameters_ref is not None
        and row.spec.parameters_ref.namespace == scope.own_namespace
    }
    return {**rows, **changed}


def assumed_classes(rows: Iterable[Any], kinds: Collection[str], controller_name: str) -> Mapping[Key, GatewayClass]:
    """The classes of all these Gateways, as of that controller, where classes were not read."""
    if _CLASS not in kinds:
        return {}
    names = {row.spec.gateway_class_name for row in rows if isinstance(row, Gateway)}
    keys = (Key(_CLASS, "", name) for name in sorted(names))
    return {key: GatewayClass(key, 1, "", GatewayClassSpec(controller_name=controller_name)) for key in keys}


def unread_parents(rows: Iterable[Any], namespaces: Collection[str]) -> Iterator[Problem]:
    """A warning for each Gateway of a namespace that is not read to which a route wants to attach."""
    for row in rows:
        if not isinstance(row, HTTPRoute):
            continue
        for index, ref in enumerate(row.spec.parent_refs):
            namespace = ref.namespace or row.key.namespace
            if (ref.group, ref.kind) == (GATEWAY_GROUP, "Gateway") and namespace not in namespaces:
                message = f"Gateway {namespace}/{ref.name} is not read, so it is not judged what the route does there"
                hint = f"--namespace {namespace} reads it, too, if you may"
                yield Problem("NotRead", row.key, f"spec.parentRefs[{index}]", message, hint, "warning")
