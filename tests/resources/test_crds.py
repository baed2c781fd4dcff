"""The structs say what the CRDs of Gateway API say: properties, defaults, enums, patterns, limits, required, rules.

A new field, limit or rule upstream fails here by name.
"""

from __future__ import annotations

import functools
import inspect as python_inspect
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st
from msgspec import NODEFAULT, inspect

from tests.resources.upstream import schema
from trilithon.resources import rules_filters, rules_gateway, rules_http
from trilithon.resources.gateways import GatewayClassSpec, GatewaySpec
from trilithon.resources.meta import MAX_INT32, MAX_INT64, MIN_INT64
from trilithon.resources.policies import ReferenceGrantSpec
from trilithon.resources.routes import HTTPRouteSpec
from trilithon.resources.rule import Unique, UniqueBy
from trilithon.resources.rules import FIELD_RULES, PART_RULES

KINDS: dict[str, type[msgspec.Struct]] = {
    "gatewayclasses": GatewayClassSpec,
    "gateways": GatewaySpec,
    "httproutes": HTTPRouteSpec,
    "referencegrants": ReferenceGrantSpec,
}
# Ours has no optional blank inside the repetition; test_patterns_take_the_same_texts shows that both are the same.
SAME_PATTERN = {r"^[!-~]+([\t ]?[!-~]+)*$": r"^[!-~]+([\t ][!-~]+)*\Z"}
# About two versions of one object, so that no document can break it.
TRANSITION_RULES = {"Value is immutable"}
# The experimental channel tells references to one parent apart by port as well; that is what is implemented.
REPLACED_IN_EXPERIMENTAL = {
    "sectionName must be specified when parentRefs includes 2 or more references to the same parent",
    "sectionName must be unique when parentRefs includes 2 or more references to the same parent",
}
UNDERSTOOD = {
    *("type", "description", "properties", "items", "additionalProperties", "required", "default", "enum", "pattern"),
    *("format", "minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum", "maxProperties", "oneOf"),
    *("x-kubernetes-validations", "x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-map-type"),
}
CASES = [
    (channel, plural, version)
    for channel in ("experimental", "standard")
    for plural in KINDS
    for version in ("v1", "v1beta1")
]


