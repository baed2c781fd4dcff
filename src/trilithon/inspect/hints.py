"""Say what helps against a problem, by looking over everything that is there.

Translation reads nothing for the sake of a hint: what it does not need must not wake it. Here the engine has settled,
and one may look around: for the same name in another namespace, for a name that differs by a letter, for a grant.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Any

from msgspec.structs import replace

from trilithon.incremental import Engine
from trilithon.model.tables import CLASSES, GATEWAYS, GRANTS, LISTENERS, NAMESPACES
from trilithon.pipeline import SOURCES
from trilithon.resources.meta import GATEWAY_GROUP, TRILITHON_GROUP, Key
from trilithon.resources.policies import ReferenceGrant
from trilithon.resources.problem import Problem
from trilithon.status.class_ import CLASS_STATUS

# More names than this are no help.
MOST_NAMES = 6

_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")
_GROUP_OF_KIND = {"Service": "", "Secret": "", "ConfigMap": "", "Backend": TRILITHON_GROUP}

Hint = Callable[[Engine, Problem], str]


def with_hint(engine: Engine, problem: Problem) -> Problem:
    """The problem with the best hint that the whole set of resources allows; its own hint where there is no better."""
    look = _HINTS.get(problem.code)
    found = look(engine, problem) if look is not None else ""
    return replace(problem, hint=found) if found else problem


def field_at(resource: Any, path: str) -> Any:
    """The value of a field of a resource by its path as in ``Problem.path``, or None where there is none."""
    value = resource
    for name, index in _STEP.findall(path):
        if index:
            value = value[int(index)] if isinstance(value, tuple) and int(index) < len(value) else None
        else:
            names = dict(
                zip(
                    getattr(value, "__struct_encode_fields__", ()), getattr(value, "__struct_fields__", ()), strict=True
                )
            )
            value = getattr(value, names[name]) if name in names else None
    return value


def resource_of(engine: Engine, key: Key | None) -> Any:
    """The resource under this key, or None."""
    table = SOURCES.get(key.kind) if key is not None else None
    return engine.row(table, key) if table is not None and key is not None else None


def no_endpoints(engine: Engine, backend: Key) -> str:
    """What helps where a backend has no endpoint that is ready."""
    if backend.kind != "Service":
        return ""
    slices = [row for row in engine.rows(SOURCES["EndpointSlice"]).values() if row.key.namespace == backend.namespace]
    if any(row.service == backend.name for row in slices):
        return f"the EndpointSlices of {backend} have no endpoint that is ready for this port"
    return (
        f"no EndpointSlice has the label kubernetes.io/service-name: {backend.name} in namespace {backend.namespace}; "
        f"outside a cluster a Backend (trilithon.dev/v1alpha1) names its endpoints itself"
    )


def _keys(engine: Engine, kind: str) -> list[Key]:
    return sorted(key for key in engine.rows(SOURCES[kind]) if key.kind == kind)


def _close(name: str, names: Iterable[str]) -> str:
    """The name meant by a misspelt one, or "": case, order and a letter or two may differ."""
    known = {each.lower(): each for each in names}
    letters = sorted(name.lower())
    found = [each for each in known if sorted(each) == letters] or get_close_matches(name.lower(), known, 1, 0.75)
    return known[found[0]] if found else ""


def _list(names: Iterable[str]) -> str:
    sorted_names = sorted(names)
    more = len(sorted_names) - MOST_NAMES
    return ", ".join(sorted_names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _grants_reference(grant: ReferenceGrant, route: Key, target: Key) -> bool:
    return any(
        (each.group, each.kind, each.namespace) == (GATEWAY_GROUP, route.kind, route.namespace)
        for each in grant.spec.from_
    ) and any(
        (each.group, each.kind) == (_GROUP_OF_KIND.get(target.kind, ""), target.kind)
        and each.name in (None, "", target.name)
        for each in grant.spec.to
    )


def _elsewhere(engine: Engine, user: Key, missing: Key, word: str) -> str:
    """The same name in another namespace, and whether consent is there; "" when it is nowhere."""
    found = [key for key in _keys(engine, missing.kind) if key.name == missing.name]
    if not found:
        return ""
    for key in found:
        if any(
            grant.key.namespace == key.namespace and _grants_reference(grant, user, key)
            for grant in engine.rows(GRANTS).values()
        ):
            return (
                f'a {key.kind} "{key.name}" exists in namespace {key.namespace}, and a ReferenceGrant there lets this '
                f"{word} use it: add namespace: {key.namespace}"
            )
    key = found[0]
    more = f" (and in {_list(each.namespace for each in found[1:])})" if found[1:] else ""
    return (
        f'a {key.kind} "{key.name}" exists in namespace {key.namespace}{more}; a ReferenceGrant there would let this '
        f"{word} use it, with namespace: {key.namespace}"
    )


def _missing(engine: Engine, user: Key, missing: Key, word: str) -> str:
    """A hint for a reference to an object that does not exist: a misspelling, another kind, another namespace."""
    names = [key.name for key in _keys(engine, missing.kind) if key.namespace == missing.namespace]
    if meant := _close(missing.name, names):
        return f'did you mean "{meant}"?'
    other = {"Service": "Backend", "Backend": "Service"}.get(missing.kind)
    if other is not None and resource_of(engine, Key(other, missing.namespace, missing.name)) is not None:
        group = _GROUP_OF_KIND[other]
        return f'a {other} has that name: write group: "{group}" and kind: {other}'
    if elsewhere := _elsewhere(engine, user, missing, word):
        return elsewhere
    if names:
        return f"the {missing.kind}s of namespace {missing.namespace} are: {_list(names)}"
    return f"namespace {missing.namespace} has no {missing.kind}"


def _target(engine: Engine, problem: Problem, kind: str) -> Key | None:
    """The object that the reference at the problem's path names."""
    ref = field_at(resource_of(engine, problem.key), problem.path)
    if problem.key is None or not hasattr(ref, "name"):
        return None
    return Key(getattr(ref, "kind", kind), getattr(ref, "namespace", None) or problem.key.namespace, ref.name)


