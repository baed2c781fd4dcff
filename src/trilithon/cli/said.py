"""Compare what a cluster's controller says of its Gateways with what is known here."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping

from trilithon.model.stored import StoredCondition
from trilithon.resources.meta import Key
from trilithon.resources.problem import Problem, Severity


def not_programmed(
    programmed: Mapping[Key, StoredCondition], ours: Container[Key], known: Iterable[Problem]
) -> Iterator[Problem]:
    """Why Gateways of ours are not served, by the controller's own words, where nothing else known says so."""
    told = {problem.key for problem in known if problem.severity == "error"}
    for key, condition in sorted(programmed.items()):
        if condition.status == "False" and key in ours and key not in told:
            severity: Severity = "warning" if condition.reason == "Pending" else "error"
            message = f"the controller does not serve it: {condition.message}"
            yield Problem(
                condition.reason, key, "", message, "kubectl describe shows its conditions and Events", severity
            )