class Walk:
    """Goes over a schema and a type together; collects where they differ, and the rules that it accounts for."""

    def __init__(self, channel: str) -> None:
        self.exact = channel == "experimental"
        self.differences: list[str] = []
        self.used: set[int] = set()

    def same(self, path: str, what: str, theirs: object, ours: object) -> None:
        if theirs != ours:
            self.differences.append(f"{path}: {what} is {theirs!r} in the CRD and {ours!r} here")

    def value(self, crd: dict[str, Any], kind: inspect.Type, path: str) -> None:
        self.same(path, "unknown keywords", set(), set(crd) - UNDERSTOOD)
        if isinstance(kind, inspect.UnionType):
            kinds = [entry for entry in kind.types if not isinstance(entry, inspect.NoneType)]
            choices = [value for entry in kinds if isinstance(entry, inspect.LiteralType) for value in entry.values]
            kind = inspect.LiteralType(tuple(choices)) if choices else kinds[0]
        if isinstance(kind, inspect.Metadata):
            kind = kind.type
        match kind:
            case inspect.StructType():
                self.same(path, "type", crd["type"], "object")
                self.struct(crd, kind, path)
            case inspect.VarTupleType():
                self.same(path, "type", crd["type"], "array")
                self.same(path, "minItems", crd.get("minItems"), kind.min_length)
                self.same(path, "maxItems", crd.get("maxItems"), kind.max_length)
                self.value(crd["items"], kind.item_type, f"{path}[]")
            case inspect.DictType():
                self.same(path, "maxProperties", crd.get("maxProperties"), kind.max_length)
                self.value(crd["additionalProperties"], kind.value_type, f"{path}{{}}")
            case _:
                self.scalar(crd, kind, path)

    def scalar(self, crd: dict[str, Any], kind: inspect.Type, path: str) -> None:
        match kind:
            case inspect.StrType():
                self.same(path, "type", crd["type"], "string")
                self.text(crd, kind, path)
            case inspect.IntType():
                self.same(path, "type", crd["type"], "integer")
                low, high = (-MAX_INT32 - 1, MAX_INT32) if crd.get("format") == "int32" else (MIN_INT64, MAX_INT64)
                if path.endswith(".codes[]"):
                    low, high = kind.ge or 0, kind.le or 0
                self.same(path, "minimum", crd.get("minimum", low), kind.ge)
                self.same(path, "maximum", crd.get("maximum", high), kind.le)
            case inspect.LiteralType():
                theirs = set(crd.get("enum", ()))
                self.same(path, "enum", theirs, set(kind.values) if self.exact else set(kind.values) & theirs)
            case inspect.BoolType():
                self.same(path, "type", crd["type"], "boolean")
            case _:
                self.differences.append(f"{path}: no comparison for {kind}")

    def text(self, crd: dict[str, Any], kind: inspect.StrType, path: str) -> None:
        self.same(path, "minLength", crd.get("minLength") or None, kind.min_length)
        self.same(path, "maxLength", crd.get("maxLength"), kind.max_length)
        self.same(path, "enum", None, crd.get("enum"))
        if "pattern" in crd or self.exact:
            theirs = crd.get("pattern")
            expected = SAME_PATTERN.get(theirs, theirs.replace("$", r"\Z")) if theirs else None
            # A dollar sign inside brackets is a character.
            expected = re.sub(r"\[[^]]*\]", lambda found: found[0].replace(r"\Z", "$"), expected) if expected else None
            self.same(path, "pattern", expected, kind.pattern)

    def struct(self, crd: dict[str, Any], kind: inspect.StructType, path: str) -> None:
        theirs, ours = crd["properties"], {field.encode_name: field for field in kind.fields}
        self.same(path, "missing properties", set(), set(theirs) - set(ours))
        if self.exact:
            self.same(path, "properties of ours alone", set(), set(ours) - set(theirs))
        self.rules(crd, PART_RULES.get(kind.cls, ()), path)
        for name, field in ours.items():
            if name not in theirs:
                continue
            at = f"{path}.{name}"
            self.same(at, "required", name in crd.get("required", ()), field.required)
            self.default(theirs[name], kind.cls, field, at)
            rules = FIELD_RULES.get((kind.cls, name), ())
            self.value(theirs[name], field.type, at)
            if not isinstance(strip(field.type), inspect.StructType):
                self.rules(theirs[name], rules, at)
            self.list_type(theirs[name], rules, at)
            item = strip(field.type)
            if isinstance(item, inspect.VarTupleType) and not isinstance(strip(item.item_type), inspect.StructType):
                self.rules(theirs[name]["items"], (), f"{at}[]")

    def default(self, crd: dict[str, Any], cls: type[msgspec.Struct], field: inspect.Field, path: str) -> None:
        if field.required:
            self.same(path, "default", None, crd.get("default"))
            return
        assert field.default is not NODEFAULT
        if "default" in crd:
            empty = {entry.name: None for entry in msgspec.structs.fields(cls)}
            theirs = msgspec.convert(
                {field.encode_name: crd["default"]},
                msgspec.defstruct(
                    "Alone",
                    [(field.name, msgspec.structs.fields(cls)[list(empty).index(field.name)].type)],
                    rename={field.name: field.encode_name},
                ),
            )
            self.same(path, "default", getattr(theirs, field.name), field.default)
        elif field.default not in (None, ()):
            self.differences.append(f"{path}: the CRD has no default, and here it is {field.default!r}")

    def list_type(self, crd: dict[str, Any], rules: tuple[Any, ...], path: str) -> None:
        kind = crd.get("x-kubernetes-list-type")
        maps = [rule for rule in rules if isinstance(rule, UniqueBy)]
        sets = [rule for rule in rules if isinstance(rule, Unique)]
        keys = crd["x-kubernetes-list-map-keys"] if kind == "map" else []
        self.same(path, "list map keys", keys, [rule.field for rule in maps])
        self.same(path, "sets", 1 if kind == "set" else 0, len(sets))
        self.used |= {id(rule) for rule in (*maps, *sets)}

    def rules(self, crd: dict[str, Any], rules: tuple[Any, ...], path: str) -> None:
        if "oneOf" in crd:
            self.same(path, "oneOf", True, rules_gateway.address_is_an_ip in rules)
            self.used.add(id(rules_gateway.address_is_an_ip))
        for entry in crd.get("x-kubernetes-validations", ()):
            message = " ".join(entry["message"].split())
            if message in TRANSITION_RULES or (not self.exact and message in REPLACED_IN_EXPERIMENTAL):
                continue
            found = [rule for rule in rules if re.search(template(rule), message)]
            if len(found) != 1 and not message.startswith("type must be one of"):
                self.differences.append(f"{path}: {len(found)} rules for {message!r}")
            self.used |= {id(rule) for rule in found}


