"""A pod's status follows from what its containers do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from testcluster.kubelet.fields import Place
from testcluster.kubelet.objects import Pod
from testcluster.kubelet.status import Conditions, Ended, PodView, Running, View, Waiting, phase_of, status_of
from tests.testcluster.kubelet.pods import pod

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WELL, BADLY, KILLED = Ended(0, NOW, NOW), Ended(3, NOW, NOW), Ended(-9, NOW, NOW)
RUNS = Running(NOW)


def view(*states: Any, inits: tuple[View, ...] = (), sidecars: frozenset[str] = frozenset(), **fields: Any) -> PodView:
    mains = [View(name=f"c{number}", image="i", state=state, **fields) for number, state in enumerate(states)]
    place = Place("10.0.0.2", "10.0.0.1")
    return PodView(mains=mains, inits=inits, sidecars=sidecars, place=place, is_initialized=True, started=NOW)


@pytest.mark.parametrize(
    ("seen", "phase"),
    [
        pytest.param(view(Waiting()), "Pending", id="nothing ran yet"),
        pytest.param(view(Waiting(), RUNS), "Running", id="one runs"),
        pytest.param(view(Waiting("CrashLoopBackOff"), last=BADLY), "Running", id="one will run again"),
        pytest.param(view(WELL, RUNS), "Running", id="one still runs"),
        pytest.param(view(WELL, WELL), "Succeeded", id="all ended well"),
        pytest.param(view(WELL, KILLED), "Failed", id="one was killed"),
        pytest.param(
            view(WELL, inits=(View(name="side", image="", state=RUNS),), sidecars=frozenset({"side"})),
            "Running",
            id="a sidecar still runs",
        ),
    ],
)
def test_the_phase_is_that_of_the_containers(seen: PodView, phase: str) -> None:
    """Where they are in their lives."""
    assert phase_of(pod(), seen) == phase


def test_a_failed_init_container_fails_a_pod_that_runs_once() -> None:
    """Others try again."""
    seen = view(Waiting(), inits=(View(name="init", image="", state=BADLY),))
    assert phase_of(pod(restartPolicy="Never"), seen) == "Failed"
    assert phase_of(pod(restartPolicy="Always"), seen) == "Pending"


def conditions(of: Pod, seen: PodView) -> dict[str, str]:
    return {each["type"]: each["status"] for each in status_of(of, seen, Conditions(), NOW)["conditions"]}


def test_a_pod_is_ready_when_all_its_containers_are() -> None:
    """Sidecars too, and with what others demand."""
    assert conditions(pod(), view(RUNS, is_ready=True))["Ready"] == "True"
    assert conditions(pod(), view(RUNS, RUNS))["Ready"] == "False"
    side = (View(name="side", image="", state=RUNS),)
    assert conditions(pod(), view(RUNS, is_ready=True, inits=side, sidecars=frozenset({"side"})))["Ready"] == "False"
    gated = pod(readinessGates=[{"conditionType": "open"}])
    opened = pod(
        readinessGates=[{"conditionType": "open"}], status={"conditions": [{"type": "open", "status": "True"}]}
    )
    assert conditions(gated, view(RUNS, is_ready=True))["Ready"] == "False"
    assert conditions(opened, view(RUNS, is_ready=True))["Ready"] == "True"


def test_a_condition_keeps_the_time_of_its_last_change() -> None:
    """However often it is said."""
    kept = Conditions()
    first = kept.condition("Ready", "Why", NOW, is_true=False)
    later = kept.condition("Ready", "Why", NOW + timedelta(hours=1), is_true=False)
    changed = kept.condition("Ready", "Why", NOW + timedelta(hours=2), is_true=True)
    assert first == later
    assert (first["reason"], changed["reason"]) == ("Why", None)
    assert changed["lastTransitionTime"] == "2026-01-01T02:00:00Z"


def test_containers_say_what_they_do_and_did() -> None:
    """A signal counts as 128 and its number, as in shells."""
    seen = view(RUNS, last=KILLED, restarts=2, container_id="id")
    [said] = status_of(pod(), seen, Conditions(), NOW)["containerStatuses"]
    assert said["state"] == {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
    assert said["lastState"]["terminated"]["exitCode"] == 137
    assert said["restartCount"] == 2
    waiting = status_of(pod(), view(Waiting("ErrImagePull", "no such")), Conditions(), NOW)["containerStatuses"][0]
    assert waiting["state"] == {"waiting": {"reason": "ErrImagePull", "message": "no such"}}
