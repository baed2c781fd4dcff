"""Pods as the API server writes them: the fields that running one needs, decoded and typed."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from testcluster.kubelet.probe_spec import Lifecycle, Probe
from testcluster.kubelet.volume_spec import EnvironmentFrom, EnvironmentVariable, Volume, VolumeMount


class Metadata(Struct, frozen=True, rename="camel"):
    """Who an object is, and whether it is to go."""

    name: str
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    deletion_timestamp: str | None = None
    deletion_grace_period_seconds: int | None = None


class Capabilities(Struct, frozen=True):
    """Changes to the capabilities that every container has."""

    add: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()


class Sysctl(Struct, frozen=True):
    """A kernel setting of the pod's network namespace."""

    name: str
    value: str


class PodSecurity(Struct, frozen=True, rename="camel"):
    """The security context of a pod."""

    run_as_user: int | None = None
    run_as_group: int | None = None
    run_as_non_root: bool | None = None
    fs_group: int | None = None
    supplemental_groups: tuple[int, ...] = ()
    sysctls: tuple[Sysctl, ...] = ()


class ContainerSecurity(Struct, frozen=True, rename="camel"):
    """The security context of a container, which wins over the pod's."""

    run_as_user: int | None = None
    run_as_group: int | None = None
    run_as_non_root: bool | None = None
    read_only_root_filesystem: bool = False
    allow_privilege_escalation: bool | None = None
    privileged: bool = False
    capabilities: Capabilities = Capabilities()


class ContainerPort(Struct, frozen=True, rename="camel"):
    """A port that a container listens on."""

    container_port: int
    name: str = ""


class Resources(Struct, frozen=True):
    """What a container may use and what it is promised, as quantities."""

    limits: dict[str, str] = {}
    requests: dict[str, str] = {}


class Container(Struct, frozen=True, rename="camel"):
    """One container of a pod."""

    name: str
    image: str = ""
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    working_dir: str = ""
    env: tuple[EnvironmentVariable, ...] = ()
    env_from: tuple[EnvironmentFrom, ...] = ()
    ports: tuple[ContainerPort, ...] = ()
    resources: Resources = Resources()
    volume_mounts: tuple[VolumeMount, ...] = ()
    security_context: ContainerSecurity = ContainerSecurity()
    lifecycle: Lifecycle = Lifecycle()
    startup_probe: Probe | None = None
    readiness_probe: Probe | None = None
    liveness_probe: Probe | None = None
    restart_policy: str = ""

    @property
    def is_sidecar(self) -> bool:
        """Whether, among the init containers, this one goes on running."""
        return self.restart_policy == "Always"


# The pod.


class HostAlias(Struct, frozen=True):
    """A line of /etc/hosts."""

    ip: str
    hostnames: tuple[str, ...] = ()


class DnsConfig(Struct, frozen=True):
    """Resolver settings of the pod's own."""

    nameservers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()


class SchedulingGate(Struct, frozen=True):
    """Something that the pod waits for before it gets a node."""

    name: str


class ReadinessGate(Struct, frozen=True, rename="camel"):
    """A condition, set by somebody else, that the pod needs to be ready."""

    condition_type: str


class PodSpec(Struct, frozen=True, rename="camel"):
    """What is to run."""

    containers: tuple[Container, ...]
    init_containers: tuple[Container, ...] = ()
    volumes: tuple[Volume, ...] = ()
    node_name: str = ""
    host_network: bool = False
    hostname: str = ""
    restart_policy: str = "Always"
    service_account_name: str = "default"
    termination_grace_period_seconds: int = 30
    security_context: PodSecurity = PodSecurity()
    host_aliases: tuple[HostAlias, ...] = ()
    dns_policy: str = "ClusterFirst"
    dns_config: DnsConfig = DnsConfig()
    scheduling_gates: tuple[SchedulingGate, ...] = ()
    readiness_gates: tuple[ReadinessGate, ...] = ()

    @property
    def all_containers(self) -> tuple[Container, ...]:
        """Init containers and containers, in the order in which they start."""
        return (*self.init_containers, *self.containers)


class ConditionStatus(Struct, frozen=True):
    """One condition as stored."""

    type: str
    status: str = ""


class ContainerStatus(Struct, frozen=True, rename="camel"):
    """What was last said of a container."""

    name: str
    restart_count: int = 0
    container_id: str = msgspec.field(name="containerID", default="")


class PodStatus(Struct, frozen=True, rename="camel"):
    """What was last said of a pod."""

    phase: str = "Pending"
    conditions: tuple[ConditionStatus, ...] = ()
    init_container_statuses: tuple[ContainerStatus, ...] = ()
    container_statuses: tuple[ContainerStatus, ...] = ()
    start_time: str = ""


class Pod(Struct, frozen=True):
    """A pod as stored."""

    metadata: Metadata
    spec: PodSpec
    status: PodStatus = PodStatus()

    @property
    def uid(self) -> str:
        """What tells it from a later pod of the same name."""
        return self.metadata.uid

    @property
    def is_ending(self) -> bool:
        """Whether somebody deleted it."""
        return self.metadata.deletion_timestamp is not None

    @property
    def is_over(self) -> bool:
        """Whether it ran to its end."""
        return self.status.phase in ("Succeeded", "Failed")

    def __str__(self) -> str:
        return f"{self.metadata.namespace}/{self.metadata.name}"


_POD = msgspec.json.Decoder(Pod)


def pod_of(written: bytes | msgspec.Raw) -> Pod:
    """A pod from its JSON. Raises msgspec.MsgspecError."""
    return _POD.decode(written)
