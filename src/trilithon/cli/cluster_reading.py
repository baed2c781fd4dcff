"""Read a cluster once, for the commands that only look."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from trilithon.cli.main import EnvironmentLacks
from trilithon.kube.config import find_config
from trilithon.kube.errors import ConfigError
from trilithon.kube.transport import Transport
from trilithon.model.settings import Installation, Settings
from trilithon.model.stored import Stored
from trilithon.resources.meta import Key
from trilithon.resources.problem import Problem
from trilithon.sources.kubernetes import KubernetesSource
from trilithon.sources.kubernetes_kinds import Scope

PATIENCE_SECONDS = 20.0

# Gateways have addresses of their own there, other controllers serve some, and generated Services are to be found.
SETTINGS = Settings(address="0.0.0.0", shared_address=False, private_backends=False, installation=Installation())  # noqa: S104 - of pods


class ClusterRead(Struct, frozen=True):
    """Every object of a cluster that translation takes, those that are not read as they should be, and which Gateways
    are programmed, as their stored status says."""

    resources: Mapping[Key, Any]
    problems: tuple[Problem, ...]
    programmed: frozenset[Key]


class _Condition(Struct):
    type: str = ""
    status: str = ""


class _Status(Struct):
    conditions: tuple[_Condition, ...] | None = ()


def read_cluster(kubeconfig: Path | None, context: str) -> ClusterRead:
    """Read the cluster that kubectl would use. Raises EnvironmentLacks."""
    try:
        config = find_config(kubeconfig, context)
    except ConfigError as error:
        raise EnvironmentLacks(str(error)) from error
    return asyncio.run(_read(Transport(config)))


async def _read(transport: Transport) -> ClusterRead:
    programmed: set[Key] = set()

    def stored(key: Key, found: Stored | None) -> None:
        if key.kind == "Gateway" and found is not None and _is_programmed(found.status):
            programmed.add(key)

    async with transport:
        source = KubernetesSource(transport, Scope(), stored)
        async with aclosing(source.changes()) as changes:
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    first = await anext(changes)
            except TimeoutError:
                troubles = "; ".join(dict.fromkeys(each.problem.message for each in source.problems()))
                why = troubles or "the API server does not answer"
                raise EnvironmentLacks(f"{transport.config.server} could not be read: {why}") from None
        found = tuple(each.problem for each in source.problems())
    return ClusterRead(first.upserts, found, frozenset(programmed))


def _is_programmed(status: bytes) -> bool:
    try:
        conditions = msgspec.json.decode(status or b"{}", type=_Status).conditions or ()
    except msgspec.MsgspecError:
        return False
    return any((each.type, each.status) == ("Programmed", "True") for each in conditions)
