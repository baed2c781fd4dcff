"""Decide which labels and annotations of a Gateway go onto everything that is generated for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from trilithon.model.gateway_mistakes import INFRASTRUCTURE_KEY_RESERVED
from trilithon.resources.gateways import Gateway
from trilithon.resources.problem import Problem
from trilithon.translate.generated_names import MANAGER_LABEL

# Set by us, by the API itself or by the controllers that run the generated objects: whoever could write them could
# make an object look like another's, or have it changed back for ever.
_RESERVED = frozenset({MANAGER_LABEL, "pod-template-hash", "controller-revision-hash", "aadpodidbinding"})
_RESERVED_DOMAINS = (
    *("gateway.networking.k8s.io", "trilithon.dev", "deployment.kubernetes.io", "kubectl.kubernetes.io"),
    # With these whoever may create a Gateway could give its pods the rights of an account in the cloud.
    *("eks.amazonaws.com", "iam.amazonaws.com", "iam.gke.io", "azure.workload.identity"),
    # And with these secrets of a vault, or another network.
    *("vault.hashicorp.com", "k8s.v1.cni.cncf.io"),
)
# What Kubernetes itself and its tools read: of pods it changes how they are confined, kept and moved.
_KUBERNETES_DOMAINS = ("kubernetes.io", "k8s.io")


def infrastructure_labels(gateway: Gateway) -> dict[str, str]:
    """The labels of ``spec.infrastructure`` that are copied."""
    infrastructure = gateway.spec.infrastructure
    return copied(infrastructure.labels if infrastructure is not None else None)


def infrastructure_annotations(gateway: Gateway) -> dict[str, str]:
    """The annotations of ``spec.infrastructure`` that are copied."""
    infrastructure = gateway.spec.infrastructure
    return copied(infrastructure.annotations if infrastructure is not None else None)


def infrastructure_annotations_of_pods(gateway: Gateway) -> dict[str, str]:
    """Those of them that are copied onto pods and their ServiceAccount."""
    annotations = infrastructure_annotations(gateway)
    return {key: value for key, value in annotations.items() if not _is_within(key, _KUBERNETES_DOMAINS)}


def copied(entries: Mapping[str, str] | None) -> dict[str, str]:
    """Labels or annotations without the keys that are not the user's to set."""
    return {key: value for key, value in (entries or {}).items() if not _is_reserved(key)}


def key_problems(gateway: Gateway) -> Iterator[Problem]:
    """Those that are not copied."""
    infrastructure = gateway.spec.infrastructure
    if infrastructure is None:
        return
    for name, entries in (("labels", infrastructure.labels), ("annotations", infrastructure.annotations)):
        for key in sorted(entries or ()):
            if _is_reserved(key):
                at = f"spec.infrastructure.{name}[{key}]"
                yield INFRASTRUCTURE_KEY_RESERVED.at(gateway.key, at, entry=key)


def _is_reserved(key: str) -> bool:
    return key in _RESERVED or _is_within(key, _RESERVED_DOMAINS)


def _is_within(key: str, domains: Iterable[str]) -> bool:
    domain = key.rpartition("/")[0].lower()
    return any(domain == each or domain.endswith(f".{each}") for each in domains)