def _backend_not_found(engine: Engine, problem: Problem) -> str:
    target = _target(engine, problem, "Service")
    if target is None or problem.key is None or target.kind not in SOURCES:
        return ""
    return _missing(engine, problem.key, target, "route")


def _certificate_not_found(engine: Engine, problem: Problem) -> str:
    target = _target(engine, problem, "Secret")
    if target is None or problem.key is None:
        return ""
    return _missing(engine, problem.key, target, "Gateway")


def _not_permitted(engine: Engine, problem: Problem) -> str:
    target = _target(engine, problem, "Service")
    user = problem.key
    if target is None or user is None:
        return ""
    hint = (
        f"create a ReferenceGrant in namespace {target.namespace} with from: {user.kind} of namespace "
        f"{user.namespace}, to: {target.kind} {target.name}"
    )
    there = [grant.key.name for grant in engine.rows(GRANTS).values() if grant.key.namespace == target.namespace]
    if there:
        hint += f" (ReferenceGrant {_list(there)} is there, and does not cover it)"
    if resource_of(engine, target) is None:
        hint += f"; {target} does not exist either"
    return hint


def _parent_not_found(engine: Engine, problem: Problem) -> str:
    target = _target(engine, problem, "Gateway")
    if target is None:
        return ""
    keys = list(engine.rows(GATEWAYS))
    if meant := _close(target.name, [key.name for key in keys if key.namespace == target.namespace]):
        return f'did you mean "{meant}"?'
    for key in sorted(keys):
        if key.name == target.name:
            return f"a Gateway of that name is in namespace {key.namespace}: add namespace: {key.namespace}"
    return f"the Gateways are: {_list(key.path for key in keys)}" if keys else "there is no Gateway at all"


def _section_not_found(engine: Engine, problem: Problem) -> str:
    section = field_at(resource_of(engine, problem.key), problem.path)
    parent = _target(engine, replace(problem, path=problem.path.removesuffix(".sectionName")), "Gateway")
    listeners = engine.row(LISTENERS, parent) if parent is not None else None
    if listeners is None or not isinstance(section, str):
        return ""
    meant = _close(section, [item.key.name for item in listeners.items])
    return f'did you mean "{meant}"?' if meant else ""


def _class_not_found(engine: Engine, problem: Problem) -> str:
    name = field_at(resource_of(engine, problem.key), problem.path)
    # One that nothing here serves would be no better than one that is missing.
    names = [key.name for key in engine.rows(CLASSES) if engine.row(CLASS_STATUS, key) is not None]
    if not isinstance(name, str) or not names:
        return ""
    meant = _close(name, names)
    return f'did you mean "{meant}"?' if meant else f"the classes are: {_list(names)}"


def _namespace_not_allowed(engine: Engine, problem: Problem) -> str:
    user = problem.key
    parent = _target(engine, problem, "Gateway")
    listeners = engine.row(LISTENERS, parent) if parent is not None else None
    if user is None or listeners is None:
        return ""
    refusing = [item for item in listeners.items if f"listener {item.key.name} of" in problem.message]
    if not refusing:
        return ""
    listener = refusing[0]
    where = f"{listener.path}.allowedRoutes.namespaces of Gateway {listeners.gateway.path}"
    if listener.namespaces == "Selector" and listener.selector is not None:
        namespace = engine.row(NAMESPACES, Key("Namespace", "", user.namespace))
        labels = ", ".join(f"{name}={value}" for name, value in namespace.labels) if namespace is not None else ""
        return f"Namespace {user.namespace} has {f'the labels {labels}' if labels else 'no labels'}; see {where}"
    return f"write from: All, or from: Selector with a selector, in {where}"


def _no_common_hostname(engine: Engine, problem: Problem) -> str:
    hostnames = field_at(resource_of(engine, problem.key), "spec.hostnames")
    wanted = re.search(r"whose hostname is (\S+)", problem.message)
    if not hostnames or wanted is None:
        return ""
    suffix = wanted[1].removeprefix("*")
    for name in hostnames:
        if _close(name, [wanted[1], name.partition(".")[0] + suffix]):
            return f'did you mean "{name.partition(".")[0] + suffix if wanted[1].startswith("*") else wanted[1]}"?'
    return f"the route's hostnames are: {_list(hostnames)}"


_HINTS: dict[str, Hint] = {
    "BackendNotFound": _backend_not_found,
    "MirrorDropped": _backend_not_found,
    "CertificateNotFound": _certificate_not_found,
    "CertificateNotPermitted": _not_permitted,
    "RefNotPermitted": _not_permitted,
    "ParentNotFound": _parent_not_found,
    "SectionNotFound": _section_not_found,
    "ClassNotFound": _class_not_found,
    "NamespaceNotAllowed": _namespace_not_allowed,
    "NoCommonHostname": _no_common_hostname,
}
