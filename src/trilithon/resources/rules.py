"""Checks a typed part of a resource against the rules that span several fields, and names each breach with its path.

The rules are tables: per struct, and per field of a struct. This module walks a part, and goes only where a rule waits.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from msgspec import Struct, inspect

from trilithon.resources import rules_core, rules_filters, rules_gateway, rules_http, rules_parameters, rules_service
from trilithon.resources.documents import rendered
from trilithon.resources.rule import Rule
from trilithon.resources.wording import Finding

PART_RULES: Mapping[type[Struct], tuple[Rule, ...]] = {
    **rules_gateway.PART_RULES,
    **rules_http.PART_RULES,
    **rules_filters.PART_RULES,
    **rules_core.PART_RULES,
    **rules_service.PART_RULES,
    **rules_parameters.PART_RULES,
}
# By struct and the field's name as written in documents.
FIELD_RULES: Mapping[tuple[type[Struct], str], tuple[Rule, ...]] = {
    **rules_gateway.FIELD_RULES,
    **rules_http.FIELD_RULES,
    **rules_filters.FIELD_RULES,
    **rules_core.FIELD_RULES,
    **rules_service.FIELD_RULES,
    **rules_parameters.FIELD_RULES,
}

# Rules that only the experimental channel of the Gateway API has, and whose breach changes nothing that is done with an
# object: where the standard channel is installed, an API server stores it.
EXPERIMENTAL = frozenset({rules_http.rule_names_differ})


# Plain tuples, because this is gone through for every part of every object.
# (attribute, name in documents, rules of the field, plan of what is inside)
_Field = tuple[str, str, tuple[Rule, ...], Any]
# (rules of the struct itself, its fields with rules on them or inside)
_Plan = tuple[tuple[Rule, ...], tuple[_Field, ...]]


def check_part(part: Struct, prefix: str) -> list[Finding]:
    """Every rule that the part, or anything inside it, breaks; ``prefix`` is the part's path."""
    found: list[Finding] = []
    _check(part, _plan(type(part)), (), found)
    return [finding.under(prefix) for finding in found]


def check_stored(part: Struct, prefix: str) -> list[Finding]:
    """The same for the part of an object that an API server has stored: every rule that both channels have."""
    found: list[Finding] = []
    _check(part, _plan(type(part), EXPERIMENTAL), (), found)
    return [finding.under(prefix) for finding in found]


def check_field(owner: type[Struct], attribute: str, value: Any, prefix: str) -> list[Finding]:
    """The same for the value of one field of a struct; ``prefix`` is the field's path."""
    found: list[Finding] = []
    for field in _plan(owner)[1]:
        if field[0] == attribute and value:
            _check_field(value, field, (), found)
    return [finding.under(prefix) for finding in found]


@cache
def _plan(cls: type[Struct], without: frozenset[Rule] = frozenset()) -> _Plan:
    info = inspect.type_info(cls)
    if not isinstance(info, inspect.StructType):
        raise TypeError(f"{cls.__name__} is not a struct")
    fields = []
    for field in info.fields:
        rules = _but(FIELD_RULES.get((cls, field.encode_name), ()), without)
        inner = _struct_in(field.type)
        plan = _plan(inner, without) if inner else ((), ())
        if rules or any(plan):
            fields.append((field.name, field.encode_name, rules, plan if any(plan) else None))
    return _but(PART_RULES.get(cls, ()), without), tuple(fields)


def _but(rules: tuple[Rule, ...], without: frozenset[Rule]) -> tuple[Rule, ...]:
    return tuple(rule for rule in rules if rule not in without)


def _struct_in(kind: inspect.Type) -> type[Struct] | None:
    """The struct that a field holds, alone or in a list."""
    match kind:
        case inspect.StructType():
            return kind.cls
        case inspect.VarTupleType():
            return _struct_in(kind.item_type)
        case inspect.Metadata():
            return _struct_in(kind.type)
        case inspect.UnionType():
            return next(filter(None, map(_struct_in, kind.types)), None)
        case _:
            return None


def _check(part: Struct, plan: _Plan, path: tuple[Any, ...], found: list[Finding]) -> None:
    rules, fields = plan
    for rule in rules:
        breaches = rule(part)
        if breaches:
            found += [breach.under(rendered(path)) for breach in breaches]
    for field in fields:
        value = getattr(part, field[0])
        if value:
            _check_field(value, field, (path, field[1]), found)


def _check_field(value: Any, field: _Field, path: tuple[Any, ...], found: list[Finding]) -> None:
    _, _, rules, inner = field
    for rule in rules:
        breaches = rule(value)
        if breaches:
            found += [breach.under(rendered(path)) for breach in breaches]
    if inner is None:
        return
    if type(value) is not tuple:
        _check(value, inner, path, found)
        return
    for index, item in enumerate(value):
        _check(item, inner, (path, index), found)
