"""Read a cluster once, for the commands that only look."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import msgspec
from msgspec import Struct

from trilithon.cli.main import EnvironmentLacks
from trilithon.cli.origin import Origin
from trilithon.kube.client import Client
from trilithon.kube.config import find_config
from trilithon.kube.errors import ApiError, ConfigError, KubeError
from trilithon.kube.transport import Transport
from trilithon.model.settings import Installation, Settings
from trilithon.model.stored import Stored
from trilithon.resources.meta import GATEWAY_GROUP, Key
from trilithon.resources.problem import Problem, Severity
from trilithon.sources.kubernetes import KubernetesSource
from trilithon.sources.kubernetes_kinds import Scope
from trilithon.sources.kubernetes_state import ClusterChange

# What is in trouble for so long stays so; what is only slow gets more time.
TROUBLED_SECONDS = 3.0
PATIENCE_SECONDS = 20.0
LOOK_SECONDS = 0.25

# Gateways have addresses of their own there, other controllers serve some, and generated Services are to be found.
SETTINGS = Settings(
    address="0.0.0.0",  # noqa: S104 - of pods
    shared_address=False,
    private_backends=False,
    installation=Installation(),
)


class ClusterRead(Struct, frozen=True):
    """Every object of a cluster that translation takes, those that are not read as they should be, and what the stored
    status of each Gateway says of Programmed."""

    resources: Mapping[Key, Any]
    problems: tuple[Problem, ...]
    programmed: Mapping[Key, Programmed]


class Programmed(Struct, frozen=True):
    """A Gateway's stored condition."""

    status: str = "Unknown"
    reason: str = ""
    message: str = ""
    type: str = ""


class _Status(Struct):
    conditions: tuple[Programmed, ...] | None = ()


def read_cluster(origin: Origin) -> ClusterRead:
    """Read the cluster that kubectl would use. Raises EnvironmentLacks."""
    try:
        config = find_config(origin.kubeconfig, origin.context)
    except ConfigError as error:
        raise EnvironmentLacks(str(error)) from error
    return asyncio.run(_read(Transport(config), Scope(namespaces=origin.namespaces)))


def not_programmed(read: ClusterRead, known: Iterable[Problem]) -> Iterator[Problem]:
    """What the controller says of the Gateways that it does not serve, and is not known otherwise."""
    told = {problem.key for problem in known if problem.severity == "error"}
    for key, condition in sorted(read.programmed.items()):
        if condition.status != "False" or key in told:
            continue
        severity: Severity = "warning" if condition.reason == "Pending" else "error"
        message = f"the controller does not serve it: {condition.message}"
        yield Problem(condition.reason, key, "", message, "kubectl describe shows its conditions and Events", severity)


async def _read(transport: Transport, scope: Scope) -> ClusterRead:
    programmed: dict[Key, Programmed] = {}

    def stored(key: Key, found: Stored | None) -> None:
        if key.kind == "Gateway" and found is not None:
            programmed[key] = _programmed(found.status)

    async with transport:
        await _knock(transport)
        source = KubernetesSource(transport, scope, stored)
        async with aclosing(source.changes()) as changes:
            first = await _first(transport, source, changes)
        found = tuple(each.problem for each in source.problems())
    return ClusterRead(first.upserts, found, programmed)


async def _knock(transport: Transport) -> None:
    """Fail at once where everything else would only fail slowly."""
    try:
        await Client(transport, attempts=1).get(f"/apis/{GATEWAY_GROUP}")
    except ApiError as error:
        if error.status != 404:
            raise _unread(transport, str(error)) from error
        raise _unread(transport, "it has no Gateway API; install its definitions first") from error
    except KubeError as error:
        raise _unread(transport, str(error)) from error


async def _first(
    transport: Transport, source: KubernetesSource, changes: AsyncGenerator[ClusterChange, None]
) -> ClusterChange:
    coming = asyncio.ensure_future(anext(changes))
    try:
        waited = troubled = 0.0
        while not coming.done():
            await asyncio.wait({coming}, timeout=LOOK_SECONDS)
            waited += LOOK_SECONDS
            errors = [each.problem for each in source.problems() if each.problem.severity == "error"]
            troubled = troubled + LOOK_SECONDS if errors else 0.0
            if not coming.done() and (troubled >= TROUBLED_SECONDS or waited >= PATIENCE_SECONDS):
                raise _unread(transport, _why(errors) if errors else "the API server does not answer")
        return coming.result()
    finally:
        coming.cancel()
        await asyncio.wait({coming})


def _why(errors: Sequence[Problem]) -> str:
    """The kinds that cannot be listed, and the reason of the first of them."""
    reason = errors[0].message.partition(": ")[2] or errors[0].message
    kinds = sorted({problem.place for problem in errors if problem.place})
    if "403" in reason and kinds:
        return f"you may not list {', '.join(kinds)}; --namespace NAME asks for less"
    return f"{', '.join(kinds)}: {reason}" if kinds else reason


def _unread(transport: Transport, why: str) -> EnvironmentLacks:
    return EnvironmentLacks(f"{transport.config.server} could not be read: {why}")


def _programmed(status: bytes) -> Programmed:
    try:
        conditions = msgspec.json.decode(status or b"{}", type=_Status).conditions or ()
    except msgspec.MsgspecError:
        return Programmed()
    return next((each for each in conditions if each.type == "Programmed"), Programmed())