def template(rule: object) -> str:
    """What a rule's docstring says of the CRD's messages, as a pattern: one sentence may stand for several messages."""
    told = python_inspect.getdoc(rule if python_inspect.isfunction(rule) else type(rule)) or ""
    if type(rule) in (Unique, UniqueBy):
        return r"(?!)"
    sentences = re.split(r"(?<=[^.])\.(?:\s+(?=[A-Za-z])|$)", " ".join(told.split()))
    patterns = [re.sub(r"\\\{\w+\\\}", ".+?", re.escape(sentence)) for sentence in sentences if sentence]
    return "|".join(rf"^{pattern}\.?$" for pattern in patterns)


def strip(kind: inspect.Type) -> inspect.Type:
    if isinstance(kind, inspect.Metadata):
        return strip(kind.type)
    if isinstance(kind, inspect.UnionType):
        return strip(next(entry for entry in kind.types if not isinstance(entry, inspect.NoneType)))
    return kind


@pytest.mark.parametrize(("channel", "plural", "version"), CASES)
def test_structs_say_what_the_crd_says(channel: str, plural: str, version: str) -> None:
    walk = Walk(channel)
    walk.value(schema(channel, plural, version)["properties"]["spec"], inspect.type_info(KINDS[plural]), "spec")
    assert walk.differences == []


@pytest.mark.parametrize(("channel", "plural", "version"), CASES)
def test_a_spec_is_required(channel: str, plural: str, version: str) -> None:
    assert schema(channel, plural, version)["required"] == ["spec"]


def test_every_rule_is_one_of_the_crds() -> None:
    walk = Walk("experimental")
    for plural, cls in KINDS.items():
        walk.value(schema("experimental", plural)["properties"]["spec"], inspect.type_info(cls), "spec")
    ours = {
        id(rule): rule
        for module in (rules_gateway, rules_http, rules_filters)
        for table in (module.PART_RULES, module.FIELD_RULES)
        for rules in table.values()
        for rule in rules
    }
    assert [rule for mark, rule in ours.items() if mark not in walk.used] == []


def patterns(crd: Any) -> Iterator[str]:
    if isinstance(crd, dict):
        if isinstance(crd.get("pattern"), str):
            yield crd["pattern"]
        for value in crd.values():
            yield from patterns(value)


@functools.cache
def all_patterns() -> frozenset[str]:
    return frozenset(pattern for plural in KINDS for pattern in patterns(schema("experimental", plural)))


def ours_of(pattern: str) -> str:
    ours = SAME_PATTERN.get(pattern, pattern.replace("$", r"\Z"))
    return re.sub(r"\[[^]]*\]", lambda found: found[0].replace(r"\Z", "$"), ours)


TEXTS = st.text(st.sampled_from("aZ09-._/*:$%&+ \t\n~!é\x00msh"), max_size=12)


@given(data=st.data())
def test_patterns_take_the_same_texts(data: st.DataObject) -> None:
    for pattern in sorted(all_patterns()):
        text = data.draw(st.from_regex(ours_of(pattern)) | TEXTS)
        ours, theirs = re.search(ours_of(pattern), text), re2.search(pattern, text)
        assert (ours is None) == (theirs is None), (pattern, text)
