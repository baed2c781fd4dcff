"""Write what installs the controller into a cluster, as manifests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from trilithon.infrastructure.rights import (
    CLASS_EVENTS,
    CLASS_EVENTS_NAMESPACE,
    CLASS_PARAMETERS,
    CLUSTER,
    SERVED,
    own,
    rules,
)
from trilithon.model.settings import ANY_ADDRESS, CONTROLLER_NAME
from trilithon.resources.gateways import ControllerName, LabelValue
from trilithon.resources.meta import DNS_SUBDOMAIN, LabelSelector, PortNumber, Spec
from trilithon.resources.parameters import Amounts, Resources
from trilithon.resources.schema import definitions
from trilithon.translate.selectors import written

Json = dict[str, object]

HEALTH_PORT = 8081
CLASS_NAME = "trilithon"
AUTHORITY_SECRET = "trilithon-xds-ca"  # noqa: S105 - the name of an object, no secret
USER = 65532
RBAC = "rbac.authorization.k8s.io"

DEFAULT_RESOURCES = Resources(requests=Amounts(cpu="100m", memory="192Mi"))

Name = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=63,
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?\Z",
        description="a name of at most 63 lower-case letters, digits and inner dashes",
    ),
]
Image = Annotated[str, Meta(max_length=512, pattern=r"^[^\s]+\Z", description="the name of an image")]
SecretName = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=253,
        pattern=DNS_SUBDOMAIN,
        description="a name of lower-case letters, digits, inner dashes and dots",
    ),
]
# "" makes no class.
ClassName = Annotated[
    str, Meta(max_length=253, pattern=rf"^\Z|{DNS_SUBDOMAIN}", description="the name of a GatewayClass")
]


class Values(Spec, kw_only=True):
    """What may be chosen of an installation.

    ``watch_namespaces``: serve these alone, and have rights in these alone; ``namespace_selector``: serve those that it
    selects alone. ``class_name``: name of the GatewayClass; "" makes none. ``labels`` are those of every object besides
    its own. ``image_pull_secrets`` are named by the controller's pods and by those of Gateways. ``address_family`` is
    that of the addresses of pods. ``backend_hostnames``: whoever may write Backends may send requests to any name.
    ``hold_vanished_seconds``: how long what vanishes from the API server in masses is served on.
    """

    namespace: Name = "trilithon-system"
    name: Name = "trilithon"
    image: Image = "trilithon"
    replicas: Annotated[int, Meta(ge=1, le=20)] = 2
    resources: Resources = DEFAULT_RESOURCES
    xds_port: PortNumber = 18000
    watch_namespaces: tuple[Name, ...] = ()
    namespace_selector: LabelSelector = LabelSelector()
    image_pull_secrets: tuple[SecretName, ...] = ()
    address_family: Literal["IPv4", "IPv6"] = "IPv4"
    backend_hostnames: bool = False
    hold_vanished_seconds: Annotated[int, Meta(ge=0, le=86400)] = 300
    class_name: ClassName = CLASS_NAME
    controller_name: ControllerName = CONTROLLER_NAME
    labels: dict[str, LabelValue] | None = None


def installation_manifests(values: Values) -> Iterator[Json]:
    """Every object, in an order in which each finds what it needs."""
    yield _object(values, "v1", "Namespace", values.namespace)
    yield from definitions()
    yield _object(values, "v1", "ServiceAccount", values.name, namespace=values.namespace)
    yield from _rights(values)
    yield _service(values)
    yield _deployment(values)
    yield _disruption_budget(values)
    if values.class_name:
        spec = {"controllerName": values.controller_name, "description": "Gateways served by Envoy"}
        yield _object(values, "gateway.networking.k8s.io/v1", "GatewayClass", values.class_name, spec=spec)


def _object(values: Values, api_version: str, kind: str, name: str, *, namespace: str = "", **content: object) -> Json:
    metadata: Json = {"name": name, **({"namespace": namespace} if namespace else {}), "labels": _labels(values)}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **content}


def _labels(values: Values) -> dict[str, str]:
    return {**(values.labels or {}), "app.kubernetes.io/part-of": "trilithon", **_selector(values)}


def _selector(values: Values) -> dict[str, str]:
    return {"app.kubernetes.io/name": "trilithon", "app.kubernetes.io/instance": values.name}


def _rights(values: Values) -> Iterator[Json]:
    # Roles of the cluster are shared by all installations in it.
    shared = f"{values.namespace}-{values.name}"
    account: Json = {"kind": "ServiceAccount", "name": values.name, "namespace": values.namespace}
    everywhere = CLUSTER if values.watch_namespaces else (*CLUSTER, *SERVED)
    yield from _role(values, "Cluster", shared, "", rules(everywhere), account)
    for namespace in values.watch_namespaces:
        yield from _role(values, "", shared, namespace, rules(SERVED), account)
    if values.watch_namespaces and CLASS_EVENTS_NAMESPACE not in values.watch_namespaces:
        yield from _role(values, "", shared, CLASS_EVENTS_NAMESPACE, rules(CLASS_EVENTS), account)
    mine = own(values.name, AUTHORITY_SECRET)
    if values.watch_namespaces and values.namespace not in values.watch_namespaces:
        mine = (*mine, *CLASS_PARAMETERS)
    yield from _role(values, "", values.name, values.namespace, rules(mine), account)


def _role(values: Values, scope: str, name: str, namespace: str, granted: list[Json], account: Json) -> Iterator[Json]:
    yield _object(values, f"{RBAC}/v1", f"{scope}Role", name, namespace=namespace, rules=granted)
    ref = {"apiGroup": RBAC, "kind": f"{scope}Role", "name": name}
    binding = {"roleRef": ref, "subjects": [account]}
    yield _object(values, f"{RBAC}/v1", f"{scope}RoleBinding", name, namespace=namespace, **binding)


def _service(values: Values) -> Json:
    spec = {
        "selector": _selector(values),
        "ports": [{"name": "xds", "port": values.xds_port, "targetPort": "xds", "protocol": "TCP"}],
    }
    return _object(values, "v1", "Service", values.name, namespace=values.namespace, spec=spec)


def _disruption_budget(values: Values) -> Json:
    spec = {"maxUnavailable": 1, "selector": {"matchLabels": _selector(values)}}
    return _object(values, "policy/v1", "PodDisruptionBudget", values.name, namespace=values.namespace, spec=spec)


def _deployment(values: Values) -> Json:
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": _selector(values)},
    }
    pod: Json = {
        "serviceAccountName": values.name,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 30,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "topologySpreadConstraints": [spread],
        "containers": [_container(values)],
    }
    if values.image_pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in values.image_pull_secrets]
    spec = {
        "replicas": values.replicas,
        "selector": {"matchLabels": _selector(values)},
        # Envoys stay connected to a replica that serves while another one is replaced.
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "template": {"metadata": {"labels": _labels(values)}, "spec": pod},
    }
    return _object(values, "apps/v1", "Deployment", values.name, namespace=values.namespace, spec=spec)


def _container(values: Values) -> Json:
    probe = {"periodSeconds": 2, "timeoutSeconds": 2}
    fields = {
        "POD_NAME": "metadata.name",
        "POD_NAMESPACE": "metadata.namespace",
        "POD_IP": "status.podIP",
    }
    return {
        "name": "controller",
        "image": values.image,
        "args": _arguments(values),
        "env": [{"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in fields.items()],
        "ports": [
            {"name": "xds", "containerPort": values.xds_port, "protocol": "TCP"},
            {"name": "health", "containerPort": HEALTH_PORT, "protocol": "TCP"},
        ],
        "livenessProbe": {
            "httpGet": {"path": "/healthz", "port": "health"},
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 6,
        },
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": "health"}, **probe},
        "resources": msgspec.to_builtins(values.resources),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }


def _arguments(values: Values) -> list[str]:
    any_ = "[::]" if values.address_family == "IPv6" else ANY_ADDRESS
    arguments = ["controller", "--xds", f"{any_}:{values.xds_port}", "--health", f"{any_}:{HEALTH_PORT}"]
    arguments += ["--own-name", values.name, "--image", values.image, "--log-format", "json"]
    if values.controller_name != CONTROLLER_NAME:
        arguments += ["--controller-name", values.controller_name]
    if values.address_family == "IPv6":
        arguments += ["--address-family", "IPv6"]
    if values.backend_hostnames:
        arguments.append("--backend-hostnames")
    if values.hold_vanished_seconds != Values().hold_vanished_seconds:
        arguments += ["--hold-vanished", str(values.hold_vanished_seconds)]
    for secret in values.image_pull_secrets:
        arguments += ["--image-pull-secret", secret]
    if selector := written(values.namespace_selector):
        arguments += ["--namespace-selector", selector]
    for namespace in values.watch_namespaces:
        arguments += ["--namespace", namespace]
    return arguments
