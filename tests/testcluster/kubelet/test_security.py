"""The container's security context wins over the pod's, and that over the image's user."""

from __future__ import annotations

from typing import Any

import pytest

from testcluster.kubelet.problems import CannotRun
from testcluster.kubelet.security import CAPABILITIES, USUAL, identity_of, sole_user, sysctls_of
from tests.testcluster.kubelet.pods import pod


def identity(own: dict[str, Any], shared: dict[str, Any] | None = None, image_user: int = 0) -> Any:
    read = pod({"name": "main", "securityContext": own}, securityContext=shared or {})
    return identity_of(read.spec, read.spec.containers[0], image_user)


def capabilities(**own: Any) -> set[str]:
    return {CAPABILITIES[number] for number in identity(own).capabilities}


def test_the_nearest_user_wins() -> None:
    """Container, pod, image."""
    assert identity({}, {}, 3).user == 3
    assert identity({}, {"runAsUser": 2}, 3).user == 2
    assert identity({"runAsUser": 1}, {"runAsUser": 2}, 3).user == 1
    assert identity({"runAsUser": 0}, {"runAsUser": 2}).user == 0


def test_groups_are_those_of_the_pod_too() -> None:
    """The primary group is root's unless one is named; fsGroup and the supplemental ones are added."""
    who = identity({"runAsUser": 1}, {"fsGroup": 7, "supplementalGroups": [9, 8]})
    assert (who.group, who.groups) == (0, (0, 7, 8, 9))
    assert identity({"runAsGroup": 5}, {"runAsGroup": 6}).group == 5


@pytest.mark.parametrize("own", [{}, {"runAsUser": 0}], ids=["image", "said"])
def test_root_is_refused_where_it_is_forbidden(own: dict[str, Any]) -> None:
    """Wherever it comes from; the container may lift what the pod forbids."""
    with pytest.raises(CannotRun, match="runAsNonRoot"):
        identity(own, {"runAsNonRoot": True})
    assert identity({**own, "runAsNonRoot": False}, {"runAsNonRoot": True}).user == 0


def test_capabilities_are_added_and_dropped() -> None:
    """ALL is all; names may have their prefix."""
    assert capabilities() == USUAL
    assert capabilities(capabilities={"drop": ["ALL"]}) == set()
    assert capabilities(capabilities={"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}) == {"NET_BIND_SERVICE"}
    assert capabilities(capabilities={"drop": ["CAP_KILL"], "add": ["NET_ADMIN"]}) == USUAL - {"KILL"} | {"NET_ADMIN"}
    assert capabilities(privileged=True) == set(CAPABILITIES)


def test_the_capabilities_have_the_kernels_numbers() -> None:
    """Spot checks against linux/capability.h."""
    assert [CAPABILITIES.index(name) for name in ("CHOWN", "NET_BIND_SERVICE", "SYS_ADMIN", "CHECKPOINT_RESTORE")] == [
        0,
        10,
        21,
        40,
    ]


def test_escalation_is_shut_off_where_it_is_refused() -> None:
    """And not where nothing is said."""
    assert identity({"allowPrivilegeEscalation": False}).no_new_privileges
    assert not identity({}).no_new_privileges


def test_only_safe_sysctls_are_set() -> None:
    """As nodes allow them unless they are told to allow more."""
    safe = {"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}
    assert sysctls_of(pod(securityContext={"sysctls": [safe]}).spec) == [(safe["name"], "0")]
    with pytest.raises(CannotRun, match=r"net\.core\.somaxconn"):
        sysctls_of(pod(securityContext={"sysctls": [safe, {"name": "net.core.somaxconn", "value": "9"}]}).spec)


def test_a_pod_has_a_sole_user_if_all_say_the_same() -> None:
    """Init containers too; the pod speaks for those that say nothing."""
    one, two = {"name": "a", "securityContext": {"runAsUser": 1}}, {"name": "b"}
    assert sole_user(pod(one, two, securityContext={"runAsUser": 1}).spec) == 1
    assert sole_user(pod(one, two, securityContext={"runAsUser": 2}).spec) is None
    assert sole_user(pod(one, two).spec) is None
    assert sole_user(pod(two).spec) is None
