"""Which rules of the CRDs a run has made the API server apply: each has a message of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.cluster.validation.schemas import GATEWAY_KINDS, PLURALS
from tests.resources.upstream import schema

UNREACHABLE = frozenset(
    {
        # About two versions of one object, so that creating one cannot break it.
        "Value is immutable",
        # An enum of the same field refuses the same values first.
        "type must be one of ['Exact', 'PathPrefix', 'RegularExpression']",
    }
)


def rule_messages(channel: str) -> frozenset[str]:
    """The messages of every rule for the specs of the kinds that are read."""
    every = (
        message
        for kind in GATEWAY_KINDS
        for version in ("v1", "v1beta1")
        for message in _messages(schema(channel, PLURALS[kind], version)["properties"]["spec"])
    )
    return frozenset(every) - UNREACHABLE


def _messages(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        yield from (rule["message"] for rule in part.get("x-kubernetes-validations", ()))
        for inner in part.values():
            yield from _messages(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from _messages(inner)


def broken(messages: frozenset[str], told: set[str]) -> frozenset[str]:
    """Those of the rules that one of the server's answers names."""
    return frozenset(message for message in messages if any(message in answer for answer in told))
