"""Say what became of a pod, in the form of its status. No IO."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from testcluster.kubelet.fields import Place
from testcluster.kubelet.objects import Pod, PodStatus


class Waiting(Struct, frozen=True):
    """A container that does not run yet, or not again yet."""

    reason: str = "ContainerCreating"
    message: str = ""


class Running(Struct, frozen=True):
    """A container that runs."""

    started: datetime


class Ended(Struct, frozen=True):
    """A container that ran; ``code`` is minus the signal that ended it, if one did."""

    code: int
    started: datetime
    finished: datetime

    @property
    def exit_code(self) -> int:
        """As shells count signals."""
        return self.code if self.code >= 0 else 128 - self.code


State = Waiting | Running | Ended


class View(Struct, frozen=True, kw_only=True):
    """One container as it is now; ``last`` is its run before this one."""

    name: str
    image: str
    container_id: str = ""
    state: State = Waiting()
    last: Ended | None = None
    restarts: int = 0
    is_started: bool = False
    is_ready: bool = False


class PodView(Struct, frozen=True, kw_only=True):
    """A pod as it is now, its containers in the order of its spec."""

    mains: Sequence[View]
    inits: Sequence[View]
    sidecars: frozenset[str]
    place: Place | None
    is_initialized: bool
    started: datetime


def phase_of(pod: Pod, view: PodView) -> str:
    """Where in its life the pod is."""
    ended = [each.state for each in view.mains if isinstance(each.state, Ended)]
    is_served = any(isinstance(each.state, Running) and each.name in view.sidecars for each in view.inits)
    if len(ended) == len(view.mains) and not is_served:
        return "Failed" if any(state.code for state in ended) else "Succeeded"
    if pod.spec.restart_policy == "Never" and any(
        isinstance(each.state, Ended) and each.state.code and each.name not in view.sidecars for each in view.inits
    ):
        return "Failed"
    is_under_way = any(not isinstance(each.state, Waiting) or each.last is not None for each in view.mains)
    return "Running" if is_under_way else "Pending"


class Conditions:
    """Remembers when each condition became what it is."""

    def __init__(self) -> None:
        self._since: dict[str, tuple[bool, datetime]] = {}

    def condition(self, kind: str, reason: str, now: datetime, *, is_true: bool) -> dict[str, Any]:
        """The condition as statuses have it; ``reason`` is for one that is false."""
        since = self._since.get(kind)
        if since is None or since[0] != is_true:
            since = self._since[kind] = (is_true, now)
        said = {"type": kind, "status": str(is_true), "lastProbeTime": None, "lastTransitionTime": stamp(since[1])}
        # A strategic merge keeps what is not named.
        return {**said, "reason": None if is_true else reason}


def status_of(pod: Pod, view: PodView, conditions: Conditions, now: datetime) -> dict[str, Any]:
    """The pod's status."""
    phase = phase_of(pod, view)
    is_over = phase in ("Succeeded", "Failed")
    serving = [*view.mains, *(each for each in view.inits if each.name in view.sidecars)]
    are_ready = phase == "Running" and all(each.is_ready for each in serving)
    held = {each.type: each.status for each in pod.status.conditions}
    is_open = all(held.get(gate.condition_type) == "True" for gate in pod.spec.readiness_gates)
    unready = "PodCompleted" if is_over else "ContainersNotReady"
    said = [
        ("PodReadyToStartContainers", "", view.place is not None),
        ("PodScheduled", "", True),
        ("Initialized", "ContainersNotInitialized", view.is_initialized),
        ("ContainersReady", unready, are_ready),
        ("Ready", unready if not are_ready else "ReadinessGatesNotReady", are_ready and is_open),
    ]
    status: dict[str, Any] = {
        "phase": phase,
        "observedGeneration": pod.metadata.generation,
        "conditions": [conditions.condition(kind, reason, now, is_true=value) for kind, reason, value in said],
        "startTime": stamp(view.started),
        "containerStatuses": [container_status(each) for each in view.mains],
    }
    if view.inits:
        status["initContainerStatuses"] = [container_status(each) for each in view.inits]
    if view.place is not None:
        status |= _addresses(view.place)
    return status


def is_said(reported: Mapping[str, Any], stored: PodStatus) -> bool:
    """Whether a stored status has every condition as it was reported."""
    held = {each.type: each.status for each in stored.conditions}
    return all(held.get(each["type"]) == each["status"] for each in reported.get("conditions", ()))


def container_status(view: View) -> dict[str, Any]:
    """One entry of ``containerStatuses``."""
    status: dict[str, Any] = {
        "name": view.name,
        "image": view.image,
        "imageID": view.image,
        "restartCount": view.restarts,
        "started": view.is_started,
        "ready": view.is_ready,
        "state": _state(view.state, view.container_id),
        "lastState": {} if view.last is None else _state(view.last, view.container_id),
    }
    if view.container_id:
        status["containerID"] = view.container_id
    return status


def stamp(moment: datetime) -> str:
    """A moment as the API writes it, to the second."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _state(state: State, container_id: str) -> Mapping[str, Any]:
    match state:
        case Waiting(reason, message):
            return {"waiting": {"reason": reason, **({"message": message} if message else {})}}
        case Running(started):
            return {"running": {"startedAt": stamp(started)}}
        case Ended(code, started, finished):
            said = {
                "exitCode": state.exit_code,
                "reason": "Error" if code else "Completed",
                "startedAt": stamp(started),
                "finishedAt": stamp(finished),
                "containerID": container_id,
            }
            return {"terminated": said}


def _addresses(place: Place) -> dict[str, Any]:
    # A strategic merge adds to these lists unless it is told not to, and the pod may have had another address.
    instead = {"$patch": "replace"}
    return {
        "hostIP": place.node_address,
        "hostIPs": [{"ip": place.node_address}, instead],
        "podIP": place.address,
        "podIPs": [{"ip": place.address}, instead],
    }
