"""Write the definitions of our own kinds for an API server (CustomResourceDefinition), from the types that decode them.

Limits, patterns and choices come from the types. The rules between fields are functions here and CEL there, which
nothing can translate: each struct's are written below, and a test has an API server and the functions agree.
"""

from __future__ import annotations

import inspect as python_inspect
from collections.abc import Mapping
from typing import Any, get_type_hints

from msgspec import NODEFAULT, Struct, inspect

from trilithon.resources import core, parameters
from trilithon.resources.kinds import KINDS, Kind
from trilithon.resources.meta import DNS_SUBDOMAIN, TRILITHON_GROUP
from trilithon.resources.says import Says

Json = dict[str, Any]

PLURALS: Mapping[str, str] = {"Backend": "backends", "GatewayParameters": "gatewayparameters"}
# Within a text of CEL a backslash is written twice.
_DOMAIN = DNS_SUBDOMAIN.replace(r"\Z", "$").replace("\\", "\\\\")
_KEY_DOMAIN = _DOMAIN.removeprefix("^").removesuffix("$")
_KEY = f"^({_KEY_DOMAIN}/)?([A-Za-z0-9][-A-Za-z0-9_.]{{0,61}})?[A-Za-z0-9]$"
_OUTSIDE = "has(self.externalTrafficPolicy) || has(self.loadBalancerClass)"
_NODE_PORTS = "has(self.nodePorts) && size(self.nodePorts) > 0"


def _within(name: str) -> str:
    has = f"has(self.requests) && has(self.requests.{name}) && has(self.limits) && has(self.limits.{name})"
    compared = f"quantity(self.requests.{name}).compareTo(quantity(self.limits.{name})) <= 0"
    return f"!({has}) || {compared}"


# (CEL, message) by struct.
_OF_STRUCT: Mapping[type[Struct], tuple[tuple[str, str], ...]] = {
    core.BackendEndpoint: (
        (
            "(has(self.ip) ? 1 : 0) + (has(self.hostname) ? 1 : 0) + (has(self.unix) ? 1 : 0) == 1",
            "an endpoint needs exactly one of ip, hostname and unix",
        ),
    ),
    core.IPEndpoint: (("isIP(self.address)", "address is not an IP address"),),
    core.HostnameEndpoint: (
        (
            f"!isIP(self.hostname) && self.hostname.matches('{_DOMAIN}')",
            "hostname is not a DNS name in lower case",
        ),
    ),
    core.UnixEndpoint: (
        ("size(bytes(self.path)) <= 107", "a socket's path can have 107 bytes"),
        ("!self.path.contains('\\u0000')", "a socket's path cannot hold a zero byte"),
    ),
    parameters.GatewayParametersSpec: (
        ("!(has(self.replicas) && has(self.autoscaling))", "replicas and autoscaling exclude each other"),
    ),
    parameters.Autoscaling: (("self.minReplicas <= self.maxReplicas", "minReplicas is greater than maxReplicas"),),
    parameters.Resources: (
        (_within("cpu"), "the request of cpu is above its limit"),
        (_within("memory"), "the request of memory is above its limit"),
    ),
    parameters.ServiceParameters: (
        (
            f"!has(self.type) || self.type != 'ClusterIP' || !({_OUTSIDE} || ({_NODE_PORTS}))",
            "a Service of type ClusterIP has neither externalTrafficPolicy nor loadBalancerClass nor nodePorts",
        ),
    ),
}
# The same by struct and field, as written.
_OF_FIELD: Mapping[tuple[type[Struct], str], tuple[tuple[str, str], ...]] = {
    (core.BackendSpec, "endpoints"): (
        (
            "!(self.exists(e, has(e.unix)) && self.exists(e, has(e.hostname)))",
            "a Backend with a hostname cannot have unix sockets, because its endpoints are all resolved by DNS",
        ),
    ),
    (parameters.ServiceParameters, "annotations"): (
        (
            f"self.all(key, key.split('/')[0].size() < 253 && key.matches('{_KEY}'))",
            "a key is a name of at most 63 letters, digits, - _ . after an optional domain and /",
        ),
    ),
    (parameters.ServiceParameters, "nodePorts"): (
        ("self.all(a, self.exists_one(b, b.nodePort == a.nodePort))", "a node port leads to one port"),
    ),
}
# Lists whose entries differ in a field.
_LIST_KEYS: Mapping[tuple[type[Struct], str], str] = {(parameters.ServiceParameters, "nodePorts"): "port"}


