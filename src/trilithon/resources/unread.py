"""Says why a document is not read: its kind is unknown, not supported yet, of another version, or foreign."""

from __future__ import annotations

from collections.abc import Sequence

from trilithon.resources.kinds import FOREIGN, KINDS, NOT_YET
from trilithon.resources.meta import GATEWAY_GROUP, TRILITHON_GROUP
from trilithon.resources.names import kind_problem
from trilithon.resources.wording import Finding, described, meant, nearest, printable, quoted

# High enough that other people's groups with kinds of the same name, such as Istio's Gateway, are left alone.
_SAME_GROUP = 0.85


def unread(api_version: object, kind: object) -> Sequence[Finding]:
    """Why no kind that is read has this version and name."""
    if api_version is None and kind is None:
        message = "not a Kubernetes object: it has neither apiVersion nor kind"
        return (Finding("MissingField", "", message, "move it out of the folder"),)
    found = [*_text(api_version, "apiVersion", _version_of(kind)), *_text(kind, "kind", "")]
    if found or not isinstance(api_version, str) or not isinstance(kind, str):
        return found
    if problem := kind_problem(kind):
        return (Finding("InvalidValue", "kind", problem),)
    group, _, version = api_version.rpartition("/")
    if "/" in group or not version:
        message = f"{quoted(api_version)} is not a version such as v1 or {GATEWAY_GROUP}/v1"
        return (Finding("InvalidValue", "apiVersion", message),)
    if kind in NOT_YET.get(group, ()):
        message = f"{kind} ({printable(api_version)}) is not supported yet, so it has no effect"
        return (Finding("UnsupportedKind", "kind", message, severity="warning"),)
    for known in KINDS:
        if (known.group, known.name) == (group, kind):
            message = f"{kind} has no version {quoted(version)}"
            return (Finding("UnservedVersion", "apiVersion", message, f"use {' or '.join(known.api_versions)}"),)
    return _of_group(group, api_version, kind)


def _text(value: object, field: str, hint: str) -> list[Finding]:
    if value is None or value == "":
        return [Finding("MissingField", field, "is required", hint)]
    if not isinstance(value, str):
        return [Finding("WrongType", field, f"expected a text, got {described(value)}")]
    return []


def _version_of(kind: object) -> str:
    versions = [known.api_versions[0] for known in KINDS if known.name == kind]
    return f"the apiVersion of {kind} is {versions[0]}" if versions else ""


def _names(group: str) -> set[str]:
    return {known.name for known in KINDS if known.group == group} | NOT_YET.get(group, frozenset())


def _of_group(group: str, api_version: str, kind: str) -> Sequence[Finding]:
    """A kind that is not known in its group: foreign, or misspelt."""
    ignored = f"{kind} ({printable(api_version)}) is not a kind that Trilithon reads, so it has no effect"
    names = _names(group)
    if group in FOREIGN or names:
        if kind in FOREIGN.get(group, ()):
            return (Finding("IgnoredKind", "kind", ignored, severity="warning"),)
        shown = f"group {printable(group)}" if group else "the core group (apiVersion v1)"
        hint = meant(kind, names | FOREIGN.get(group, frozenset()))
        elsewhere = _version_of(kind)
        return (Finding("UnknownKind", "kind", f"there is no kind {kind} in {shown}", elsewhere or hint),)
    groups = (GATEWAY_GROUP, TRILITHON_GROUP, "discovery.k8s.io", "gateway.networking.x-k8s.io")
    close = nearest(group, groups, likeness=_SAME_GROUP)
    if close and kind in _names(close):
        message = f"there is no group {quoted(group)}"
        return (Finding("UnknownKind", "apiVersion", message, f"did you mean {close}?"),)
    return (Finding("IgnoredKind", "kind", ignored, severity="warning"),)
