"""Write the objects of a Gateway as manifests: the part that all of them share."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from trilithon.kube.objects import ApiKind, ObjectPath
from trilithon.model.infrastructure import Generated
from trilithon.model.settings import Installation
from trilithon.resources.gateways import Gateway
from trilithon.resources.parameters import GatewayParametersSpec
from trilithon.translate.generated_names import (
    CLASS_NAME_LABEL,
    GATEWAY_ANNOTATION,
    installation_labels,
    label_value,
    object_name,
    selector,
)
from trilithon.translate.infrastructure_keys import (
    infrastructure_annotations,
    infrastructure_annotations_of_pods,
    infrastructure_labels,
)

Json = dict[str, object]

SERVICE_ACCOUNT = ApiKind("", "v1", "ServiceAccount", "serviceaccounts")
SECRET = ApiKind("", "v1", "Secret", "secrets")
SERVICE = ApiKind("", "v1", "Service", "services")
DEPLOYMENT = ApiKind("apps", "v1", "Deployment", "deployments")
DISRUPTION_BUDGET = ApiKind("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets")
AUTOSCALER = ApiKind("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
# Every kind that is generated, in the order of creation: pods need the first ones, and an address takes longest.
GENERATED_KINDS = (SERVICE, SERVICE_ACCOUNT, SECRET, DEPLOYMENT, DISRUPTION_BUDGET, AUTOSCALER)


class Plan(Struct, frozen=True):
    """What the objects of one Gateway depend on; ``ports`` are those of its listeners, with their protocols."""

    gateway: Gateway
    installation: Installation
    parameters: GatewayParametersSpec
    ports: tuple[tuple[int, str], ...]

    @property
    def name(self) -> str:
        """The name of each object of which there is one."""
        return object_name(self.gateway)

    @property
    def labels(self) -> dict[str, str]:
        """The labels of every object but the Secret, pods included."""
        return {**infrastructure_labels(self.gateway), **self.own_labels}

    @property
    def own_labels(self) -> dict[str, str]:
        """Those that are ours."""
        return {
            **installation_labels(self.installation.namespace, self.installation.name),
            CLASS_NAME_LABEL: label_value(self.gateway.spec.gateway_class_name),
            **selector(self.gateway),
        }

    @property
    def own_annotations(self) -> dict[str, str]:
        """The annotations that are ours: the Gateway's name, because a label may have to cut it."""
        return {GATEWAY_ANNOTATION: self.gateway.key.name}

    @property
    def pod_annotations(self) -> dict[str, str]:
        """The annotations of pods, and of what they run as."""
        return {**infrastructure_annotations_of_pods(self.gateway), **self.own_annotations}

    def annotations(self, kind: ApiKind) -> dict[str, str]:
        """The annotations of an object of this kind."""
        if kind == SECRET:
            return self.own_annotations
        if kind == SERVICE_ACCOUNT:
            return self.pod_annotations
        return {**infrastructure_annotations(self.gateway), **self.own_annotations}


def generated(
    plan: Plan,
    kind: ApiKind,
    content: Json,
    *,
    name: str = "",
    annotations: Mapping[str, str] | None = None,
    is_identity: bool = False,
) -> Generated:
    """One object of the plan."""
    name = name or plan.name
    namespace = plan.gateway.key.namespace
    manifest = {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": plan.own_labels if kind == SECRET else plan.labels,
            "annotations": {**plan.annotations(kind), **(annotations or {})},
        },
        **content,
    }
    written = msgspec.json.encode(manifest, order="deterministic")
    return Generated(ObjectPath(kind, name, namespace), written, is_identity)
