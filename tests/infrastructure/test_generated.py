"""What is generated for a Gateway (GEP-1762, Gateway.spec.infrastructure), as data."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.infrastructure.generating import (
    CLASS,
    GATEWAY,
    OF_CLASS,
    OWN,
    SETTINGS,
    World,
    gateway,
    gateway_class,
    http,
    parameters,
    service,
)
from trilithon.incremental import Edit
from trilithon.model.infrastructure import Host
from trilithon.model.tables import HOSTS, OURS
from trilithon.pipeline import PUBLISHED
from trilithon.resources.meta import Key
from trilithon.status.gateway import GATEWAY_STATUS
from trilithon.status.problems import CLASS_PROBLEMS

KINDS = ["Service", "ServiceAccount", "Secret", "Deployment", "PodDisruptionBudget"]


def kinds(world: World) -> list[str]:
    assert world.row is not None
    return [each.path.kind.kind for each in world.row.objects]


def tuned(**spec: Any) -> World:
    """A Gateway with parameters of its own."""
    return World(CLASS, gateway(infrastructure=OWN), parameters("infra/own", **spec))


def test_every_object_lives_with_the_gateway_and_says_whose_it_is() -> None:
    """'MUST provision ... in the same namespace', 'MUST label', 'SHOULD name ... <NAME>-<GATEWAY CLASS>'."""
    world = World(CLASS, gateway())
    assert kinds(world) == KINDS
    for kind in KINDS:
        metadata = world.manifest(kind)["metadata"]
        assert (metadata["namespace"], metadata["name"]) == ("infra", "gw-trilithon")
        assert metadata["labels"]["gateway.networking.k8s.io/gateway-name"] == "gw"
        assert metadata["labels"]["gateway.networking.k8s.io/gateway-class-name"] == "trilithon"
        assert metadata["labels"]["app.kubernetes.io/managed-by"] == "trilithon"


def test_labels_and_annotations_of_the_infrastructure_are_on_everything() -> None:
    """Gateway.spec.infrastructure: 'applied to any resources created in response to this Gateway'; pods included.

    Except the Secret: what an identity's annotations and labels make others do with it is not the Gateway's to say.
    """
    world = World(CLASS, gateway(infrastructure={"labels": {"team": "a"}, "annotations": {"note": "b"}}))
    for metadata in (world.pod["metadata"], *(world.manifest(kind)["metadata"] for kind in KINDS if kind != "Secret")):
        assert metadata["labels"]["team"] == "a"
        assert metadata["annotations"]["note"] == "b"
    assert not {"team", "note"} & {*labels_of(world, "Secret"), *annotations_of(world, "Secret")}


def labels_of(world: World, kind: str) -> dict[str, str]:
    found: dict[str, str] = world.manifest(kind)["metadata"]["labels"]
    return found


def annotations_of(world: World, kind: str) -> dict[str, str]:
    found: dict[str, str] = world.manifest(kind)["metadata"]["annotations"]
    return found


@pytest.mark.parametrize(
    "key",
    [
        "container.apparmor.security.beta.kubernetes.io/envoy",
        "cluster-autoscaler.kubernetes.io/safe-to-evict",
        "kubernetes.io/enforce-mountable-secrets",
        "seccomp.security.alpha.kubernetes.io/pod",
        "x.k8s.io/y",
    ],
)
def test_what_kubernetes_reads_of_pods_and_accounts_is_not_the_gateways_to_say(key: str) -> None:
    """Services need such annotations, for their load balancers."""
    world = World(CLASS, gateway(infrastructure={"annotations": {key: "unconfined"}}))
    assert annotations_of(world, "Service")[key] == "unconfined"
    for metadata in (
        world.pod["metadata"],
        *(world.manifest(kind)["metadata"] for kind in ("ServiceAccount", "Secret")),
    ):
        assert key not in metadata["annotations"]


@pytest.mark.parametrize(
    "key",
    [
        "eks.amazonaws.com/role-arn",
        "iam.amazonaws.com/role",
        "iam.gke.io/gcp-service-account",
        "azure.workload.identity/client-id",
    ],
)
@pytest.mark.parametrize("where", ["labels", "annotations"])
def test_no_gateway_gets_the_rights_of_a_cloud_account(key: str, where: str) -> None:
    """Whoever may create a Gateway must not become another by way of the controller; a warning tells."""
    plain = World(CLASS, gateway())
    world = World(CLASS, gateway(infrastructure={where: {key: "admin"}}))
    assert world.row == plain.row
    assert [each.code for each in world.problems] == ["InfrastructureKeyReserved"]


@pytest.mark.parametrize(
    "key",
    [
        "app.kubernetes.io/managed-by",
        "trilithon.dev/installation",
        "pod-template-hash",
        "sub.gateway.networking.k8s.io/x",
    ],
)
def test_nobody_relabels_what_is_ours(key: str) -> None:
    """Keys that say what an object is are not the Gateway's to set; a warning tells."""
    plain = World(CLASS, gateway())
    world = World(CLASS, gateway(infrastructure={"labels": {key: "mine"}}))
    assert world.row == plain.row
    assert world.condition("Accepted").status == "True"