def definitions() -> tuple[Json, ...]:
    """The definition of each kind of ours, in order."""
    return tuple(_definition(kind) for kind in KINDS if kind.group == TRILITHON_GROUP)


def _definition(kind: Kind) -> Json:
    plural = PLURALS[kind.name]
    about = python_inspect.getdoc(kind.part) or ""
    schema = {
        "type": "object",
        "description": about,
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": _schema(inspect.type_info(kind.part)),
        },
    }
    names = {"kind": kind.name, "listKind": f"{kind.name}List", "plural": plural, "singular": kind.name.lower()}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{kind.group}"},
        "spec": {
            "group": kind.group,
            "names": names,
            "scope": "Namespaced",
            "versions": [
                {"name": version, "served": True, "storage": place == 0, "schema": {"openAPIV3Schema": schema}}
                for place, version in enumerate(kind.versions)
            ],
        },
    }


def _schema(kind: inspect.Type) -> Json:
    match kind:
        case inspect.Metadata():
            return _schema(kind.type)
        case inspect.UnionType():
            return _union(kind)
        case inspect.StructType():
            return _struct(kind)
        case inspect.VarTupleType():
            items = {"type": "array", "items": _schema(kind.item_type)}
            return {**items, **_bounds(kind, "minItems", "maxItems")}
        case inspect.DictType():
            entries = {"type": "object", "additionalProperties": _schema(kind.value_type)}
            return {**entries, **_bounds(kind, "minProperties", "maxProperties")}
        case inspect.StrType():
            return {"type": "string", **_bounds(kind, "minLength", "maxLength"), **_pattern(kind)}
        case inspect.IntType():
            return {"type": "integer", "minimum": kind.ge, "maximum": kind.le}
        case inspect.BoolType():
            return {"type": "boolean"}
        case inspect.LiteralType():
            return {"type": "string", "enum": sorted(map(str, kind.values))}
        case _:
            raise TypeError(f"no schema for {type(kind).__name__}")


def _union(kind: inspect.UnionType) -> Json:
    """``X | None``, where an absent field is the only None."""
    (only,) = (each for each in kind.types if not isinstance(each, inspect.NoneType))
    return _schema(only)


def _struct(kind: inspect.StructType) -> Json:
    says = _says(kind.cls)
    properties: Json = {}
    for field in kind.fields:
        schema = _schema(field.type)
        if field.name in says:
            schema["description"] = says[field.name]
        if field.default is not NODEFAULT and isinstance(field.default, (str, int)):
            schema["default"] = field.default
        where = (kind.cls, field.encode_name)
        if key := _LIST_KEYS.get(where):
            schema.update({"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]})
        properties[field.encode_name] = _with_rules(schema, _OF_FIELD.get(where, ()))
    found: Json = {"type": "object", "description": python_inspect.getdoc(kind.cls), "properties": properties}
    if required := [field.encode_name for field in kind.fields if field.required]:
        found["required"] = required
    return _with_rules(found, _OF_STRUCT.get(kind.cls, ()))


def _with_rules(schema: Json, rules: tuple[tuple[str, str], ...]) -> Json:
    if not rules:
        return schema
    return {**schema, "x-kubernetes-validations": [{"rule": rule, "message": message} for rule, message in rules]}


def _bounds(kind: inspect.StrType | inspect.VarTupleType | inspect.DictType, low: str, high: str) -> Json:
    found = {low: kind.min_length, high: kind.max_length}
    return {name: value for name, value in found.items() if value is not None}


def _pattern(kind: inspect.StrType) -> Json:
    # The end of a text is \Z in Python and $ in RE2.
    return {} if kind.pattern is None else {"pattern": kind.pattern.replace(r"\Z", "$")}


def _says(cls: type[Struct]) -> dict[str, str]:
    """The descriptions of a struct's fields."""
    found = {}
    for name, hint in get_type_hints(cls, include_extras=True).items():
        for note in getattr(hint, "__metadata__", ()):
            if isinstance(note, Says):
                found[name] = note.text
    return found
