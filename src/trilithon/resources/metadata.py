"""Checks the metadata of an object the way the API server does."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from msgspec.structs import replace

from trilithon.resources.names import label_problem, label_value_problem, qualified_name_problem
from trilithon.resources.parts import ObjectMeta, OwnerReference
from trilithon.resources.wording import Finding, quoted

# All annotations of an object together, keys and values.
MAX_ANNOTATIONS = 256 * 1024

_ORPHAN, _FOREGROUND = "orphan", "foregroundDeletion"
_OWN_FINALIZERS = frozenset({"kubernetes", _ORPHAN, _FOREGROUND})
_NO_OWNERS = frozenset({("v1", "Event"), ("events.k8s.io/v1", "Event")})

_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[-+][0-9]{2}:[0-9]{2})")


def check_metadata(
    metadata: ObjectMeta, valid_name: Callable[[str], str], *, is_namespaced: bool = True, is_custom: bool = True
) -> Iterator[Finding]:
    """What is wrong with the values; ``valid_name`` is the rule for the kind's names. Paths begin at the metadata.

    ``is_custom`` is a kind that a CRD defines, for which the API server has fewer rules.
    """
    if not metadata.name:
        hint = "generateName is not supported: an object read again and again needs a lasting name"
        yield Finding("MissingField", ".name", "is required", hint if metadata.generate_name else "")
    elif problem := valid_name(metadata.name):
        yield Finding("InvalidValue", ".name", problem)
    if metadata.generate_name and (problem := valid_name(_one_of(metadata.generate_name))):
        yield Finding("InvalidValue", ".generateName", problem)
    if metadata.namespace and is_namespaced and (problem := label_problem(metadata.namespace)):
        yield Finding("InvalidValue", ".namespace", problem)
    if metadata.labels:
        yield from _labels(metadata.labels)
    if metadata.annotations:
        yield from _annotations(metadata.annotations)
    for finding in check_finalizers(metadata.finalizers, is_custom=is_custom):
        yield finding.under(".finalizers")
    yield from _owners(metadata.owner_references)
    times = {".creationTimestamp": metadata.creation_timestamp, ".deletionTimestamp": metadata.deletion_timestamp}
    for path, time in times.items():
        if time is not None and in_utc(time) is None:
            yield Finding("InvalidValue", path, f"{quoted(time)} is not a time such as 2006-01-02T15:04:05Z")


def _one_of(prefix: str) -> str:
    """What the names of a generateName are checked by: a dash at its end will have something behind it."""
    return f"{prefix[:-2]}a" if len(prefix) > 1 and prefix.endswith("-") else prefix


def check_finalizers(finalizers: tuple[str, ...], *, is_custom: bool) -> Iterator[Finding]:
    """What is wrong with the names; paths begin at the list."""
    for index, name in enumerate(finalizers):
        if problem := qualified_name_problem(name):
            yield Finding("InvalidValue", f"[{index}]", problem)
        elif not is_custom and "/" not in name and name not in _OWN_FINALIZERS:
            yield Finding("InvalidValue", f"[{index}]", f"{quoted(name)} needs a domain, such as example.com/{name}")
    if _ORPHAN in finalizers and _FOREGROUND in finalizers:
        yield Finding("ConflictingFields", "", f"{_ORPHAN} and {_FOREGROUND} exclude each other")


def _owners(owners: tuple[OwnerReference, ...]) -> Iterator[Finding]:
    for index, owner in enumerate(owners):
        at = f".ownerReferences[{index}]"
        if not _has_version(owner.api_version):
            yield Finding(
                "InvalidValue", f"{at}.apiVersion", f"{quoted(owner.api_version)} is not a version such as v1"
            )
        given = {"kind": owner.kind, "name": owner.name, "uid": owner.uid}
        yield from (
            Finding("MissingField", f"{at}.{field}", "is required") for field, value in given.items() if not value
        )
        if (owner.api_version, owner.kind) in _NO_OWNERS:
            yield Finding("InvalidValue", f"{at}.kind", "an Event owns nothing")
    if sum(owner.controller is True for owner in owners) > 1:
        yield Finding("ConflictingFields", ".ownerReferences", "only one owner can be the controller")


def _has_version(api_version: str) -> bool:
    group, _, version = api_version.rpartition("/")
    return bool(version) and "/" not in group


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