def test_listeners_change_the_service_alone() -> None:
    """A new port must not replace pods."""
    world = World(CLASS, gateway(http(80)))
    before = {kind: world.manifest(kind) for kind in KINDS}
    world.show(gateway(http(80), http(8443), http(80, "more", hostname="a.test")))
    after = {kind: world.manifest(kind) for kind in KINDS}
    assert [kind for kind in KINDS if before[kind] != after[kind]] == ["Service"]
    assert after["Service"]["spec"]["ports"] == [
        {"name": "tcp-80", "port": 80, "protocol": "TCP", "targetPort": 80},
        {"name": "tcp-8443", "port": 8443, "protocol": "TCP", "targetPort": 8443},
    ]


def test_a_listener_that_cannot_serve_has_no_port() -> None:
    """Nothing would answer there."""
    world = World(CLASS, gateway(http(80), {"name": "tcp", "port": 9000, "protocol": "TCP"}))
    assert [port["port"] for port in world.manifest("Service")["spec"]["ports"]] == [80]


def test_a_port_stays_as_long_as_its_listener() -> None:
    """A port that goes takes the load balancer's listener and the node port with it; a certificate may come back."""
    https = {"name": "tls", "port": 443, "protocol": "HTTPS", "tls": {"certificateRefs": [{"name": "gone"}]}}
    clash = {**https, "name": "clash", "port": 8080}
    world = World(CLASS, gateway(http(80), https, http(8080), clash))
    assert [port["port"] for port in world.manifest("Service")["spec"]["ports"]] == [80, 443, 8080]
    world.show(gateway(http(80)))
    assert [port["port"] for port in world.manifest("Service")["spec"]["ports"]] == [80]


@pytest.mark.parametrize("is_refused", [False, True])
def test_a_gateway_that_gets_a_class_of_no_use_keeps_its_address_and_identity(is_refused: bool) -> None:
    """Its objects have the name of the class before, and serve on."""
    refused = {**gateway_class(parametersRef={**OF_CLASS, "name": "gone"}), "metadata": {"name": "other"}}
    world = World(CLASS, gateway(), service(ingress=({"ip": "192.0.2.7"},)))
    assert (world.values, world.condition("Programmed").status) == (["192.0.2.7"], "True")
    world.show(gateway(gatewayClassName="other"), *([refused] if is_refused else []))
    assert ("ClassHeld" if is_refused else "ClassLost") in [each.code for each in world.problems]
    assert (world.values, world.condition("Programmed").status) == (["192.0.2.7"], "True")
    assert world.row is not None
    assert world.row.is_held
    assert "gw-trilithon" in [each.path.name for each in world.row.objects if each.is_identity]
    assert kinds(world) == ["Secret"] * len(world.row.objects)


def test_nothing_is_generated_anew_where_no_listener_serves() -> None:
    """What is there keeps its ports; only a listener that is gone, beside one that serves, takes its port along."""
    https = {"name": "tls", "port": 443, "protocol": "HTTPS", "tls": {"certificateRefs": [{"name": "gone"}]}}
    world = World(CLASS, gateway(https))
    assert world.row is not None
    assert world.row.is_held


