"""Where the offline rules rightly differ from an API server, each with its reason in words."""

from __future__ import annotations

from collections.abc import Callable

from tests.cluster.validation.asking import Verdict
from tests.cluster.validation.mutations import Case
from trilithon.resources.decode import Decoded

Applies = Callable[[Case, Verdict, Decoded], bool]

REASONS: dict[str, Applies] = {}


def reason_for(case: Case, server: Verdict, ours: Decoded) -> str:
    """The first reason that explains the difference, or ""."""
    return next((words for words, applies in REASONS.items() if applies(case, server, ours)), "")
