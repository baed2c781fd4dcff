"""What a container's answers to its probes lead to."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import msgspec

from testcluster.kubelet.objects import Container
from testcluster.kubelet.probe_spec import Probe
from testcluster.kubelet.prober import probe

SOON = {"periodSeconds": 0}


class Subject:
    """A container that answers as it is told, and remembers what is said of it."""

    def __init__(self, answers: Iterator[bool]) -> None:
        self.said: list[str] = []
        self.asked = 0
        self._answers = answers
        self.is_done = asyncio.Event()

    async def ask(self, _: Probe) -> bool:
        self.asked += 1
        try:
            return next(self._answers)
        except StopIteration:
            self.is_done.set()
            await asyncio.Event().wait()
            raise

    def set_started(self) -> None:
        self.said.append("started")

    def set_ready(self, is_ready: bool) -> None:
        self.said.append("ready" if is_ready else "unready")

    async def replace(self, why: str, probe: Probe) -> None:
        self.said.append(why)
        self.is_done.set()


async def said(answers: str, **probes: dict[str, Any]) -> list[str]:
    """What is said of a container that answers so: ``+`` well, ``-`` badly."""
    subject = Subject(answer == "+" for answer in answers)
    read = msgspec.convert({"name": "main", **probes}, Container)
    probing = asyncio.create_task(probe(read, subject, subject.ask))
    done = asyncio.create_task(subject.is_done.wait())
    await asyncio.wait({probing, done}, timeout=5, return_when=asyncio.FIRST_COMPLETED)
    done.cancel()
    probing.cancel()
    with suppress(asyncio.CancelledError):
        await probing
    return subject.said


async def test_a_container_without_probes_is_ready_at_once() -> None:
    """And started."""
    assert await said("") == ["started", "ready"]


async def test_it_is_ready_after_so_many_good_answers_and_unready_after_so_many_bad_ones() -> None:
    """In a row."""
    wanted = {**SOON, "successThreshold": 2, "failureThreshold": 2}
    outcome = await said("-+-++-+--++", readinessProbe=wanted)
    assert outcome == ["started", "ready", "unready", "ready"]


async def test_nothing_else_is_asked_before_it_has_started() -> None:
    """Its startup probe comes first, and one good answer is enough."""
    assert await said("--+", startupProbe={"periodSeconds": 1, "failureThreshold": 9}) == ["started", "ready"]


async def test_it_is_replaced_when_it_does_not_start_in_time() -> None:
    """Periods times failures."""
    outcome = await said("-" * 1000, startupProbe={"periodSeconds": 1, "failureThreshold": 1})
    assert outcome == ["failed its startup probe"]


async def test_it_is_replaced_after_so_many_bad_answers() -> None:
    """In a row, from when it has started."""
    assert await said("-+--", livenessProbe={**SOON, "failureThreshold": 2}) == [
        "started",
        "ready",
        "failed its liveness probe",
    ]
