"""Whether the cluster's definitions of Gateway API are of the version that this release is made for."""

from __future__ import annotations

from collections.abc import Sequence

from trilithon.incremental import Index, Read
from trilithon.model.api_version import ApiVersion
from trilithon.model.tables import API_VERSIONS
from trilithon.status.conditions import Condition, within_limit

# The bundle whose types are read, whose rules are known and whose conformance tests are run. A patch changes no field.
BUNDLE = "v1.6.1"
_SUPPORTED = BUNDLE.rpartition(".")[0]
_ALL = ""

ALL_VERSIONS: Index[str, str, ApiVersion] = Index("all api versions", API_VERSIONS, lambda _: (_ALL,))


def supported_version(read: Read, generation: int) -> Condition | None:
    """The condition SupportedVersion; None where no definition is known, as without a cluster.

    Another version is served as far as it goes: each kind in a version that is known, and of each object what is
    understood ("... or continue with a best effort", implementers' guide).
    """
    found = read.group(ALL_VERSIONS, _ALL)
    if not found:
        return None
    others = [each for each in found if not _is_supported(each.bundle_version)]
    if not others:
        bundles = _listed({f"{each.bundle_version} ({each.channel or 'no'} channel)" for each in found})
        message = f"Gateway API {bundles} is installed"
        return Condition("SupportedVersion", "True", "SupportedVersion", message, generation)
    message = f"Trilithon is made for Gateway API {BUNDLE}, and serves what is installed as far as it can: "
    message += "; ".join(f"{version} of {_kinds(others, version)}" for version in _versions(others))
    return Condition("SupportedVersion", "False", "UnsupportedVersion", within_limit(message), generation)


def _is_supported(bundle: str) -> bool:
    release = bundle.partition("-")[0].partition("+")[0]
    return release.rpartition(".")[0] == _SUPPORTED


def _versions(found: Sequence[ApiVersion]) -> list[str]:
    return sorted({_worded(each) for each in found})


def _kinds(found: Sequence[ApiVersion], version: str) -> str:
    return _listed({each.name.partition(".")[0] for each in found if _worded(each) == version})


def _worded(each: ApiVersion) -> str:
    return each.bundle_version or "a version that is not told"


def _listed(words: set[str]) -> str:
    return ", ".join(sorted(words))
