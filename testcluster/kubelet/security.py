"""Decide as whom a container runs and what it may do, from the security contexts of the pod and the container."""

from __future__ import annotations

from typing import Final

from testcluster.kubelet.launch import Identity
from testcluster.kubelet.objects import Capabilities, Container, PodSpec
from testcluster.kubelet.problems import CannotRun

# In the order of the kernel's numbers: https://man7.org/linux/man-pages/man7/capabilities.7.html
_ALL: Final = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE "
    "NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN "
    "SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE "
    "MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
)
CAPABILITIES: Final = tuple(_ALL.split())
# What containerd gives where nothing is said.
_USUAL: Final = (
    "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL "
    "AUDIT_WRITE"
)
USUAL: Final = frozenset(_USUAL.split())
# Those that need no permission of whoever runs the node: https://kubernetes.io/docs/tasks/administer-cluster/sysctl-cluster/
SAFE_SYSCTLS: Final = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.tcp_wmem",
    }
)


def sysctls_of(pod: PodSpec) -> list[tuple[str, str]]:
    """The kernel settings of the pod's network. Raises CannotRun for one that no usual node allows."""
    wanted = pod.security_context.sysctls
    if unsafe := sorted({each.name for each in wanted} - SAFE_SYSCTLS):
        raise CannotRun("SysctlForbidden", f"forbidden sysctl: {', '.join(unsafe)} not allowlisted")
    return [(each.name, each.value) for each in wanted]


def identity_of(pod: PodSpec, container: Container, image_user: int) -> Identity:
    """As whom a container runs. Raises CannotRun if that would be root and must not be."""
    theirs, own = pod.security_context, container.security_context
    user = _first(own.run_as_user, theirs.run_as_user, image_user)
    if user == 0 and _first(own.run_as_non_root, theirs.run_as_non_root, False):
        raise CannotRun("CreateContainerConfigError", "container has runAsNonRoot and image will run as root")
    group = _first(own.run_as_group, theirs.run_as_group, 0)
    shared = () if theirs.fs_group is None else (theirs.fs_group,)
    return Identity(
        user=user,
        group=group,
        groups=tuple(sorted({group, *shared, *theirs.supplemental_groups})),
        capabilities=_capabilities(own.capabilities, is_privileged=own.privileged),
        no_new_privileges=own.allow_privilege_escalation is False and not own.privileged,
    )


def sole_user(pod: PodSpec) -> int | None:
    """The user that all containers of a pod run as, if they say one and the same."""
    shared = pod.security_context.run_as_user
    own = (container.security_context.run_as_user for container in pod.all_containers)
    users = {shared if user is None else user for user in own}
    return users.pop() if len(users) == 1 else None


def _capabilities(changes: Capabilities, *, is_privileged: bool) -> tuple[int, ...]:
    known = set(CAPABILITIES)
    dropped, added = ({name.removeprefix("CAP_") for name in names} for names in (changes.drop, changes.add))
    held = set() if "ALL" in dropped else set(USUAL) - dropped
    held |= known if is_privileged or "ALL" in added else added & known
    return tuple(sorted(CAPABILITIES.index(name) for name in held))


def _first(*choices: int | bool | None) -> int:
    return next((int(choice) for choice in choices if choice is not None), 0)
