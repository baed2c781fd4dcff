"""Match Kubernetes label selectors against labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from trilithon.resources.meta import LabelSelector, LabelSelectorRequirement

# Operators of metav1.LabelSelectorRequirement: given the label's value (None where absent) and the listed values.
_OPERATORS: dict[str, Callable[[str | None, tuple[str, ...]], bool]] = {
    "In": lambda value, listed: value is not None and value in listed,
    # An absent label is not in any list, and so matches (labels.Requirement.Matches).
    "NotIn": lambda value, listed: value is None or value not in listed,
    "Exists": lambda value, listed: value is not None,
    "DoesNotExist": lambda value, listed: value is None,
}
_WITH_VALUES = ("In", "NotIn")


def malformed(selector: LabelSelector) -> str | None:
    """What is wrong with a selector, or None."""
    for requirement in selector.match_expressions:
        if requirement.operator not in _OPERATORS:
            return f"operator {requirement.operator!r} is none of {', '.join(_OPERATORS)}"
        if requirement.operator in _WITH_VALUES and not requirement.values:
            return f"operator {requirement.operator} needs values"
        if requirement.operator not in _WITH_VALUES and requirement.values:
            return f"operator {requirement.operator} takes no values"
    return None


def selects(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """Whether a well-formed selector selects these labels; an empty one selects everything."""
    return all(labels.get(name) == value for name, value in (selector.match_labels or {}).items()) and all(
        _holds(requirement, labels) for requirement in selector.match_expressions
    )


def written(selector: LabelSelector) -> str:
    """A well-formed selector as it is asked of an API server: ``a=b,c in (d,e),!f``."""
    parts = [f"{name}={value}" for name, value in sorted((selector.match_labels or {}).items())]
    for each in selector.match_expressions:
        values = f"({','.join(each.values)})"
        parts.append(
            {
                "In": f"{each.key} in {values}",
                "NotIn": f"{each.key} notin {values}",
                "Exists": each.key,
                "DoesNotExist": f"!{each.key}",
            }[each.operator]
        )
    return ",".join(parts)


def _holds(requirement: LabelSelectorRequirement, labels: Mapping[str, str]) -> bool:
    return _OPERATORS[requirement.operator](labels.get(requirement.key), requirement.values)
