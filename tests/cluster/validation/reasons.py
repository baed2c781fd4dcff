"""Where the offline rules rightly differ from an API server, each with its reason in words."""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.cluster.validation.asking import Verdict
from tests.cluster.validation.mutations import Case
from trilithon.resources.decode import Decoded

Applies = Callable[[Case, Verdict, Decoded], bool]

_OF_THE_CLUSTER = (
    "not configured on this cluster",
    "the provided network does not match the current range",
    "the provided IP",
    "not in the valid range",
    "not configured for dual-stack",
    "provided port is already allocated",
    "provided IP is already allocated",
)
_EXPERIMENTAL_RULES = ("is not a header value", "the rule name ")
_SECTION_ALONE = re.compile("sectionName must be (unique|specified) when parentRefs includes 2 or more references")
_LOOPBACK = "may not be in the loopback range"

REASONS: dict[str, Applies] = {
    "a namespace has to exist before something is made in it, and files say nothing of that": (
        lambda case, server, ours: server.status == 404 and 'namespaces "' in server.message and not ours.refused
    ),
    "which address families, addresses and node ports there are is a matter of the cluster": (
        lambda case, server, ours: case.kind == "Service" and any(words in server.message for words in _OF_THE_CLUSTER)
    ),
    "files are read again and again, so a generated name would be another one each time": (
        lambda case, server, ours: _errors(ours) == {"metadata.name"} and not _metadata(case).get("name")
    ),
    "the standard channel has no pattern for values of headers, and no rule that names of rules differ": (
        lambda case, server, ours: (
            case.channel == "standard"
            and not server.is_refused
            and all(any(words in message for words in _EXPERIMENTAL_RULES) for message in _messages(ours))
        )
    ),
    "the standard channel does not tell two references to one parent apart by their ports": (
        lambda case, server, ours: (
            case.channel == "standard" and not ours.refused and _SECTION_ALONE.search(server.message) is not None
        )
    ),
    "a list of numbers stands for bytes in JSON that Go reads, and nobody writes it": (
        lambda case, server, ours: not server.is_refused and _errors(ours) <= _lists_of_bytes(case)
    ),
    "files may name a server on the same machine in an EndpointSlice": (
        lambda case, server, ours: (
            case.kind == "EndpointSlice" and all(words in server.message for words in ("addresses",))
        )
    ),
}


def _errors(ours: Decoded) -> set[str]:
    return {problem.path for problem in ours.problems if problem.severity == "error"}


def _messages(ours: Decoded) -> list[str]:
    told = (problem for problem in ours.problems if problem.code != "MoreProblems")
    return [problem.message for problem in told if problem.severity == "error"]


def _lists_of_bytes(case: Case) -> set[str]:
    field = {"Secret": "data", "ConfigMap": "binaryData"}.get(case.kind, "")
    table = case.document.get(field)
    return {f"{field}[{name}]" for name, value in table.items() if value == []} if isinstance(table, dict) else set()


def _metadata(case: Case) -> dict[str, object]:
    found = case.document.get("metadata")
    return found if isinstance(found, dict) else {}


def reason_for(case: Case, server: Verdict, ours: Decoded) -> str:
    """The first reason that explains the difference, or ""."""
    return next((words for words, applies in REASONS.items() if applies(case, server, ours)), "")
