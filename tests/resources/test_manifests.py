"""What Gateway API publishes as right decodes, and what it publishes as wrong is refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.resources.upstream import MODULE, manifests, module_folder
from trilithon.resources.decode import decode_all

NOT_YET = {"BackendTLSPolicy", "GRPCRoute", "ListenerSet", "TCPRoute", "TLSRoute", "UDPRoute"}


def read(folder: Path) -> tuple[Counter[tuple[str, str]], list[str]]:
    """How many objects of each kind came to what, and every error and unknown field."""
    counts: Counter[tuple[str, str]] = Counter()
    errors = []
    for file, document in manifests(folder):
        for decoded in decode_all(document):
            worst = decoded.problems[0].code if decoded.problems else ""
            counts[document["kind"], "read" if decoded.resource else worst] += 1
            errors += [
                f"{file}: {problem}"
                for problem in decoded.problems
                if problem.severity == "error" or problem.code == "UnknownField"
            ]
    return counts, errors


def expected(what: dict[str, int]) -> dict[tuple[str, str], int]:
    """Counts by kind, with what is to come of it."""
    return {
        (kind, "UnsupportedKind" if kind in NOT_YET else "IgnoredKind" if kind == "Deployment" else "read"): count
        for kind, count in what.items()
    }


STANDARD_EXAMPLES = {
    "GatewayClass": 4,
    "Gateway": 22,
    "HTTPRoute": 48,
    "ReferenceGrant": 3,
    "Namespace": 11,
    "BackendTLSPolicy": 2,
    "GRPCRoute": 7,
    "ListenerSet": 2,
    "TCPRoute": 1,
    "TLSRoute": 2,
    "UDPRoute": 1,
}
CONFORMANCE = {
    "GatewayClass": 1,
    "Gateway": 96,
    "HTTPRoute": 142,
    "ReferenceGrant": 30,
    "Namespace": 12,
    "Service": 59,
    "EndpointSlice": 4,
    "ConfigMap": 2,
    "Secret": 2,
    "Deployment": 39,
    "BackendTLSPolicy": 21,
    "GRPCRoute": 8,
    "ListenerSet": 24,
    "TCPRoute": 10,
    "TLSRoute": 19,
    "UDPRoute": 11,
}


def test_every_standard_example_decodes() -> None:
    counts, errors = read(module_folder(MODULE) / "examples/standard")
    assert errors == []
    assert counts == expected(STANDARD_EXAMPLES)


def test_every_experimental_example_decodes() -> None:
    _, errors = read(module_folder(MODULE) / "examples/experimental")
    # Those of the folders v1alpha2 and v1alpha3 are TLSRoutes, which no version of is read yet.
    assert errors == []


def test_every_manifest_of_the_conformance_suite_decodes() -> None:
    folder = module_folder(f"{MODULE}/conformance")
    total: Counter[tuple[str, str]] = Counter()
    for part in ("base", "tests", "mesh"):
        counts, errors = read(folder / part)
        assert errors == []
        total += counts
    assert total == expected(CONFORMANCE)


INVALID = {"gateway": 8, "gatewayclass": 1, "httproute": 22, "referencegrant": 3}


@pytest.mark.parametrize("kind", INVALID)
def test_every_invalid_example_is_refused(kind: str) -> None:
    refused = {file: [decode_all(document) for _, document in documents] for file, documents in invalid(kind).items()}
    taken = [
        file.name for file, every in refused.items() if not any(one.refused for objects in every for one in objects)
    ]
    assert taken == []
    assert len(refused) == INVALID[kind]


def invalid(kind: str) -> dict[Path, list[tuple[Path, Any]]]:
    found: dict[Path, list[tuple[Path, Any]]] = {}
    for file, document in manifests(module_folder(MODULE) / "hack/invalid-examples"):
        if file.parent.name == kind:
            found.setdefault(file, []).append((file, document))
    return found


def test_invalid_examples_of_other_kinds_are_not_supported_yet() -> None:
    folder = module_folder(MODULE) / "hack/invalid-examples"
    others = {file.parent.name for file, _ in manifests(folder)} - set(INVALID)
    assert others == {"tlsroute"}
    documents = [document for entries in invalid("tlsroute").values() for _, document in entries]
    every = [decoded for document in documents for decoded in decode_all(document)]
    assert {problem.code for decoded in every for problem in decoded.problems} == {"UnsupportedKind"}