def test_the_port_at_which_pods_tell_of_themselves_is_taken() -> None:
    """ListenerReasonPortUnavailable. Elsewhere it is a port like any other."""
    world = World(CLASS, gateway(http(80), http(19003)))
    assert [port["port"] for port in world.manifest("Service")["spec"]["ports"]] == [80]
    status = world.engine.row(GATEWAY_STATUS, GATEWAY)
    assert status is not None
    reasons = [next(each for each in of.conditions if each.type == "Accepted").reason for of in status.listeners]
    assert reasons == ["Accepted", "PortUnavailable"]
    alone = World(CLASS, gateway(http(19003)), settings=msgspec.structs.replace(SETTINGS, installation=None))
    assert alone.condition("Accepted").reason == "Accepted"


def test_pods_have_no_rights() -> None:
    """No root, no capabilities, no token, nothing to write but their own folder; the ports are the listeners' own."""
    pod = World(CLASS, gateway()).pod["spec"]
    (container,) = pod["containers"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["securityContext"]["sysctls"] == [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["args"][:3] == ["proxy", "--gateway", "infra/gw"]


def test_parameters_shape_the_pods() -> None:
    """Replicas, resources, and how Envoy starts."""
    world = tuned(
        replicas=3,
        resources={"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}},
        envoy={"concurrency": 2, "logLevel": "debug"},
    )
    (container,) = world.pod["spec"]["containers"]
    assert world.manifest("Deployment")["spec"]["replicas"] == 3
    assert container["resources"] == {"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}}
    assert container["args"][-4:] == ["--concurrency", "2", "--log-level", "debug"]


def test_an_autoscaler_has_the_number_of_pods_to_itself() -> None:
    """A number in the Deployment would set back what the autoscaler has set."""
    world = tuned(autoscaling={"minReplicas": 2, "maxReplicas": 5})
    spec = world.manifest("HorizontalPodAutoscaler")["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 5)
    assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "gw-trilithon"}
    assert "replicas" not in world.manifest("Deployment")["spec"]


def test_parameters_shape_the_service() -> None:
    """Type, policy, annotations of the Service alone, fixed node ports where there is such a listener."""
    world = tuned(
        service={
            "type": "NodePort",
            "externalTrafficPolicy": "Local",
            "annotations": {"cloud/x": "y", "trilithon.dev/applied": "mine"},
            "nodePorts": [{"port": 80, "nodePort": 30080}, {"port": 81, "nodePort": 30081}],
        }
    )
    service = world.manifest("Service")
    assert service["spec"]["type"] == "NodePort"
    assert service["spec"]["externalTrafficPolicy"] == "Local"
    assert [port.get("nodePort") for port in service["spec"]["ports"]] == [30080]
    assert service["metadata"]["annotations"] == {"cloud/x": "y", "trilithon.dev/gateway": "gw"}
    assert "cloud/x" not in world.pod["metadata"]["annotations"]


def test_a_gateways_parameters_go_before_those_of_its_class() -> None:
    """'It is generally recommended that GatewayClass provides defaults that can be overridden by a Gateway.'"""
    world = World(
        gateway_class(parametersRef=OF_CLASS),
        gateway(infrastructure=OWN),
        parameters(
            "system/all",
            replicas=3,
            envoy={"concurrency": 4, "logLevel": "error"},
            service={"type": "ClusterIP", "annotations": {"a": "1", "b": "1"}},
        ),
        parameters(
            "infra/own",
            autoscaling={"maxReplicas": 5},
            envoy={"logLevel": "info"},
            service={"annotations": {"b": "2"}},
        ),
    )
    service = world.manifest("Service")
    assert world.pod["spec"]["containers"][0]["args"][-4:] == ["--concurrency", "4", "--log-level", "info"]
    assert service["spec"]["type"] == "ClusterIP"
    assert {key: service["metadata"]["annotations"][key] for key in "ab"} == {"a": "1", "b": "2"}
    assert "HorizontalPodAutoscaler" in kinds(world)
    assert "replicas" not in world.manifest("Deployment")["spec"]


def test_only_a_class_puts_pods_into_the_nodes_network() -> None:
    """Whoever may create a Gateway must not get there by way of the controller."""
    own = tuned(hostNetwork=True)
    assert (own.condition("Accepted").reason, own.row and own.row.is_held) == ("InvalidParameters", True)
    world = World(gateway_class(parametersRef=OF_CLASS), gateway(), parameters("system/all", hostNetwork=True))
    assert world.pod["spec"]["hostNetwork"] is True
    assert "sysctls" not in world.pod["spec"]["securityContext"]
    assert world.manifest("Service")["spec"]["type"] == "ClusterIP"
    assert world.manifest("Deployment")["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}


@pytest.mark.parametrize(
    "ref",
    [
        pytest.param({"group": "", "kind": "ConfigMap", "name": "own"}, id="an unknown kind"),
        pytest.param({"group": "trilithon.dev", "kind": "GatewayParameters", "name": "lost"}, id="a missing object"),
    ],
)
def test_a_bad_reference_is_said_and_costs_nothing_that_is_there(ref: dict[str, str]) -> None:
    """GatewayReasonInvalidParameters. What ran goes on running: the address must survive a mistake."""
    world = World(CLASS, gateway(infrastructure={"parametersRef": ref}))
    accepted = world.condition("Accepted")
    assert (accepted.status, accepted.reason) == ("False", "InvalidParameters")
    assert world.row is not None
    assert world.row.is_held
    assert kinds(world) == ["Secret"], "its pods still need a valid identity"


OWN_REF = OWN["parametersRef"]
BAD_PARAMETERS: dict[str, dict[str, Any]] = {
    "a kind": {"parametersRef": {**OWN_REF, "kind": "X"}},
    "a name": {"parametersRef": {**OWN_REF, "name": "x"}},
    "parameters that are deleted": OWN,
}


@pytest.mark.parametrize(
    ("spec", "reason", "has_pods"),
    [
        *(
            pytest.param({"infrastructure": each}, "InvalidParameters", has_pods, id=f"{name}, {has_pods=}")
            for name, each in BAD_PARAMETERS.items()
            for has_pods in (True, False)
        ),
        pytest.param({"addresses": [{"type": "Hostname", "value": "x"}]}, "UnsupportedAddress", True, id="an address"),
    ],
)
def test_a_mistake_about_what_runs_a_gateway_ends_no_listener(
    spec: dict[str, Any], reason: str, has_pods: bool
) -> None:
    """The Gateway is not accepted; what runs it stays, and Envoy is given the same as before.

    Of local processes parameters say nothing, so that it serves however it began.
    """
    settings = SETTINGS if has_pods else msgspec.structs.replace(SETTINGS, installation=None)
    world = World(
        CLASS,
        gateway(infrastructure=OWN),
        parameters("infra/own"),
        service(ingress=[{"ip": "10.0.0.7"}]),
        settings=settings,
    )
    if not has_pods:
        world.engine.apply([Edit(HOSTS, GATEWAY, Host("127.0.1.5"))])
    published = {table.name: dict(world.engine.rows(table)) for table in PUBLISHED}
    assert published["envoy listeners"]
    world.show(gateway(**spec))
    world.drop(Key("GatewayParameters", "infra", "own"))
    assert {table.name: dict(world.engine.rows(table)) for table in PUBLISHED} == published
    assert (world.condition("Accepted").status, world.condition("Accepted").reason) == ("False", reason)
    assert (world.condition("Programmed").status, world.condition("Programmed").reason) == ("False", "Invalid")
    how = "what runs the Gateway serves on as it is" if has_pods else "its listeners are served all the same"
    assert how in world.condition("Programmed").message
    status = world.engine.row(GATEWAY_STATUS, GATEWAY)
    assert status is not None
    assert [str(each) for each in status.addresses] == (["10.0.0.7"] if has_pods else ["127.0.1.5"])
    (listener,) = status.listeners
    assert {each.type: each.status for each in listener.conditions} == {
        "Accepted": "True",
        "ResolvedRefs": "True",
        "Programmed": "True",
        "Conflicted": "False",
    }
    if has_pods:
        assert world.row is not None
        assert world.row.is_held


@pytest.mark.parametrize(
    ("ref", "code"),
    [
        ({"group": "x.io", "kind": "Other", "name": "a"}, "ClassParametersUnsupported"),
        ({key: value for key, value in OF_CLASS.items() if key != "namespace"}, "ClassParametersNowhere"),
        (OF_CLASS, "ClassParametersNotFound"),
    ],
)
def test_a_class_with_a_bad_reference_is_not_accepted_and_holds_what_runs(ref: dict[str, str], code: str) -> None:
    """GatewayClassReasonInvalidParameters."""
    world = World(gateway_class(parametersRef=ref), gateway())
    (problems,) = world.engine.rows(CLASS_PROBLEMS).values()
    assert [each.code for each in problems.items] == [code]
    assert world.row is not None
    assert world.row.is_held


@pytest.mark.parametrize(
    "ref",
    [
        pytest.param({**OF_CLASS, "kind": "GatewayParameter"}, id="a typo in its kind"),
        pytest.param({key: value for key, value in OF_CLASS.items() if key != "namespace"}, id="no namespace"),
        pytest.param(OF_CLASS, id="a missing object"),
    ],
)
@pytest.mark.parametrize("has_pods", [True, False])
def test_a_mistake_in_a_class_ends_no_gateway(ref: dict[str, str], has_pods: bool) -> None:
    """Whatever is wrong with the class: all of its Gateways are served on, and say so."""
    settings = SETTINGS if has_pods else msgspec.structs.replace(SETTINGS, installation=None)
    world = World(CLASS, gateway(), service(ingress=[{"ip": "10.0.0.7"}]), settings=settings)
    published = {table.name: dict(world.engine.rows(table)) for table in PUBLISHED}
    before = world.condition("Programmed")
    world.show(gateway_class(parametersRef=ref))
    assert {table.name: dict(world.engine.rows(table)) for table in PUBLISHED} == published
    assert list(world.engine.rows(OURS)) == [GATEWAY], "which keeps the class from being deleted"
    assert world.condition("Programmed") == before
    assert "ClassHeld" in [each.code for each in world.problems]


def test_a_class_that_is_gone_ends_no_gateway_that_we_serve() -> None:
    """A finalizer prevents it, unless it is forced. The generated Service tells that the Gateway was ours."""
    world = World(CLASS, gateway(), service(ingress=[{"ip": "10.0.0.7"}]))
    published = {table.name: dict(world.engine.rows(table)) for table in PUBLISHED}
    world.drop(Key("GatewayClass", "", "trilithon"))
    assert {table.name: dict(world.engine.rows(table)) for table in PUBLISHED} == published
    assert world.condition("Programmed").status == "True"
    assert [each.code for each in world.problems] == ["ClassLost"]
    world.show(gateway_class(controllerName="example.com/another"))
    assert not world.engine.rows(OURS)


@pytest.mark.parametrize("changes", [{"installation": "other.trilithon"}, {"owner": "other"}, {"manager": "Helm"}])
def test_a_gateway_without_a_class_is_not_ours_for_another_service(changes: dict[str, Any]) -> None:
    """Nobody knows whose it is."""
    world = World(gateway(), service(ingress=[{"ip": "10.0.0.7"}], **changes))
    assert not world.engine.rows(OURS)


def test_a_new_gateway_of_a_class_that_is_refused_says_why_it_has_no_address() -> None:
    world = World(gateway_class(parametersRef=OF_CLASS), gateway())
    programmed = world.condition("Programmed")
    assert (programmed.status, programmed.reason) == ("False", "AddressNotAssigned")
    assert "GatewayClass trilithon is not accepted" in programmed.message


def test_parameters_of_a_class_that_are_deleted_end_no_gateway() -> None:
    """The class is refused; what runs is served as before, and nothing is generated for a new Gateway."""
    tuned = parameters("system/all", replicas=2)
    world = World(gateway_class(parametersRef=OF_CLASS), tuned, gateway(), service(ingress=[{"ip": "10.0.0.7"}]))
    assert world.condition("Programmed").status == "True"
    world.drop(Key("GatewayParameters", "system", "all"))
    assert world.condition("Programmed").status == "True"
    assert world.row is not None
    assert world.row.is_held
    assert "ClassHeld" in [each.code for each in world.problems]
    world.show(tuned)
    assert kinds(world) == KINDS
    assert world.problems == ()


def test_only_a_class_of_another_controller_lets_go() -> None:
    """A class that is gone says nothing; one that names another controller does."""
    world = World(CLASS, gateway())
    world.drop(Key("GatewayClass", "", "trilithon"))
    assert world.row is not None
    assert world.row.is_held
    world.show(gateway_class(controllerName="example.com/another"))
    assert not world.has_row
    world.show(CLASS)
    assert kinds(world) == KINDS
    world.drop(GATEWAY)
    assert not world.has_row
