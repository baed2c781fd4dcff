"""Checks the metadata of an object the way the API server does."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from msgspec.structs import replace

from trilithon.resources.names import label_problem, label_value_problem, qualified_name_problem
from trilithon.resources.parts import ObjectMeta
from trilithon.resources.wording import Finding, quoted

# All annotations of an object together, keys and values.
MAX_ANNOTATIONS = 256 * 1024

_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[-+][0-9]{2}:[0-9]{2})")


def check_metadata(metadata: ObjectMeta, valid_name: Callable[[str], str]) -> Iterator[Finding]:
    """What is wrong with the values; ``valid_name`` is the rule for the kind's names. Paths begin at the metadata."""
    if not metadata.name:
        hint = "generateName is not supported: an object read again and again needs a lasting name"
        yield Finding("MissingField", ".name", "is required", hint if metadata.generate_name else "")
    elif problem := valid_name(metadata.name):
        yield Finding("InvalidValue", ".name", problem)
    if metadata.namespace and (problem := label_problem(metadata.namespace)):
        yield Finding("InvalidValue", ".namespace", problem)
    if metadata.labels:
        yield from _labels(metadata.labels)
    if metadata.annotations:
        yield from _annotations(metadata.annotations)
    if metadata.creation_timestamp and in_utc(metadata.creation_timestamp) is None:
        message = f"{quoted(metadata.creation_timestamp)} is not a time such as 2006-01-02T15:04:05Z"
        yield Finding("InvalidValue", ".creationTimestamp", message)


def _labels(labels: dict[str, str]) -> Iterator[Finding]:
    for key, value in labels.items():
        if problem := qualified_name_problem(key):
            yield Finding("InvalidValue", ".labels", problem)
        elif problem := label_value_problem(value):
            yield Finding("InvalidValue", f".labels[{key}]", problem)


def _annotations(annotations: dict[str, str]) -> Iterator[Finding]:
    size = 0
    for key, value in annotations.items():
        size += len(key) + len(value)
        # Unlike labels, annotations may have capital letters in the domain.
        if problem := qualified_name_problem(key.lower()):
            yield Finding("InvalidValue", ".annotations", problem)
    if size > MAX_ANNOTATIONS:
        message = f"the annotations have {size} characters, and {MAX_ANNOTATIONS} are allowed"
        yield Finding("TooBig", ".annotations", message)


def normalised(metadata: ObjectMeta) -> ObjectMeta:
    """The metadata with its time as the API server writes it, so that times can be compared as text."""
    if not metadata.creation_timestamp or metadata.creation_timestamp.endswith("Z"):
        return metadata
    return replace(metadata, creation_timestamp=in_utc(metadata.creation_timestamp) or "")


def in_utc(text: str) -> str | None:
    """An RFC 3339 time in UTC to the second, or None if it is none."""
    if not _TIME.fullmatch(text):
        return None
    try:
        moment = datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
