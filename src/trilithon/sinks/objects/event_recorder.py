"""Tell of refusals as Events of Kubernetes, so that ``kubectl describe`` and ``kubectl events`` show them."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

from trilithon.kube.client import Client
from trilithon.kube.errors import ApiError, KubeError
from trilithon.kube.objects import ApiKind, ObjectPath
from trilithon.resources.kinds import KINDS
from trilithon.resources.meta import GATEWAY_GROUP, Key
from trilithon.resources.problem import Problem
from trilithon.sinks.objects.event_queue import EventQueue, Occurrence
from trilithon.sinks.objects.object_writer import MANAGER

EVENTS = ApiKind("events.k8s.io", "v1", "Event", "events")
# The API server refuses more (ValidateEventCreate); it counts the bytes of a note.
LONGEST_NOTE = 1024
LONGEST_INSTANCE = 128
LONGEST_NAME = 253
_DIGEST_DIGITS = 16
# Events that were made, so that a problem which comes back counts one up.
MOST_MADE = 4096
# Events of objects that have no namespace live here.
NO_NAMESPACE = "default"

_API_VERSIONS = {kind.name: kind.api_versions[0] for kind in KINDS}


class EventRecorder:
    """Makes one Event for each problem that appears; what fails is dropped, because the status says the same.

    ``controller_name`` and ``instance`` say who reports. While another leads, problems wait for a while in case that
    it has just ended. The name of an Event follows from what it tells: after a restart it is there already.
    """

    def __init__(
        self,
        client: Client,
        controller_name: str,
        instance: str,
        leads: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        # One attempt: an Event that comes late is worth little, and nothing is to wait behind it.
        self._client = Client(client.transport, 1, attempts=1)
        self._controller_name = controller_name
        self._instance = instance[:LONGEST_INSTANCE]
        self._leads = leads
        self._clock = clock
        self._queue = EventQueue(clock())
        self._wake = asyncio.Event()
        # How often each was told by us.
        self._made: OrderedDict[str, int] = OrderedDict()

    def record(self, key: Key, uid: str, problem: Problem) -> None:
        """A problem appeared in the object with this uid."""
        self._queue.add(Occurrence(key, uid, problem), self._clock())
        self._wake.set()

    def lead(self) -> None:
        """Leadership just began: tell what waited for it."""
        self._wake.set()

    async def run(self) -> None:
        """Tell while leading, until cancelled."""
        while True:
            self._wake.clear()
            while self._leads() and (occurrence := self._queue.next(self._clock())) is not None:
                with suppress(KubeError):
                    await self._tell(occurrence)
            pause = self._queue.wait(self._clock()) if self._leads() else None
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()

    async def _tell(self, occurrence: Occurrence) -> None:
        name = _name_of(occurrence)
        count = self._made.get(name, 0) + 1
        if count > 1:
            await self._count_up(occurrence, name, count)
        else:
            await self._make(occurrence, name)
        self._made[name] = count
        self._made.move_to_end(name)
        if len(self._made) > MOST_MADE:
            self._made.popitem(last=False)

    async def _make(self, occurrence: Occurrence, name: str) -> None:
        try:
            await self._client.create(EVENTS, _namespace(occurrence.key), self._event(occurrence, name))
        except ApiError as error:
            # It was told before we were started, or by who led before us.
            if error.status != 409:
                raise

    async def _count_up(self, occurrence: Occurrence, name: str, count: int) -> None:
        path = ObjectPath(EVENTS, name, _namespace(occurrence.key))
        try:
            await self._client.merge_patch(path, {"series": {"count": count, "lastObservedTime": _now()}}, MANAGER)
        except ApiError as error:
            if error.status != 404:
                raise
            # The API server keeps Events for an hour.
            await self._make(occurrence, name)

    def _event(self, occurrence: Occurrence, name: str) -> dict[str, object]:
        key, problem = occurrence.key, occurrence.problem
        return {
            "apiVersion": EVENTS.api_version,
            "kind": EVENTS.kind,
            "metadata": {"name": name, "namespace": _namespace(key)},
            "eventTime": _now(),
            "type": "Warning",
            "reason": problem.code,
            "action": "Translate",
            "note": _note(problem),
            "regarding": {
                "apiVersion": _API_VERSIONS.get(key.kind, f"{GATEWAY_GROUP}/v1"),
                "kind": key.kind,
                "name": key.name,
                "uid": occurrence.uid,
                **({"namespace": key.namespace} if key.namespace else {}),
            },
            "reportingController": self._controller_name,
            "reportingInstance": self._instance,
        }


def _namespace(key: Key) -> str:
    return key.namespace or NO_NAMESPACE


def _name_of(occurrence: Occurrence) -> str:
    """Unique to the object and the problem, and the same in every process."""
    problem = occurrence.problem
    told = f"{occurrence.uid}\0{problem.code}\0{problem.path}\0{problem.message}"
    digest = hashlib.sha256(told.encode()).hexdigest()[:_DIGEST_DIGITS]
    # A part of a name ends with a letter or digit.
    return f"{occurrence.key.name[: LONGEST_NAME - _DIGEST_DIGITS - 1].rstrip('-.')}.{digest}"


def _note(problem: Problem) -> str:
    text = f"{problem.path}: {problem.message}" if problem.path else problem.message
    written = text.encode()
    if len(written) <= LONGEST_NOTE:
        return text
    return f"{written[: LONGEST_NOTE - 3].decode(errors='ignore')}..."


def _now() -> str:
    """As the API server writes times of Events, which have microseconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
