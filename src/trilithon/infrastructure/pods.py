"""Write the Deployment of a Gateway's Envoys, and what belongs to its pods."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from trilithon.infrastructure.manifest import (
    AUTOSCALER,
    DEPLOYMENT,
    DISRUPTION_BUDGET,
    SECRET,
    SERVICE_ACCOUNT,
    Json,
    Plan,
    generated,
)
from trilithon.model.infrastructure import Generated
from trilithon.model.settings import ANY_ADDRESS, READY_PORT
from trilithon.resources.parameters import Amounts, Autoscaling, EnvoyParameters, Resources
from trilithon.translate.generated_names import selector

IDENTITY_FOLDER = "/etc/trilithon/identity"
RUN_FOLDER = "/run/trilithon"
IDENTITY_TYPE = "trilithon.dev/xds-identity"
# Longer than the proxy takes to drain and to end Envoy (50 and 8 s).
GRACE_SECONDS = 60
# Nobody's on most systems, and the user of the image.
USER = 65532
DEFAULT_REQUESTS = Amounts(cpu="100m", memory="128Mi")


def workload(plan: Plan) -> Iterator[Generated]:
    """Everything that pods need, then the Deployment, then who looks after their number."""
    # Pods ask the API server for nothing.
    yield generated(plan, SERVICE_ACCOUNT, {"automountServiceAccountToken": False})
    yield identity(plan)
    yield generated(plan, DEPLOYMENT, {"spec": _deployment(plan)})
    budget: Json = {
        "maxUnavailable": 1,
        "selector": {"matchLabels": selector(plan.gateway)},
        # A pod that serves nobody must not keep a node from being emptied.
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }
    yield generated(plan, DISRUPTION_BUDGET, {"spec": budget})
    if plan.parameters.autoscaling is not None:
        yield generated(plan, AUTOSCALER, {"spec": _autoscaler(plan, plan.parameters.autoscaling)})


def identity(plan: Plan, name: str = "") -> Generated:
    """The Secret with which the pods show whose configuration they may have; it may have the name of a class before."""
    return generated(plan, SECRET, {"type": IDENTITY_TYPE}, name=name, is_identity=True)


def _deployment(plan: Plan) -> Json:
    # A pod that is replaced serves until the new one does. On the nodes' network both cannot have the ports.
    surge, unavailable = (0, 1) if plan.parameters.host_network else (1, 0)
    spec: Json = {
        "selector": {"matchLabels": selector(plan.gateway)},
        "strategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable},
        },
        "template": {
            "metadata": {"labels": plan.labels, "annotations": plan.pod_annotations},
            "spec": _pod(plan),
        },
    }
    if plan.parameters.autoscaling is None:
        # Otherwise the autoscaler sets it, and nobody may set it back.
        spec["replicas"] = plan.parameters.replicas or 1
    return spec


def _pod(plan: Plan) -> Json:
    spread: Json = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": selector(plan.gateway)},
    }
    security: Json = {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    pod: Json = {
        "serviceAccountName": plan.name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": security,
        "topologySpreadConstraints": [spread],
        "containers": [_container(plan)],
        "volumes": [
            {"name": "identity", "secret": {"secretName": plan.name, "defaultMode": 0o440}},
            {"name": "run", "emptyDir": {"medium": "Memory", "sizeLimit": "16Mi"}},
        ],
    }
    if plan.installation.image_pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in plan.installation.image_pull_secrets]
    if plan.parameters.host_network:
        # Names of Services are known to the cluster's DNS alone; and sysctls of the network would be the node's.
        pod.update(hostNetwork=True, dnsPolicy="ClusterFirstWithHostNet")
    else:
        # Listeners have their real ports, and nobody here is root.
        security["sysctls"] = [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]
    return pod


def _container(plan: Plan) -> Json:
    return {
        "name": "envoy",
        "image": plan.installation.image,
        "args": _arguments(plan),
        "env": [{"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        # Not the listeners' ports: a new listener must not replace pods.
        "ports": [{"name": "ready", "containerPort": READY_PORT, "protocol": "TCP"}],
        "readinessProbe": {
            "httpGet": {"path": "/ready", "port": READY_PORT},
            "periodSeconds": 2,
            "timeoutSeconds": 2,
            "failureThreshold": 2,
        },
        "resources": _resources(plan.parameters.resources),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "identity", "mountPath": IDENTITY_FOLDER, "readOnly": True},
            {"name": "run", "mountPath": RUN_FOLDER},
        ],
    }


def _arguments(plan: Plan) -> list[str]:
    envoy = plan.parameters.envoy or EnvoyParameters()
    arguments = ["proxy", "--gateway", plan.gateway.key.path]
    arguments += ["--xds", f"{plan.installation.xds_host}:{plan.installation.xds_port}"]
    arguments += ["--identity", IDENTITY_FOLDER, "--run", RUN_FOLDER]
    if plan.installation.address != ANY_ADDRESS:
        arguments += ["--ready-address", f"[{plan.installation.address}]:{READY_PORT}"]
    if envoy.concurrency is not None:
        arguments += ["--concurrency", str(envoy.concurrency)]
    if envoy.log_level is not None:
        arguments += ["--log-level", envoy.log_level]
    return arguments


def _resources(resources: Resources | None) -> Json:
    asked = resources or Resources()
    limits = _amounts(asked.limits)
    # An amount that is limited and not asked for is asked for in full, as Kubernetes has it.
    defaults = {name: value for name, value in _amounts(DEFAULT_REQUESTS).items() if name not in limits}
    found: Json = {"requests": {**defaults, **_amounts(asked.requests)}}
    if limits:
        found["limits"] = limits
    return {name: amounts for name, amounts in found.items() if amounts}


def _amounts(amounts: Amounts | None) -> dict[str, str]:
    return msgspec.to_builtins(amounts) if amounts is not None else {}


def _autoscaler(plan: Plan, scale: Autoscaling) -> Json:
    target: Json = {"type": "Utilization", "averageUtilization": scale.target_cpu_percent}
    return {
        "scaleTargetRef": {"apiVersion": DEPLOYMENT.api_version, "kind": DEPLOYMENT.kind, "name": plan.name},
        "minReplicas": scale.min_replicas,
        "maxReplicas": scale.max_replicas,
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
    }
